"""Video files -> upright RGB pictures and the frame rate."""

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
"""Endings of the files that a folder of videos is searched for, in any case."""

CONTAINERS = "mov,matroska,webm,avi"
"""FFmpeg's readers that may be tried, whatever a file's name says: none of these opens a second file or a network."""

UNEVEN = 1.5
"""The frame rate varies where the longest step between two frames is more than this times the shortest."""


@dataclass(frozen=True)
class Video:
    """A video file. Going over it decodes it, each time anew: uint8 (H, W, 3) RGB pictures, upright."""

    path: Path
    fps: float | None
    """Frames per second, the average over the whole video; None where the file gives no times."""
    variable: bool
    """Whether the frame rate varies, so that frames are not evenly spaced."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Raises a DataError that names the file where a picture cannot be decoded, or none is there."""
        import av

        empty = True
        with _reading(self.path), _open(self.path) as container:
            try:
                for frame in container.decode(_video_stream(self.path, container)):
                    empty = False
                    yield _upright(frame)
            except av.FFmpegError as error:
                raise _unreadable(self.path, f"a picture is damaged: {error.strerror}") from None
        if empty:
            raise _unreadable(self.path, "not one picture in it")


def read_video(path: Path) -> Video:
    """The pictures of an mp4, webm, mov (or mkv, avi) file, with its frame rate.

    Turns and mirrorings that the file asks for (phones film lying down) are applied. The rate is measured from the
    times of all frames: files name a rate, too, but for a varying one that is a guess.

        video = read_video(path)
        pictures = list(video)          # uint8 (H, W, 3) RGB
        video.fps                       # 24.0004

    Raises:
        DataError: the file cannot be read, holds no video or was cut off; it is named with the reason.
    """
    if path.exists() and not path.is_file():
        raise _unreadable(path, "no file")  # a pipe would be waited for
    with _reading(path):
        if stated_end(path) > path.stat().st_size:
            raise _cut_off(path)
    with _reading(path), _open(path) as container:
        stream = _video_stream(path, container)
        if any(entry.pos + entry.size > path.stat().st_size for entry in stream.index_entries):
            raise _cut_off(path)
        times = []
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise _cut_off(path)
            if packet.pts is not None and not packet.is_discard:
                times.append(packet.pts)
        steps = np.diff(np.unique(times))
        if len(steps):
            fps = float(1 / (Fraction(int(steps.sum()), len(steps)) * stream.time_base))
            return Video(path, fps, bool(steps.max() > UNEVEN * steps.min()))
        return Video(path, float(stream.average_rate) if stream.average_rate else None, False)


class _reading:
    """Turns what FFmpeg and the file system say into a DataError that names the file."""

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

    # "file:" and the whole path: a relative name with a colon would be taken for a protocol
    return av.open(f"file:{os.path.abspath(path)}", options={"format_whitelist": CONTAINERS})


def _video_stream(path: Path, container: "InputContainer") -> "VideoStream":
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]  # cover art
    if not streams:
        raise _unreadable(path, "no video in it")
    return streams[0]


def _unreadable(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: cannot be read ({reason}); a whole video with pictures is due")


def _cut_off(path: Path) -> DataError:
    return _unreadable(path, "the file ends too early")


def _upright(frame: "VideoFrame") -> np.ndarray:
    """The picture as it is to be seen: quarter turns and mirrorings of the file's display matrix applied."""
    picture_HWC = frame.to_ndarray(format="rgb24")
    turns, mirrored = _orientation(frame)
    picture_HWC = np.rot90(picture_HWC, turns)
    return np.ascontiguousarray(picture_HWC[:, ::-1] if mirrored else picture_HWC)


def _orientation(frame: "VideoFrame") -> tuple[int, bool]:
    """(quarter turns counter-clockwise, whether left and right are swapped after them)."""
    from av.sidedata.sidedata import Type

    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return 0, False
    matrix: Sequence[int] = np.frombuffer(bytes(data), np.int32).tolist()
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    mirrored = a * d - b * c < 0
    return round(-math.atan2(b, -a if mirrored else a) / (math.pi / 2)) % 4, mirrored


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
