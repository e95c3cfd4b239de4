"""Decodes the frames of a video stream: upright images with square pixels; damage is noticed."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from hearai.data.media.streams import ffmpeg_errors

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video import VideoFrame, VideoStream

STRICT = {"err_detect": "crccheck+explode"}
"""Options of FFmpeg's decoders: checksums are compared, and what a decoder would conceal is an error."""

HARMLESS = re.compile(r"SEI type|mmco: unref short|co located POCs|overread")
"""Messages of decoders about oddities of encoders that leave the image intact."""

STARTS_ANYWHERE = {"mpegts", "mpeg"}
"""Demuxers of broadcasts: a recording begins in the middle of a group of frames, which cannot be decoded."""


def decode(
    container: "InputContainer", stream: "VideoStream", report: Callable[[str], None], *, strict: bool
) -> Iterator["VideoFrame"]:
    """Yields the frames of a stream in the order in which they are shown.

    Args:
        report: called with a message for each damaged packet; may raise.
        strict: damaged frames are not concealed.
    """
    context = stream.codec_context
    context.thread_count = 1  # messages must come from this thread: see `ffmpeg_errors`
    if strict:
        context.options = STRICT
    has_started = container.format.name not in STARTS_ANYWHERE
    for packet in _packets(container, stream, report):
        has_started = has_started or packet.is_keyframe
        frames, problem = _decode(packet)
        if problem and has_started:
            report(f"a frame is damaged at {_seconds(packet):.2f} s: {problem}")
        yield from frames


def _packets(container: "InputContainer", stream: "VideoStream", report: Callable[[str], None]) -> Iterator["Packet"]:
    """The packets of a stream; an error of the container is reported, and ends them."""
    import av

    try:
        yield from container.demux(stream)
    except av.FFmpegError as error:
        report(f"damaged: {error.strerror}")


def _decode(packet: "Packet") -> tuple[list["VideoFrame"], str | None]:
    """The frames that a packet completes, and what is wrong with it."""
    import av

    frames: list[VideoFrame] = []
    problem = None
    with ffmpeg_errors() as errors:
        try:
            frames = packet.decode()  # type: ignore[assignment]  # a packet of a video stream
        except av.FFmpegError as error:
            problem = error.strerror
    messages = [message.strip() for _, _, message in errors if not HARMLESS.search(message)]
    if messages:
        problem = messages[0]
    if not problem and (packet.is_corrupt or any(frame.is_corrupt for frame in frames)):
        problem = "the decoder concealed errors"
    return frames, problem


def _seconds(packet: "Packet") -> float:
    time = packet.pts if packet.pts is not None else packet.dts
    return 0.0 if time is None or packet.time_base is None else float(time * packet.time_base)


def upright_image(frame: "VideoFrame", ratio: Fraction) -> np.ndarray:
    """The frame as it is meant to be shown, uint8 (H, W, 3) RGB: square pixels, turned and mirrored upright.

    The width is changed to make pixels of `ratio` square; the height is kept.
    """
    quarter_turns, is_mirrored = _orientation(frame)
    width = round(frame.width * ratio)
    if width != frame.width:
        frame = frame.reformat(width, frame.height, interpolation="BICUBIC")
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
