"""Video files -> upright RGB images and the frame rate; truncated files are detected before they are decoded."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from hearai.errors import DataError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video import VideoFrame, VideoStream

SUFFIXES = (".mp4", ".webm", ".mov")
"""Extensions of the files that are found in a folder of videos; case is ignored."""

DEMUXERS = "mov,matroska,webm,avi"
"""The FFmpeg demuxers that may be tried, whatever the extension: none of these opens a second file or a network."""

VARIABLE_RATE_FACTOR = 1.5
"""The frame rate is variable if the longest interval between two frames is more than this times the shortest."""

INDEX_BOXES = (b"moov", b"moof")
"""Boxes of an mp4 or mov file that locate the frames (ISO/IEC 14496-12)."""

EBML_HEADER, SEGMENT = 0x1A45DFA3, 0x18538067
"""Ids of the two outermost elements of a WebM file (RFC 8794, RFC 9559)."""


@dataclass(frozen=True)
class Video:
    """A video file. Each iteration decodes it again: uint8 (H, W, 3) RGB images, upright."""

    path: Path
    fps: float | None
    """Frames per second, averaged over the whole video; None if the file contains no times."""
    is_variable: bool
    """Whether the frame rate varies, so that frames are not evenly spaced."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Raises a DataError that names the file if a frame cannot be decoded or there are no frames."""
        import av

        is_empty = True
        with _FileErrors(self.path), _open(self.path) as container:
            try:
                for frame in container.decode(_video_stream(self.path, container)):
                    is_empty = False
                    yield _upright_image(frame)
            except av.FFmpegError as error:
                raise _unreadable(self.path, f"a frame is damaged: {error.strerror}") from None
        if is_empty:
            raise _unreadable(self.path, "no frames")


def read_video(path: Path) -> Video:
    """Opens an mp4, webm, mov (or mkv, avi) file and measures its frame rate.

    Rotations and mirroring stored in the file (phones record sideways) are applied. The frame rate is computed from
    the times of all frames: the rate stated in the file is only a guess if it is variable.

        video = read_video(path)
        images = list(video)            # uint8 (H, W, 3) RGB
        video.fps                       # 24.0004

    Raises:
        DataError: the file cannot be read, contains no video or is truncated; the message names it and the reason.
    """
    if path.exists() and not path.is_file():
        raise _unreadable(path, "not a regular file")  # reading a pipe would block
    with _FileErrors(path):
        if minimum_size(path) > path.stat().st_size:
            raise _truncated(path)
    with _FileErrors(path), _open(path) as container:
        stream = _video_stream(path, container)
        if any(entry.pos + entry.size > path.stat().st_size for entry in stream.index_entries):
            raise _truncated(path)
        times = []
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise _truncated(path)
            if packet.pts is not None and not packet.is_discard:
                times.append(packet.pts)
        intervals = np.diff(np.unique(times))
        if len(intervals) and stream.time_base is not None:
            fps = float(1 / (Fraction(int(intervals.sum()), len(intervals)) * stream.time_base))
            return Video(path, fps, bool(intervals.max() > VARIABLE_RATE_FACTOR * intervals.min()))
        return Video(path, float(stream.average_rate) if stream.average_rate else None, False)


class _FileErrors:
    """Turns errors of FFmpeg and the file system into a DataError that names the file."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        import av

        if isinstance(error, av.FFmpegError | OSError):
            raise _unreadable(self.path, error.strerror or str(error)) from None


def _open(path: Path) -> "InputContainer":
    import av

    # "file:" and the absolute path: a relative name with a colon would be parsed as a protocol
    return av.open(f"file:{os.path.abspath(path)}", options={"format_whitelist": DEMUXERS})


def _video_stream(path: Path, container: "InputContainer") -> "VideoStream":
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]  # cover art
    if not streams:
        raise _unreadable(path, "no video stream")
    return streams[0]


def _unreadable(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: cannot read ({reason}); expected a complete video")


def _truncated(path: Path) -> DataError:
    return _unreadable(path, "truncated file")


def _upright_image(frame: "VideoFrame") -> np.ndarray:
    """The frame as it is meant to be shown: quarter turns and mirroring of the file's display matrix applied."""
    quarter_turns, is_mirrored = _orientation(frame)
    image_HWC = np.rot90(frame.to_ndarray(format="rgb24"), quarter_turns)
    return np.ascontiguousarray(image_HWC[:, ::-1] if is_mirrored else image_HWC)


def _orientation(frame: "VideoFrame") -> tuple[int, bool]:
    """(quarter turns counter-clockwise, whether left and right are swapped afterwards)."""
    from av.sidedata.sidedata import Type

    data = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]  # its stub knows names only
    if data is None:
        return 0, False
    matrix: Sequence[int] = np.frombuffer(bytes(data), np.int32).tolist()
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    is_mirrored = a * d - b * c < 0
    return round(-math.atan2(b, -a if is_mirrored else a) / (math.pi / 2)) % 4, is_mirrored


def minimum_size(path: Path) -> int:
    """The size in bytes that an mp4, mov or webm file has at least, according to its headers; 0 = not stated.

    Files that were recorded live do not state it. The frames themselves, in an mp4, are located by its index instead.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4096)
        return _webm_segment_end(start) if _read_element(start, 0)[0] == EBML_HEADER else _mp4_index_end(file)


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
