"""Videos are read upright, as RGB, with their measured frame rate; broken ones are refused by name."""

import io
import os
import random
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from hearai.data.videos import read_video
from hearai.errors import DataError


def is_red(image: np.ndarray, down: int, right: int) -> bool:
    """Whether the quarter of the image in that row and column (0 or 1) is red."""
    height, width, _ = image.shape
    red, green, blue = image[height // 8 + down * height // 2, width // 8 + right * width // 2].astype(int)
    return red > 180 and green < 80 and blue < 80


@pytest.mark.parametrize("name", ["a.mp4", "a.MOV", "a.webm"])
def test_video_yields_rgb_images_each_time_it_is_iterated(tmp_path: Path, make_video: Callable, name: str):
    video = read_video(make_video(tmp_path / name, 7, rate=25))
    images = list(video)
    assert [(p.shape, p.dtype) for p in images] == [((48, 64, 3), np.dtype(np.uint8))] * 7
    assert is_red(images[0], 0, 0) and not any(is_red(images[0], *place) for place in [(0, 1), (1, 0), (1, 1)])
    bars = [int(image[:, 48, 1].argmax()) for image in images]
    assert bars == list(range(7))
    assert video.fps == pytest.approx(25) and not video.is_variable
    assert all(np.array_equal(a, b) for a, b in zip(video, images, strict=True))


@pytest.mark.parametrize(
    ("turn", "place"),
    [
        ((90, False, False), (1, 0)),
        ((180, False, False), (1, 1)),
        ((-90, False, False), (0, 1)),
        ((0, True, False), (0, 1)),
        ((0, False, True), (1, 0)),
        ((90, True, False), (1, 1)),
        ((-90, True, False), (0, 0)),
    ],
)
def test_rotation_and_mirroring_are_applied(tmp_path: Path, make_video: Callable, turn: tuple, place: tuple):
    image = next(iter(read_video(make_video(tmp_path / "a.mp4", turn=turn))))
    assert image.shape == ((64, 48, 3) if turn[0] % 180 else (48, 64, 3))
    assert [(down, right) for down in (0, 1) for right in (0, 1) if is_red(image, down, right)] == [place]
    assert image.flags.c_contiguous


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_variable_rate_is_averaged(tmp_path: Path, make_video: Callable, name: str):
    video = read_video(make_video(tmp_path / name, times=[0, 40, 80, 200, 240, 400]))
    assert video.fps == pytest.approx(5 / 0.4, rel=1e-3) and video.is_variable
    assert len(list(video)) == 6


def test_video_of_one_frame_has_its_stated_rate(tmp_path: Path, make_video: Callable):
    assert read_video(make_video(tmp_path / "a.mp4", 1, rate=10)).fps == pytest.approx(10)


def test_name_that_looks_like_a_url_is_a_file(tmp_path: Path, make_video: Callable, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "a.mp4").rename("http:a.mp4")
    assert len(list(read_video(Path("http:a.mp4")))) == 6


@pytest.mark.heavy
def test_incomplete_videos_are_refused_by_name(broken_videos: dict[str, tuple[Path, str]]):
    for path, reason in broken_videos.values():
        with pytest.raises(DataError, match=rf"^{path}: cannot read \(.*{reason}.*\); expected a complete video"):
            list(read_video(path))


def test_live_recording_without_a_stated_size_is_read(tmp_path: Path, make_video: Callable):
    path = make_video(tmp_path / "a.webm", options={"live": "1"})  # what browsers record
    assert len(list(read_video(path))) == 6


@pytest.mark.heavy
def test_real_videos_are_read_with_their_stated_rate(real_data: Path):
    rows = [line.split(",") for line in (real_data / "isl_avatar" / "glosses.csv").read_text().splitlines()[1:]]
    about = {row[0]: row[3:7] for row in rows}
    paths = sorted((real_data / "isl_avatar" / "mp4").glob("*.mp4"))
    assert len(paths) == 12
    for path in paths:
        frames, fps, width, height = about[path.stem]
        video = read_video(path)
        images = list(video)
        assert len(images) == int(frames) and video.fps == pytest.approx(float(fps))
        assert {image.shape for image in images} == {(int(height), int(width), 3)}


CONTAINERS = {
    "a.avi": ("avi", "mpeg4"),
    "a.mkv": ("matroska", "libx264"),
    "a.m4v": ("mp4", "libx264"),
    "a.mpg": ("mpeg", "mpeg2video"),
    "a.ts": ("mpegts", "libx264"),
    "a.flv": ("flv", "flv"),
    "a.wmv": ("asf", "wmv2"),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_read_and_its_truncation_noticed(tmp_path: Path, make_video: Callable, name: str):
    form, codec = CONTAINERS[name]
    path = make_video(tmp_path / name, 20, rate=10, form=form, codec=codec)
    video = read_video(path)
    assert video.fps == pytest.approx(10) and len(list(video)) == 20 and not video.notes
    os.truncate(path, int(path.stat().st_size * 0.6) // 188 * 188 - 50)
    with pytest.raises(DataError, match=r"a\.\w+: cannot read \(.*(truncated|damaged|incomplete)"):
        list(read_video(path))


def flip_bytes(path: Path, count: int = 60) -> Path:
    """Inverts bits of bytes in the middle of a file."""
    data, places = bytearray(path.read_bytes()), random.Random(1)
    for _ in range(count):
        data[places.randrange(len(data) // 3, len(data) * 2 // 3)] ^= 0x55
    path.write_bytes(data)
    return path


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mpg", "a.flv", "a.wmv"])
def test_damage_within_a_video_is_refused_or_kept_with_a_remark(tmp_path: Path, make_video: Callable, name: str):
    form, codec = CONTAINERS.get(name, ("mp4", "libx264"))
    path = make_video(tmp_path / name, 20, size=(160, 120), form=form, codec=codec)
    intact = read_video(path, keep_damaged=True)
    assert len(list(intact)) == 20 and intact.remark is None
    flip_bytes(path)
    with pytest.raises(DataError, match=r"cannot read \(.*damaged.*\); expected .* or give --keep-damaged"):
        list(read_video(path))
    kept = read_video(path, keep_damaged=True)
    assert list(kept) and kept.remark and kept.remark.startswith("kept although damaged: ")
    assert len(list(kept)) > 1 and kept.remark.count("kept") == 1  # each iteration finds the damage again


def test_truncated_video_is_kept_up_to_its_end(tmp_path: Path, make_video: Callable):
    path = make_video(tmp_path / "a.mp4", 20, options={"movflags": "faststart"})
    os.truncate(path, int(path.stat().st_size * 0.7))
    kept = read_video(path, keep_damaged=True)
    assert 0 < len(list(kept)) < 20 and "truncated file" in (kept.remark or "")


def test_recording_of_a_broadcast_may_begin_between_key_frames(tmp_path: Path, make_video: Callable):
    path = make_video(tmp_path / "a.ts", 20, form="mpegts", codec="mpeg2video")
    packets = [path.read_bytes()[i : i + 188] for i in range(0, path.stat().st_size, 188)]
    path.write_bytes(b"".join([*packets[:2], *packets[9:]]))  # the tables, then the middle of the first frames
    assert 10 <= len(list(read_video(path))) < 20


def test_longest_of_several_video_streams_is_read(tmp_path: Path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream, side in zip(streams, (64, 32), strict=True):
            stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for stream, side, frames in zip(streams, (64, 32), (3, 9), strict=True):
            image = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8), "rgb24")
            for i in range(frames):
                image.pts = i
                container.mux(stream.encode(image))
            container.mux(stream.encode())
    video = read_video(tmp_path / "a.mp4")
    assert [image.shape for image in video] == [(32, 32, 3)] * 9
    (note,) = video.notes
    assert note.startswith("contains 2 video streams; the longest is read: number 2, ")


@pytest.mark.parametrize(
    ("ratio", "turn", "shape"),
    [
        (Fraction(16, 11), None, (48, 93, 3)),
        (Fraction(8, 9), None, (48, 57, 3)),
        (Fraction(2), (90, False, False), (128, 48, 3)),
        (Fraction(40), None, (48, 64, 3)),  # nonsense
    ],
)
def test_pixels_are_made_square(
    tmp_path: Path, make_video: Callable, ratio: Fraction, turn: tuple | None, shape: tuple[int, ...]
):
    video = read_video(make_video(tmp_path / "a.mp4", ratio=ratio, turn=turn))
    image = next(iter(video))
    assert image.shape == shape and is_red(image, 1 if turn else 0, 0)
    (note,) = video.notes
    assert f"pixels of {ratio.numerator}:{ratio.denominator}" in note


def archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("a.txt", "text")
    return data.getvalue()


def image(form: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, form)
    return data.getvalue()


NOT_VIDEOS = {
    "page": (b"\n<!DOCTYPE html><html><body>Log in</body></html>", "it is a web page", "open the address in a browser"),
    "text": (b"Error 403: quota exceeded", "begins with 'Error 403: quota exceeded'", "open the text"),
    "control characters": ("\x1b[2JError \N{WARNING SIGN}".encode(), r"'\x1b[2JError", "open the text"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer", "git lfs pull"),
    "jpeg": (image("JPEG"), "it is a JPEG image", "NAME_0.jpg"),
    "png": (image("PNG"), "it is a PNG image", "NAME_0.jpg"),
    "gif": (image("GIF"), "it is a GIF image", "NAME_0.jpg"),
    "zip": (archive(), "it is a zip archive", "unpack it"),
    "sound": (b"RIFF\x24\0\0\0WAVEfmt ", "it is a sound file", "replace it with the video"),
    "empty": (b"", "it is an empty file", "download it again"),
    "bytes": (bytes(range(256)) * 9, "of an unknown kind", "download it again"),
}


@pytest.mark.parametrize("what", NOT_VIDEOS)
def test_other_file_named_as_a_video_is_recognised(tmp_path: Path, what: str):
    content, found, advice = NOT_VIDEOS[what]
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(DataError, match="a.mp4: cannot read .*; expected a complete video: ") as caught:
        read_video(tmp_path / "a.mp4")
    (problem,) = caught.value.problems
    assert found in problem and advice in problem and "\x1b" not in problem


def test_other_container_named_mp4_is_read_and_noted(tmp_path: Path, make_video: Callable):
    video = read_video(make_video(tmp_path / "a.mp4", form="avi", codec="mpeg4"))
    assert len(list(video)) == 6
    assert video.notes == ("is an AVI video named .mp4; it is read as what it is",)


def test_file_with_sound_only_is_refused(broken_videos: dict[str, tuple[Path, str]]):
    with pytest.raises(DataError, match="no video stream: only sound"):
        read_video(broken_videos["audio"][0])
