"""Clips given one by one: frame folders and video files; every invalid one is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hearai.data.unlabelled import unlabelled_clips
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING
from tests.helpers.videos import write_damaged_video, write_video


def write_frames(folder: Path, numbers: range, name: str | None = None) -> Path:
    folder.mkdir(parents=True)
    for i in numbers:
        Image.new("RGB", (8, 8), (i * 10, 0, 0)).save(folder / f"{name or folder.name}_{i}.jpg")
    return folder


def test_frame_folder_becomes_a_clip_of_all_its_frames(tmp_path: Path):
    folder = write_frames(tmp_path / "sign", range(3, 7))
    (folder / "sign_properties.json").write_text(json.dumps({"FPS": 12.5}))
    with unlabelled_clips([folder], ["a", "b"]) as (clip,):
        assert (clip.start, clip.end, clip.fps) == (3, 6, 12.5)
        assert clip.labels == {"a": MISSING, "b": MISSING}
        assert clip.frame_path(3).is_file()


def test_frames_may_have_other_names(tmp_path: Path):
    folder = write_frames(tmp_path / "sign", range(2, 12))
    for path in [*folder.iterdir()]:
        path.rename(path.with_name(f"{int(path.stem.rpartition('_')[2]):03d}.png"))
    with pytest.raises(DataError, match=r"give --frame-pattern '\{number\}.png'"), unlabelled_clips([folder], ["a"]):
        pass
    with unlabelled_clips([folder], ["a"], frame_patterns=["{number}.png", None]) as (clip,):
        assert (
            (clip.start, clip.end) == (2, 11) and clip.frame_path(9).name == "009.png" and clip.frame_path(9).is_file()
        )
    (folder / "9.png").write_bytes(b"")
    with (
        pytest.raises(DataError, match="numbered in two ways"),
        unlabelled_clips([folder], ["a"], frame_patterns=["{number}.png"]),
    ):
        pass


def test_frames_of_two_kinds_of_names_are_not_mixed(tmp_path: Path):
    folder = write_frames(tmp_path / "sign", range(3))
    (folder / "7.jpg").write_bytes(b"")
    patterns = ["{number}.jpg", None]
    with (
        pytest.raises(DataError, match="say with --frame-pattern which are meant"),
        unlabelled_clips([folder], ["a"], frame_patterns=patterns),
    ):
        pass
    with unlabelled_clips([folder], ["a"], frame_patterns=["{name}_{number}.jpg", None]) as (clip,):
        assert (clip.start, clip.end) == (0, 2)


def test_video_becomes_a_temporary_clip(tmp_path: Path):
    with unlabelled_clips([write_video(tmp_path / "sign.mp4")], ["a"]) as (clip,):
        assert (clip.start, clip.end) == (0, 5) and clip.fps == pytest.approx(12)
        shades = [np.asarray(Image.open(clip.frame_path(i))).mean() for i in range(6)]
        assert shades == pytest.approx([20, 40, 60, 80, 100, 120], abs=6)
        folder = clip.folder
    assert not folder.exists()


def test_damaged_video_is_refused_or_kept_with_a_remark(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = write_damaged_video(tmp_path / "sign.mp4")
    with pytest.raises(DataError, match="is damaged at .*--keep-damaged"), unlabelled_clips([path], ["a"]):
        pass
    with caplog.at_level("INFO", "hearai"), unlabelled_clips([path], ["a"], keep_damaged=True) as (clip,):
        assert clip.frame_path(clip.end).is_file()
    assert f"{path}: kept although damaged" in caplog.text


def test_clips_keep_their_order_and_may_share_a_name(tmp_path: Path):
    one, two = (write_frames(tmp_path / place / "sign", range(n)) for place, n in (("x", 2), ("y", 5)))
    video = write_video(tmp_path / "sign.mp4")
    with unlabelled_clips([two, video, one, video], ["a"]) as clips:
        assert [clip.end + 1 for clip in clips] == [5, 6, 2, 6]
        assert len({(clip.folder, clip.name) for clip in clips}) == 4


def test_all_invalid_paths_are_reported_together(tmp_path: Path):
    empty, other = tmp_path / "empty", write_frames(tmp_path / "other", range(2), name="else")
    empty.mkdir()
    gap = write_frames(tmp_path / "gap", range(4))
    (gap / "gap_2.jpg").unlink()
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    paths = [empty, other, gap, text, tmp_path / "nowhere", write_frames(tmp_path / "good", range(2))]
    with pytest.raises(DataError) as caught, unlabelled_clips(paths, ["a"]):
        pass
    problems = caught.value.problems
    for path, words in [
        (empty, "contains no frames (found nothing); expected empty_0.jpg, empty_1.jpg, ..."),
        (other, "contains no frames (found else_0.jpg, else_1.jpg)"),
        (gap / "gap_2.jpg", "missing; expected every frame of 0..3"),
        (text, ""),
        (tmp_path / "nowhere", "no such file or directory"),
    ]:
        assert sum(problem.startswith(f"{path}: ") and words in problem for problem in problems) == 1, path
    assert len(problems) == 5


def test_missing_frame_rate_is_reported_only_if_needed(tmp_path: Path):
    folder = write_frames(tmp_path / "sign", range(3))
    with pytest.raises(DataError, match="frames per second are unknown.*sign_properties.json"):
        with unlabelled_clips([folder], ["a"], needs_fps=True):
            pass
    (folder / "sign_properties.json").write_text('{"FPS": -1}')
    with pytest.raises(DataError, match="sign_properties.json: invalid"):
        with unlabelled_clips([folder], ["a"]):
            pass


def write_points(folder: Path, rows: int) -> Path:
    folder.mkdir(exist_ok=True)
    pose = np.random.default_rng(0).uniform(0.2, 0.8, (rows, 33, 3))
    np.savez(folder / f"{folder.name}.npz", pose=pose, left_hand=pose[:, :21])
    return folder


def test_landmarks_alone_need_no_images(tmp_path: Path):
    with unlabelled_clips([write_points(tmp_path / "sign", 7)], ["a"], frames=False, landmarks=True) as (clip,):
        assert (clip.start, clip.end) == (0, 6)


def test_landmarks_need_a_row_for_every_frame(tmp_path: Path):
    folder = write_points(write_frames(tmp_path / "sign", range(5)), 5)
    with unlabelled_clips([folder], ["a"], landmarks=True) as (clip,):
        assert (clip.start, clip.end) == (0, 4)
    write_points(folder, 4)
    with pytest.raises(DataError, match="sign.npz: has 4 rows; expected one per frame, 5 for frames 0..4"):
        with unlabelled_clips([folder], ["a"], landmarks=True):
            pass


@pytest.mark.heavy
def test_missing_landmarks_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))  # without models
    video, folder = write_video(tmp_path / "sign.mp4"), write_frames(tmp_path / "other", range(3))
    with pytest.raises(DataError) as caught, unlabelled_clips([video, folder], ["a"], frames=False, landmarks=True):
        pass
    first, *_, folders, second = caught.value.problems
    assert first.startswith(f"{video}: a video, and the model reads landmarks: ")
    assert "MediaPipe is not installed" in first or "mediapipe_models: does not contain hand_landmarker.task" in first
    assert folders == "or give a folder NAME with NAME.npz"
    assert second.startswith(f"{folder / 'other.npz'}: cannot read (No such file")
