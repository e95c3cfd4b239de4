"""Opens a video file: which stream is read, the times of its frames, and whether the file is complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hearai.errors import DataError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video import VideoStream

DEMUXERS = "mov,matroska,webm,avi,mpeg,mpegts,flv,asf,ogg,dv,mxf,ivf,rm,gif,mpegvideo"
"""The FFmpeg demuxers that may be tried, whatever the extension: none of these opens a second file or a network."""

DECLARES_DURATION = {"matroska", "webm", "avi", "flv", "asf"}
"""Demuxers whose duration is stated in the file; that of the others is measured at its end."""

LOGS_DAMAGE_ONLY = {"matroska,webm", "asf", "flv"}
"""Demuxers whose error messages mean damage; others log harmless oddities in this way, too."""

WITHOUT_TIMES = {"mpegvideo"}
"""Demuxers whose files contain no times: FFmpeg guesses 25 frames per second."""

VARIABLE_RATE_FACTOR = 1.5
"""The frame rate is variable if the longest interval between two frames is more than this times the shortest."""

MAX_PIXEL_RATIO = 4
"""Of the sides of a pixel; a file that states more is wrong about it."""

TRUNCATED = "truncated file"


@dataclass
class StreamSurvey:
    """What the packets of one video stream say, without decoding them."""

    index: int
    pixels: int
    """Of one frame."""
    presented: list[int | None] = field(default_factory=list)
    """When each frame is shown, in units of the stream's time base; None = not stated."""
    decoded: list[int | None] = field(default_factory=list)
    """When each frame is decoded: equal intervals as in `presented`, another order."""
    corrupt: list[int] = field(default_factory=list)
    """Numbers of the packets that the demuxer found incomplete."""
    fps: float | None = None
    is_variable: bool = False
    seconds: float = 0.0
    """From the first frame to the last."""

    @property
    def times(self) -> list[int]:
        """Sorted times of the frames, as far as each has one."""
        for times in (self.presented, self.decoded):
            if None not in times:
                return sorted({time for time in times if time is not None})
        return []


@dataclass(frozen=True)
class Survey:
    """What is known about a video file before it is decoded."""

    stream: StreamSurvey
    notes: tuple[str, ...]
    damage: tuple[str, ...]
    """Why the file is incomplete."""


