"""Videos are read upright, as RGB, with their measured frame rate; broken ones are refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

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


def test_incomplete_videos_are_refused_by_name(broken_videos: dict[str, tuple[Path, str]]):
    for path, reason in broken_videos.values():
        with pytest.raises(DataError, match=rf"^{path}: cannot read \(.*{reason}.*\); expected a complete video"):
            list(read_video(path))


def test_live_recording_without_a_stated_size_is_read(tmp_path: Path, make_video: Callable):
    path = make_video(tmp_path / "a.webm", options={"live": "1"})  # what browsers record
    assert len(list(read_video(path))) == 6


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
