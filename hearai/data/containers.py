"""Where a video file says that it ends: what FFmpeg does not check where the cut lies between two frames."""

import os
from pathlib import Path
from typing import BinaryIO

EBML_HEADER, SEGMENT = 0x1A45DFA3, 0x18538067
"""Ids of a WebM file's two outermost elements (RFC 8794, RFC 9559)."""

INDEX_BOXES = (b"moov", b"moof")
"""Boxes of an mp4 or mov file that say where the frames are (ISO/IEC 14496-12)."""


def stated_end(path: Path) -> int:
    """The length in bytes that an mp4, mov or webm file must have by its own account; 0 = it does not say.

    Files that were recorded live do not say. The frames themselves, in an mp4, are listed in its index, not here.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(4096)
        return _segment_end(head) if _element(head, 0)[0] == EBML_HEADER else _index_end(file)


def _index_end(file: BinaryIO) -> int:
    """End of the last index box of an mp4 or mov file."""
    at = end = 0
    while len(header := os.pread(file.fileno(), 16, at)) >= 8:
        size, kind = int.from_bytes(header[:4]), header[4:8]
        if size == 1:  # the true one follows
            size = int.from_bytes(header[8:])
        if size < 8:  # 0: up to the end of the file; anything else is no box
            break
        at += size
        end = at if kind in INDEX_BOXES else end
    return end


def _segment_end(head: bytes) -> int:
    """End of a WebM file's one segment."""
    _, size, at = _element(head, 0)
    if size is None:
        return 0
    id_, size, at = _element(head, at + size)
    return at + size if id_ == SEGMENT and size is not None else 0


def _element(data: bytes, at: int) -> tuple[int, int | None, int]:
    """(id, size or None where unknown, first byte of the content) of the EBML element at a place."""
    if len(data) < at + 12:
        return 0, None, at
    id_length = 9 - data[at].bit_length()
    content = at + id_length
    size_length = 9 - data[content].bit_length()
    if id_length > 4 or size_length > 8:
        return 0, None, at
    unknown = (1 << 7 * size_length) - 1
    size = int.from_bytes(data[content : content + size_length]) & unknown
    id_ = int.from_bytes(data[at:content])
    return id_, None if size == unknown else size, content + size_length