class FileErrors:
    """Turns errors of FFmpeg and the file system into a DataError that names the file."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        import av

        if isinstance(error, av.FFmpegError | OSError):
            raise unreadable(self.path, error.strerror or str(error)) from None


def unreadable(path: Path, reason: str, advice: str = "") -> DataError:
    """The error about a video that cannot be read."""
    return DataError(f"{path}: cannot read ({reason}); expected a complete video{advice and ': ' + advice}")


def open_video(path: Path) -> "InputContainer":
    """Opens a file of a known container format.

    Raises:
        av.FFmpegError: it is not one.
    """
    import av

    # "file:" and the absolute path: a relative name with a colon would be parsed as a protocol
    return av.open(f"file:{os.path.abspath(path)}", options={"format_whitelist": DEMUXERS})


def video_streams(path: Path, container: "InputContainer") -> list["VideoStream"]:
    """The streams of moving images that can be decoded.

    Raises:
        DataError: there are none.
    """
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]  # cover art
    known = [stream for stream in streams if stream.codec_context is not None]
    if streams and not known:
        raise unreadable(path, "its codec is not supported by FFmpeg", "convert it to H.264 in an .mp4 file")
    if not known:
        only_sound = ": only sound" if container.streams.audio else ""
        raise unreadable(path, f"no video stream{only_sound}")
    return known


@contextmanager
def ffmpeg_errors() -> Iterator[list[tuple[int, str, str]]]:
    """The errors that FFmpeg logs in this thread: (level, name of the part, message).

    Decoders conceal damaged parts of an image without any other sign of it.
    """
    import av.logging

    before = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # a message left over from another file would be reported for this one
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        av.logging.set_level(before[0])
        av.logging.set_skip_repeated(before[1])


def survey(path: Path, container: "InputContainer", *, is_cut: bool) -> Survey:
    """Reads all packets of a file and chooses its longest video stream.

    Args:
        is_cut: the file is known to be shorter than it was.

    Raises:
        DataError: no video stream.
    """
    streams = {stream.index: stream for stream in video_streams(path, container)}
    size = path.stat().st_size
    is_cut = is_cut or any(
        entry.pos + entry.size > size for stream in streams.values() for entry in stream.index_entries
    )
    found, end, damage = _read_packets(container, streams)
    for index, seen in found.items():
        _measure(seen, streams[index], is_timed=container.format.name not in WITHOUT_TIMES)
    longest = max(found.values(), key=lambda seen: (round(seen.seconds, 1), seen.pixels, -seen.index))
    notes = _pixel_notes(streams[longest.index])
    if len(found) > 1:
        number = list(found).index(longest.index) + 1
        notes.append(
            f"contains {len(found)} video streams; the longest is read: number {number}, {longest.seconds:.1f} s"
        )
    last = len(longest.presented) - 1
    if is_cut or last in longest.corrupt or _ends_early(container, end):
        damage = [TRUNCATED, *damage]
    elif longest.corrupt:
        damage.append(f"damaged: {len(longest.corrupt)} of {last + 1} frames are incomplete")
    return Survey(longest, tuple(notes), tuple(damage))


def _read_packets(
    container: "InputContainer", streams: dict[int, "VideoStream"]
) -> tuple[dict[int, StreamSurvey], float, list[str]]:
    """({index: what its packets say}, when the last packet of any stream ends in seconds, damage of the container)."""
    import av

    found = {index: StreamSurvey(index, stream.width * stream.height) for index, stream in streams.items()}
    end, reports_damage_only = 0.0, container.format.name in LOGS_DAMAGE_ONLY
    damage: list[str] = []
    packets = container.demux()
    while True:
        try:
            with ffmpeg_errors() as errors:
                packet = next(packets, None)
        except av.FFmpegError as error:
            return found, end, [*damage, f"damaged: {error.strerror}"]
        damage += [f"damaged: {message.strip()}" for _, _, message in errors if reports_damage_only and not damage]
        if packet is None:
            return found, end, damage
        seen = found.get(packet.stream.index)
        if not packet.size and not packet.is_corrupt:
            continue  # marks the end of a stream
        end = max(end, _end(packet))
        if seen is None:
            continue
        if packet.is_corrupt:
            seen.corrupt.append(len(seen.presented))
        if not packet.is_discard:
            seen.presented.append(packet.pts)
            seen.decoded.append(packet.dts)


def _end(packet: "Packet") -> float:
    time = packet.pts if packet.pts is not None else packet.dts
    return (
        0.0 if time is None or packet.time_base is None else float((time + (packet.duration or 0)) * packet.time_base)
    )


def _ends_early(container: "InputContainer", end: float) -> bool:
    """Whether the packets end before the duration that the file states, in seconds; a rounded one is tolerated."""
    if not DECLARES_DURATION & set(container.format.name.split(",")) or not container.duration:
        return False
    declared = container.duration / 1e6
    return end < declared - max(0.5, 0.05 * declared)


def _measure(seen: StreamSurvey, stream: "VideoStream", *, is_timed: bool) -> None:
    """Sets the frame rate and the length of a stream."""
    intervals = np.diff(seen.times)
    if is_timed and len(intervals) and stream.time_base is not None:
        seconds = int(intervals.sum()) * stream.time_base
        seen.seconds = float(seconds)
        seen.fps = float(1 / Fraction(seconds, len(intervals)))
        seen.is_variable = bool(intervals.max() > VARIABLE_RATE_FACTOR * intervals.min())
    elif is_timed and stream.average_rate:
        seen.fps = float(stream.average_rate)


def pixel_ratio(stream: "VideoStream") -> Fraction:
    """Width of a pixel over its height; 1 if the file does not state it, or states nonsense."""
    ratio = stream.sample_aspect_ratio
    return ratio if ratio and Fraction(1, MAX_PIXEL_RATIO) <= ratio <= MAX_PIXEL_RATIO else Fraction(1)


def _pixel_notes(stream: "VideoStream") -> list[str]:
    ratio, stated = pixel_ratio(stream), stream.sample_aspect_ratio
    if stated and stated != ratio:
        return [f"states pixels of {stated.numerator}:{stated.denominator}, which cannot be; they are taken as square"]
    width = round(stream.width * ratio)
    if width == stream.width:
        return []
    before, after = f"{stream.width} x {stream.height}", f"{width} x {stream.height}"
    return [f"has pixels of {ratio.numerator}:{ratio.denominator}; made square: {before} -> {after}"]
