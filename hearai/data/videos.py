"""Video files -> upright RGB images and the frame rate; truncated and damaged files are refused, or named as such."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hearai.data.media.declared_size import minimum_size
from hearai.data.media.decoding import decode, upright_image
from hearai.data.media.kinds import GIF, UNKNOWN, Kind, kind_of
from hearai.data.media.streams import (
    TRUNCATED,
    FileErrors,
    Survey,
    open_video,
    pixel_ratio,
    survey,
    unreadable,
    video_streams,
)
from hearai.errors import DataError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video import VideoStream

SUFFIXES: tuple[str, ...] = (
    *(".mp4", ".webm", ".mov", ".m4v", ".mkv", ".avi", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".wmv", ".asf", ".flv"),
    *(".f4v", ".3gp", ".3g2", ".ogv", ".mts", ".m2ts", ".qt", ".divx", ".mxf", ".dv", ".rm", ".rmvb"),
)
"""Extensions of videos; case is ignored. Other files are recognised by their content."""

KEEP = "copy or download it again, or give --keep-damaged"


@dataclass(frozen=True)
class Video:
    """A video file. Each iteration decodes it again: uint8 (H, W, 3) RGB images, upright, with square pixels."""

    path: Path
    fps: float | None
    """Frames per second, averaged over the whole video; None if the file contains no times."""
    is_variable: bool
    """Whether the frame rate varies, so that frames are not evenly spaced."""
    notes: tuple[str, ...] = ()
    """What is unusual about the file, and what was done about it."""
    stream: int = 0
    """Index of the stream that is read."""
    keep_damaged: bool = False
    """Whether a damaged video is read as far as possible."""
    missing: tuple[str, ...] = ()
    """Why the file is incomplete, if it was opened nevertheless."""
    packets: int = 0
    """Frames by the packets of the stream; decoding may give a few more or fewer."""
    damage: list[str] = field(default_factory=list, compare=False)
    """What the last iteration found damaged; always empty unless `keep_damaged`."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Raises a DataError that names the file if a frame is damaged, or if there are no frames."""
        self.damage[:] = self.missing
        is_empty = True
        with FileErrors(self.path), open_video(self.path) as container:
            stream = self._stream(container)
            ratio = pixel_ratio(stream)
            if self.keep_damaged:
                self._look_for_damage()
            report = _ignore if self.keep_damaged else self._refuse
            for frame in decode(container, stream, report, strict=not self.keep_damaged):
                is_empty = False
                yield upright_image(frame, ratio)
        if is_empty:
            raise unreadable(self.path, f"no frames{': ' + self.damage[0] if self.damage else ''}")

    def _look_for_damage(self) -> None:
        """A pass of its own: a decoder that conceals damage does not always report it."""
        with open_video(self.path) as container:
            for _ in decode(container, self._stream(container), self.damage.append, strict=True):
                pass

    def _stream(self, container: "InputContainer") -> "VideoStream":
        return next(stream for stream in container.streams.video if stream.index == self.stream)

    def _refuse(self, problem: str) -> None:
        raise unreadable(self.path, problem, KEEP)

    @property
    def remark(self) -> str | None:
        """What the last iteration found damaged, in one line."""
        if not self.damage:
            return None
        more = f", and {len(self.damage) - 1} more" if len(self.damage) > 1 else ""
        return f"kept although damaged: {self.damage[0]}{more}"


def _ignore(_: str) -> None:
    """Of a video that is read although it is damaged."""


def read_video(path: Path, *, keep_damaged: bool = False) -> Video:
    """Opens a video of any known container (mp4, mov, webm, mkv, avi, mpg, ts, flv, wmv, ...) and measures its rate.

    Rotations and mirroring stored in the file (phones record sideways) are applied, and pixels that are not square
    are made square. The frame rate is computed from the times of all frames: the rate stated in the file is only a
    guess if it is variable. Of several video streams the longest is read.

        video = read_video(path)
        images = list(video)            # uint8 (H, W, 3) RGB
        video.fps                       # 24.0004

    Args:
        keep_damaged: reads the intact part of a truncated or damaged video; `Video.remark` then says what is wrong.

    Raises:
        DataError: the file cannot be read, contains no video or is truncated; the message names it and the reason.
    """
    if path.exists() and not path.is_file():
        raise unreadable(path, "not a regular file")  # reading a pipe would block
    with FileErrors(path):
        kind = kind_of(path)
        is_cut = (kind.is_container or kind is UNKNOWN) and minimum_size(path) > path.stat().st_size
    if is_cut and not keep_damaged:
        raise unreadable(path, TRUNCATED, KEEP)
    found = _survey(path, kind, is_cut=is_cut)
    if found.damage and not keep_damaged:
        raise unreadable(path, found.damage[0], KEEP)
    notes, stream = [*_ending_notes(path, kind), *found.notes], found.stream
    if kind is GIF and len(stream.presented) == 1:
        raise unreadable(path, f"it is {kind.name}", kind.advice)
    about = (path, stream.fps, stream.is_variable, tuple(notes), stream.index, keep_damaged, found.damage)
    return Video(*about, packets=len(stream.presented))


def _survey(path: Path, kind: Kind, *, is_cut: bool) -> Survey:
    import av

    try:
        with open_video(path) as container:
            return survey(path, container, is_cut=is_cut)
    except av.FFmpegError as error:
        if not kind.is_container:
            raise unreadable(path, f"Invalid data: it is {kind.name}", kind.advice) from None
        raise unreadable(
            path, f"{error.strerror}: {TRUNCATED if is_cut else 'incomplete or damaged'}", kind.advice
        ) from None
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from None


def _ending_notes(path: Path, kind: Kind) -> list[str]:
    """A note about a container with the extension of another one; it is read nevertheless."""
    if kind.is_container and path.suffix.lower() in SUFFIXES and path.suffix.lower() not in kind.endings:
        return [f"is {kind.name} named {path.suffix}; it is read as what it is"]
    return []


def contains_video(path: Path) -> bool:
    """Whether a file with any extension is a readable video by its content: a container with moving images."""
    import av

    if not path.is_file():
        return False
    try:
        kind = kind_of(path)
        if not kind.is_container:
            return False
        with open_video(path) as container:
            (stream, *_) = video_streams(path, container)
            packets = sum(packet.size > 0 for packet, _ in zip(container.demux(stream), range(2), strict=False))
            return kind is not GIF or packets > 1  # a still GIF is an image
    except (av.FFmpegError, OSError, DataError):
        return False
