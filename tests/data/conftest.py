"""Fixtures of the data tests: encoded videos."""

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.mediapipe_material import write_waving

CODECS = {".mp4": "libx264", ".mov": "mpeg4", ".webm": "libvpx"}


def pattern(i: int, width: int = 64, height: int = 48) -> np.ndarray:
    """The top left quarter is red, the rest black; a white bar moves down with the frame number."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 250
    image[i % height, width // 2 :] = 250
    return image


@pytest.fixture(scope="session")
def waving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video of 4 frames in which MediaPipe finds a body and its right hand."""
    return write_waving(tmp_path_factory.mktemp("videos") / "a.mp4")


@pytest.fixture
def make_video() -> Callable[..., Path]:
    """make_video(path, frames=6, rate=25, turn=(degrees, hflip, vflip), times=None, size=(64, 48), options={}) -> path.

    `times` (milliseconds, one per frame) make a variable frame rate. `form` and `codec` are FFmpeg's names of a
    container and an encoder, `ratio` is the width of a pixel over its height.
    """

    def make(
        path: Path,
        frames: int = 6,
        *,
        rate: int = 25,
        turn: tuple[int, bool, bool] | None = None,
        times: Sequence[int] | None = None,
        size: tuple[int, int] = (64, 48),
        options: dict[str, str] | None = None,
        form: str | None = None,
        codec: str | None = None,
        ratio: Fraction | None = None,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        form = form or {".mov": "mov", ".webm": "webm"}.get(path.suffix.lower(), "mp4")
        with av.open(str(path), "w", format=form, options=options or {}) as container:
            stream = container.add_stream(
                codec or CODECS.get(f".{form}", "libx264"),
                rate=rate,
                options={"b": "500k", "preset": "ultrafast", "g": "6"},
            )
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            if ratio is not None:
                stream.codec_context.sample_aspect_ratio = ratio
            if turn is not None:
                stream.set_display_rotation(*turn)
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for i in range(frames if times is None else len(times)):
                frame = av.VideoFrame.from_ndarray(pattern(i, *size), "rgb24")
                if times is not None:
                    frame.pts, frame.time_base = times[i], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


def cut(path: Path, share: float) -> Path:
    os.truncate(path, int(path.stat().st_size * share))
    return path


def cut_after(path: Path, box: bytes) -> Path:
    """Truncates an mp4 file shortly after the start of one of its boxes."""
    os.truncate(path, path.read_bytes().index(box) + 20)
    return path


def damage(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    first = data.index(b"mdat") + 1000  # past the encoder's banner, within the frames
    data[first : first + 200] = bytes(200)
    path.write_bytes(data)
    return path


def audio(path: Path, cover: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        if cover:
            art = container.add_stream("mjpeg", rate=1)
            art.width, art.height, art.pix_fmt, art.disposition = 32, 32, "yuvj420p", 1024
        container.mux([*sound.encode(silence(44100)), *sound.encode()])
        if cover:
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
            container.mux([*art.encode(image), *art.encode()])
    return path


def without_frames(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("libopus", rate=48000)
        container.mux([*sound.encode(silence(48000)), *sound.encode()])
    return path


def silence(rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    return frame


@pytest.fixture
def broken_videos(tmp_path: Path, make_video: Callable[..., Path]) -> dict[str, tuple[Path, str]]:
    """{kind: (file, part of the reason)}, all in one folder."""
    folder = tmp_path / "broken"
    folder.mkdir()
    text, empty = folder / "text.mp4", folder / "empty.mp4"
    text.write_text("not a video\n" * 99)
    empty.touch()
    playlist, pipe = folder / "playlist.mp4", folder / "pipe.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:10,\nother.mp4\n")
    os.mkfifo(pipe)
    link = folder / "link.mp4"
    link.symlink_to(folder / "nowhere.mp4")
    fast = {"options": {"movflags": "faststart"}}
    live = {"options": {"movflags": "frag_keyframe+empty_moov"}}
    return {
        "text": (text, "Invalid data"),
        "empty": (empty, "Invalid data"),
        "playlist": (playlist, "Invalid data"),
        "missing": (link, "No such file"),
        "pipe": (pipe, "not a regular file"),
        "audio": (audio(folder / "audio.mp4"), "no video stream"),
        "cover art": (audio(folder / "cover.mp4", cover=True), "no video stream"),
        "truncated": (cut(make_video(folder / "cut.mp4", 30), 0.3), "Invalid data"),
        "truncated index": (cut_after(make_video(folder / "half.mp4"), b"moov"), "truncated file"),
        "truncated after the index": (cut_after(make_video(folder / "tail.mp4"), b"udta"), "truncated file"),
        "truncated, index first": (cut(make_video(folder / "fast.mp4", 30, **fast), 0.6), "truncated file"),
        "truncated fragments": (cut(make_video(folder / "live.mp4", 30, **live), 0.6), "truncated file"),
        "truncated webm": (cut(make_video(folder / "webm.webm", 30), 0.6), "truncated file"),
        "damaged": (damage(make_video(folder / "damaged.mp4", 30)), "damaged"),
        "no frames": (without_frames(folder / "frames.webm"), "no frames"),
    }
