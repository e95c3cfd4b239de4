"""Folders of landmark files of other tools become landmark files of ours."""

import json
from pathlib import Path

import numpy as np
import pytest

from hearai.data.landmarks.clip_points import check_landmarks
from hearai.data.landmarks.foreign import read_foreign
from hearai.data.tools.convert_landmarks import convert_landmarks
from hearai.errors import DataError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two arrays, one of them broken, and a folder of OpenPose with two persons."""
    folder = tmp_path / "source"
    (folder / "words" / "c").mkdir(parents=True)
    np.save(folder / "a.npy", np.full((3, 553, 3), 0.5, np.float32))
    (folder / "b.npy").write_bytes(b"nothing")
    (folder / "readme.txt").write_text("text")
    people = [{"hand_left_keypoints_2d": [40.0, 20, 0.9] * 21}] * 2
    (folder / "words" / "c" / "c_0_keypoints.json").write_text(json.dumps({"people": people}))
    return folder


def test_all_files_of_a_folder_are_converted(source: Path, tmp_path: Path) -> None:
    result = convert_landmarks(source, tmp_path / "out", size=(80, 40), workers=1)
    assert (result.files, result.frames) == (3, 4)
    assert sorted(name.partition(":")[0] for name in result.skeletons) == ["OpenPose", "Sem-Lex"]
    assert list(result.notes) == ["up to 2 persons in a frame"]
    (problem,) = result.problems
    assert problem.startswith(f"{source / 'b.npy'}: cannot read")
    assert check_landmarks(tmp_path / "out" / "a" / "a.npz", 3) == []
    with np.load(tmp_path / "out" / "words" / "c" / "c.npz") as file:
        np.testing.assert_array_equal(file["left_hand"][0, 0, :2], [0.5, 0.5])


def test_folders_that_cannot_be_converted_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a directory"):
        convert_landmarks(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(DataError, match="overlaps the source"):
        convert_landmarks(source, source)
    (source / "a.pose").touch()
    with pytest.raises(DataError, match="a.npy and .*a.pose: have the same name"):
        convert_landmarks(source, tmp_path / "out")
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no landmark files"):
        convert_landmarks(empty, tmp_path / "out")


@pytest.mark.parametrize("count", [468, 478])
def test_the_face_mesh_is_kept_on_request(count: int, tmp_path: Path) -> None:
    points = np.broadcast_to(np.arange(count + 75)[:, None] / 1000 + 0.1, (2, count + 75, 3))
    (tmp_path / "source").mkdir()
    np.save(tmp_path / "source" / "a.npy", points)
    convert_landmarks(tmp_path / "source", tmp_path / "with", face=True, workers=1)
    convert_landmarks(tmp_path / "source", tmp_path / "without", workers=1)
    with np.load(tmp_path / "with" / "a" / "a.npz") as file:
        np.testing.assert_allclose(file["face"], points[:, :count], rtol=1e-6)
    with np.load(tmp_path / "without" / "a" / "a.npz") as file:
        assert "face" not in file and file["pose"].shape == (2, 33, 3)


def test_points_of_a_reduced_face_have_the_numbers_of_the_mesh(real_data: Path) -> None:
    face = read_foreign(real_data / "poses" / "mediapipe.pose").face
    assert face is not None and face.shape == (170, 468, 3)
    assert not np.isnan(face[:, 13]).any() and np.isnan(face[:, 1]).all(), "the lips are there, the nose is not"
