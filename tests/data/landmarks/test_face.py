"""Points of the face: chosen from a face mesh, unknown without one, swapped in mirrored clips."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.dataset import build_dataset
from hearai.data.landmarks.clip_points import mirrored, read_landmarks
from hearai.data.landmarks.face import has_face_mesh
from hearai.data.landmarks.foreign import read_foreign
from hearai.sign.skeleton import CHANNELS, FACE_POINTS, LARGE_MESH, MIRRORED, PARTS, POINTS, SHOULDERS, SMALL_MESH
from hearai.training.setup.prepare import with_data

READS_FACE = {
    "train_parameters.landmarks": True,
    "train_parameters.frames": False,
    "feature_extractor.name": "points",
    "feature_extractor.points": ["hands", "face_lips"],
}


def write(folder: Path, face: np.ndarray | None) -> Clip:
    """A clip of 3 frames: every point of hands and body known, and a face."""
    (folder / "c").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = {part: rng.uniform(0.2, 0.8, (3, count, 3)) for part, count in PARTS.items()}
    arrays["pose"][:, 11], arrays["pose"][:, 12] = (0.6, 0.5, 0), (0.4, 0.5, 0)
    np.savez(folder / "c" / "c.npz", **arrays, **({} if face is None else {"face": face}))
    return Clip("c", folder, 0, 2, {"gloss": 0})


def mesh(points: int = LARGE_MESH) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.4, 0.6, (3, points, 3))


@pytest.mark.parametrize("points", [SMALL_MESH, LARGE_MESH])
def test_chosen_points_of_the_mesh_follow_the_body(tmp_path: Path, points: int) -> None:
    face = mesh(points)
    face[1, FACE_POINTS[5]] = np.nan
    clip = write(tmp_path, face)
    with_face_TPC, body_TPC = read_landmarks(clip, [0, 1, 2], face=True), read_landmarks(clip, [0, 1, 2])
    assert with_face_TPC.shape == (3, POINTS + len(FACE_POINTS), CHANNELS)
    assert torch.equal(with_face_TPC[:, :POINTS], body_TPC), "the face has no influence on the rest"
    expected = (face[0, FACE_POINTS, :2] - [0.5, 0.5]) / 0.2
    np.testing.assert_allclose(with_face_TPC[0, POINTS:, :2], expected, atol=1e-5)
    assert (with_face_TPC[:, POINTS:, 3] == 0).nonzero().tolist() == [[1, 5]]


@pytest.mark.parametrize("face", [None, mesh(70)], ids=["none", "another face"])
def test_a_file_without_a_mesh_has_unknown_faces(tmp_path: Path, face: np.ndarray | None) -> None:
    points_TPC = read_landmarks(write(tmp_path, face), [0, 1, 2], face=True)
    assert points_TPC.shape[1] == POINTS + len(FACE_POINTS) and not points_TPC[:, POINTS:].any()


def test_without_shoulders_a_face_moves_nothing(tmp_path: Path) -> None:
    clip = write(tmp_path, mesh())
    arrays = dict(np.load(clip.landmarks_path))
    arrays["pose"][:, [point - PARTS["left_hand"] * 2 for point in SHOULDERS]] = np.nan
    (tmp_path / "other" / "c").mkdir(parents=True)
    np.savez(tmp_path / "other" / "c" / "c.npz", **arrays)
    clip = Clip("c", tmp_path / "other", 0, 2, {"gloss": 0})
    assert torch.equal(read_landmarks(clip, [1], face=True)[:, :POINTS], read_landmarks(clip, [1]))


def test_mirroring_swaps_the_sides_of_the_face() -> None:
    points = torch.randn(2, POINTS + len(FACE_POINTS), CHANNELS)
    left, right = (POINTS + FACE_POINTS.index(number) for number in (291, 61))  # corners of the mouth
    once = mirrored(points)
    assert once[0, right, 0] == -points[0, left, 0] and torch.equal(mirrored(once), points)
    assert torch.equal(once[:, :POINTS], mirrored(points[:, :POINTS])), "with and without the face"


def test_mirrored_pairs_are_those_of_a_real_face() -> None:
    if not (folder := os.environ.get("HEARAI_REAL_DATA")):
        pytest.skip("HEARAI_REAL_DATA is not set; set it to the folder with poses/mediapipe.pose")
    face = read_foreign(Path(folder, "poses", "mediapipe.pose")).face
    assert face is not None
    known = [i for i, number in enumerate(FACE_POINTS) if not np.isnan(face[:, number, 0]).all()]
    x = np.nanmean(face[:, [FACE_POINTS[i] for i in known], :2], 0)
    pair = [known.index(MIRRORED[POINTS + i] - POINTS) for i in known]
    flipped = np.c_[x * (-1, 1), np.ones(len(x))]
    moved = flipped @ np.linalg.lstsq(flipped, x[pair], rcond=None)[0]  # heads are turned: the best affine map
    nearest = np.square(moved[:, None] - x).sum(-1).argmin(1)
    assert len(known) == 72 and nearest.tolist() == pair


def test_a_dataset_reads_the_face_only_where_asked(
    make_config: Callable[..., Config], make_dataset: Callable[..., Path]
) -> None:
    folder = make_dataset(clips=4, landmarks=True)
    shapes = []
    for groups in (["hands"], ["hands", "face_lips"]):
        config, data = with_data(make_config(folder, {**READS_FACE, "feature_extractor.points": groups}))
        shapes.append(build_dataset(config, data.split.train, train=False)[0].inputs["landmarks"].shape[1])
    assert shapes == [POINTS, POINTS + len(FACE_POINTS)]


def test_missing_meshes_are_counted(
    make_config: Callable[..., Config], make_dataset: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(make_dataset(clips=12, landmarks=True), READS_FACE)
    with caplog.at_level(logging.WARNING):
        with_data(config)
    assert "12 of 12 clips have no face mesh" in caplog.text and "with --face" in caplog.text


def test_a_mesh_is_recognised_by_its_header(tmp_path: Path) -> None:
    for name, face, expected in (("a", mesh(), True), ("b", mesh(70), False), ("c", None, False)):
        assert has_face_mesh(write(tmp_path / name, face).landmarks_path) == expected
    (tmp_path / "broken.npz").write_bytes(b"PK")
    assert not has_face_mesh(tmp_path / "broken.npz") and not has_face_mesh(tmp_path / "missing.npz")
