"""The size that a video file has at least, according to its own headers: what is shorter was cut off."""

import os
from pathlib import Path
from typing import BinaryIO

INDEX_BOXES = (b"moov", b"moof")
"""Boxes of an mp4 or mov file that locate the frames (ISO/IEC 14496-12)."""

EBML_HEADER, SEGMENT = 0x1A45DFA3, 0x18538067
"""Ids of the two outermost elements of a WebM file (RFC 8794, RFC 9559)."""

ASF_HEADER = bytes.fromhex("3026b2758e66cf11")
"""First half of the identifier of the header object of an ASF (Windows Media) file."""


TS_PACKET = 188
"""Bytes of each packet of an MPEG transport stream, which is cut off if its last one is shorter."""


def minimum_size(path: Path) -> int:
    """The size in bytes that an mp4, mov, webm, mkv, avi, wmv or ts file has at least; 0 = it does not state it.

    Files that were recorded live do not state it. The frames themselves, in an mp4, are located by its index instead.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4096)
        if _read_element(start, 0)[0] == EBML_HEADER:
            return _webm_segment_end(start)
        if start[:4] == b"RIFF":
            return _riff_end(start)
        if start.startswith(ASF_HEADER):
            return _asf_end(file)
        if all(start[i : i + 1] == b"\x47" for i in range(0, 5 * TS_PACKET, TS_PACKET)):
            return -(-path.stat().st_size // TS_PACKET) * TS_PACKET
        return _mp4_index_end(file)


def _riff_end(start: bytes) -> int:
    """End of the first RIFF chunk; recorders that were stopped leave 0 or all ones."""
    size = int.from_bytes(start[4:8], "little")
    return 0 if size in {0, 0xFFFFFFFF} else 8 + size


def _asf_end(file: BinaryIO) -> int:
    """End of the data object, which follows the header object; sizes include the 24 bytes that state them."""
    header_size = int.from_bytes(os.pread(file.fileno(), 8, 16), "little")
    data_size = int.from_bytes(os.pread(file.fileno(), 8, header_size + 16), "little") if header_size < 2**62 else 0
    return header_size + data_size if 50 < data_size < 2**62 else 0  # a live recording states 0 or 50


def _mp4_index_end(file: BinaryIO) -> int:
    """End of the last index box of an mp4 or mov file."""
    position = end = 0
    while len(header := os.pread(file.fileno(), 16, position)) >= 8:
        size, kind = int.from_bytes(header[:4]), header[4:8]
        if size == 1:  # a 64-bit size follows
            size = int.from_bytes(header[8:])
        if size < 8:  # 0: until the end of the file; anything else is not a box
            break
        position += size
        if position >= 2**63:  # beyond any file: not a box either
            break
        end = position if kind in INDEX_BOXES else end
    return end


def _webm_segment_end(data: bytes) -> int:
    """End of the only segment of a WebM file."""
    _, size, content = _read_element(data, 0)
    if size is None:
        return 0
    id_, size, content = _read_element(data, content + size)
    return content + size if id_ == SEGMENT and size is not None else 0


def _read_element(data: bytes, position: int) -> tuple[int, int | None, int]:
    """(id, size or None if unknown, position of the content) of the EBML element at a position."""
    if len(data) < position + 12:
        return 0, None, position
    id_length = 9 - data[position].bit_length()
    size_position = position + id_length
    size_length = 9 - data[size_position].bit_length()
    if id_length > 4 or size_length > 8:
        return 0, None, position
    all_ones = (1 << 7 * size_length) - 1  # means an unknown size
    size = int.from_bytes(data[size_position : size_position + size_length]) & all_ones
    id_ = int.from_bytes(data[position:size_position])
    return id_, None if size == all_ones else size, size_position + size_length
