"""Landmarks: read safely, normalised to the shoulders, missing points masked; they follow flips and rotations."""

import io
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import load_data
from hearai.data.dataset import build_dataset
from hearai.data.demo import demo_dataset
from hearai.data.landmarks.clip_points import (
    check_landmarks,
    count_frames,
    mirrored,
    normalise_points,
    read_landmarks,
    rotated,
)
from hearai.data.transforms import build_augmentation, draw_side
from hearai.errors import DataError
from hearai.sign.skeleton import BODY, LEFT, MIRRORED, PARTS, POINTS, RIGHT, SHOULDERS


def body(frames: int = 3) -> dict[str, np.ndarray]:
    """Complete arrays with distinct points; shoulders at x 0.6 and 0.4, y 0.5."""
    rng = np.random.default_rng(0)
    arrays = {part: rng.uniform(0.2, 0.8, (frames, count, 3)).astype(np.float32) for part, count in PARTS.items()}
    arrays["pose"][:, 11], arrays["pose"][:, 12] = (0.6, 0.5, 0.0), (0.4, 0.5, 0.0)
    return arrays


def write(folder: Path, arrays: dict[str, np.ndarray], name: str = "c") -> Clip:
    (folder / name).mkdir(exist_ok=True)
    np.savez(folder / name / f"{name}.npz", **arrays)
    frames = len(next(iter(arrays.values())))
    return Clip(name, folder, 0, frames - 1, {"gloss": 0})


def test_a_file_that_has_changed_is_read_again(tmp_path: Path):
    clip = write(tmp_path, body())
    before = read_landmarks(clip, [0])
    assert torch.equal(read_landmarks(clip, [0]), before)
    write(tmp_path, {**body(), "left_hand": body()["left_hand"] + 0.1})
    assert not torch.equal(read_landmarks(clip, [0]), before)
    clip.landmarks_path.unlink()
    with pytest.raises(DataError, match="cannot read"):
        read_landmarks(clip, [0])


def test_shoulders_are_the_origin_and_the_unit(tmp_path: Path):
    points_TPC = read_landmarks(write(tmp_path, body()), [0, 1, 2])
    assert points_TPC.shape == (3, POINTS, 4)
    first, second = (points_TPC[:, shoulder, :2] for shoulder in SHOULDERS)
    assert torch.allclose(first, torch.tensor([0.5, 0.0]), atol=1e-5) and torch.allclose(second, -first, atol=1e-5)


def test_position_and_size_of_the_signer_do_not_matter(tmp_path: Path):
    arrays = body()
    moved = {part: array * 0.5 + np.float32([0.1, 0.3, 0]) for part, array in arrays.items()}
    one, other = (read_landmarks(write(tmp_path, x, name), [0, 2]) for name, x in (("a", arrays), ("b", moved)))
    assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("missing", [np.nan, 0.0])
def test_undetected_points_are_masked(tmp_path: Path, missing: float):
    arrays = body()
    arrays["left_hand"][1] = missing
    points_TPC = read_landmarks(write(tmp_path, arrays), [0, 1])
    assert points_TPC[1, LEFT : LEFT + 21].eq(0).all(), "in all channels, including `known`"
    assert points_TPC[0, :, 3].eq(1).all() and points_TPC[1, RIGHT:, 3].eq(1).all()


def test_points_of_a_missing_array_are_unknown(tmp_path: Path):
    arrays = body()
    del arrays["right_hand"]
    known_TP = read_landmarks(write(tmp_path, arrays), [0])[..., 3]
    assert known_TP[0, RIGHT:BODY].eq(0).all() and known_TP[0, BODY:].eq(1).all()


def test_without_a_pose_the_known_points_define_the_scale(tmp_path: Path):
    arrays = {"left_hand": body()["left_hand"]}
    points_TPC = read_landmarks(write(tmp_path, arrays), [0, 1, 2])
    hand = points_TPC[:, LEFT : LEFT + 21, :2].flatten(0, 1)
    assert torch.allclose(hand.mean(0), torch.zeros(2), atol=1e-5)
    assert hand.norm(dim=-1).mean() == pytest.approx(0.5, abs=1e-5)


def test_flat_landmarks_have_no_depth(tmp_path: Path):
    arrays = {part: array[..., :2] for part, array in body().items()}
    assert read_landmarks(write(tmp_path, arrays), [1])[..., 2].eq(0).all()


def test_rows_are_frames_of_the_recording_not_of_the_clip(tmp_path: Path):
    clip = write(tmp_path, body(frames=6))
    later = Clip(clip.name, clip.folder, 2, 5, {"gloss": 0})
    expected, found = read_landmarks(clip, [2, 5]), read_landmarks(later, [2, 5])
    assert torch.allclose(expected, found, atol=1e-5)


class CreatesFile:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def damaged(kind: str, tmp_path: Path) -> Path:
    clip = write(tmp_path, body())
    path, arrays = clip.landmarks_path, body()
    if kind == "pickle inside":
        np.savez(path, **arrays, face=np.array([CreatesFile(tmp_path / "executed")], dtype=object))
    elif kind == "a pickle":
        path.write_bytes(pickle.dumps(CreatesFile(tmp_path / "executed")))
    elif kind == "zero bytes":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:-300])
    elif kind == "npy file":
        np.save(path.with_suffix(""), arrays["pose"])
        path.with_suffix(".npy").rename(path)
    elif kind == "no known point":
        np.savez(path, **{part: np.full_like(array, np.nan) for part, array in arrays.items()})
    elif kind == "missing":
        path.unlink()
    else:
        arrays |= {
            "points": {"pose": arrays["pose"][:, :20]},
            "rows": {"pose": arrays["pose"][:2]},
            "dimensions": {"left_hand": arrays["left_hand"][0]},
            "four numbers": {"left_hand": np.zeros((3, 21, 4))},
            "text": {"pose": np.full((3, 33, 3), "x")},
            "infinite": {"face": np.full((3, 9, 3), np.inf)},
            "other names": {},
        }[kind]
        np.savez(path, **({"hands": np.zeros(3)} if kind == "other names" else arrays))
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "cannot read (No such file or directory)"),
        ("zero bytes", "cannot read"),
        ("truncated", "cannot read"),
        ("a pickle", "cannot read"),
        ("pickle inside", "cannot read (it is damaged, or holds objects that could run code"),
        ("npy file", "expected an .npz file of numeric arrays"),
        ("other names", "contains none of left_hand, right_hand, pose"),
        ("points", "pose has shape (3, 20, 3); expected (3 or more, 33, 2 or 3)"),
        ("rows", "pose has 2 rows; expected one per frame, 3 for frames 0..2"),
        ("dimensions", "left_hand has shape (21, 3)"),
        ("four numbers", "left_hand has shape (3, 21, 4)"),
        ("text", "pose contains <U1; expected numbers"),
        ("infinite", "face contains an infinite number"),
        ("no known point", "no point is known in any frame"),
    ],
)
def test_invalid_files_are_named_and_never_unpickled(tmp_path: Path, kind: str, words: str):
    path = damaged(kind, tmp_path)
    (problem,) = check_landmarks(path, 3)
    assert problem.startswith(f"{path}: ") and words in problem
    assert "; expected" in problem or "; remove the clip" in problem
    with pytest.raises(DataError) as caught:
        read_landmarks(Clip("c", tmp_path, 0, 2, {"gloss": 0}), [0])
    assert caught.value.problems == [problem]
    assert not (tmp_path / "executed").exists()


def test_mirroring_commutes_with_normalisation():
    """Normalising the points of the mirrored body yields the mirrored points."""
    arrays = body()
    points = np.concatenate(list(arrays.values()), axis=1)
    mirror_image = points[:, list(MIRRORED[:POINTS])] * [-1, 1, 1] + [1, 0, 0]
    found = mirrored(torch.from_numpy(normalise_points(points)))
    assert torch.allclose(found, torch.from_numpy(normalise_points(mirror_image.astype(np.float32))), atol=1e-4)
    assert torch.equal(mirrored(found), torch.from_numpy(normalise_points(points)))


def image_with_spot(x: int, y: int) -> torch.Tensor:
    """(1, 3, 65, 65) with one bright spot; x and y from the centre, y down."""
    image = torch.zeros(1, 3, 65, 65, dtype=torch.uint8)
    image[..., 32 + y - 1 : 32 + y + 2, 32 + x - 1 : 32 + x + 2] = 255
    return image


def spot_position(image: torch.Tensor) -> torch.Tensor:
    """(x, y) of the bright spot, from the centre."""
    return image[0, 0].gt(100).nonzero().float().mean(0).flip(0) - 32


@pytest.mark.parametrize("switch", ["apply_horizontal_flip", "apply_random_rotation"])
def test_landmarks_follow_the_images(make_config: Callable, switch: str):
    """Point 42 (the nose, which is its own mirror point) is on the spot before and after every change."""
    values = {f"augmentations_parameters.{switch}": True, "augmentations_parameters.random_rotation_degree": 90}
    augment = build_augmentation(make_config(None, {**values, "train_parameters.landmarks": True}))
    points = torch.zeros(1, POINTS, 4)
    points[0, BODY] = torch.tensor([20.0, -10.0, 0.5, 1.0])
    torch.manual_seed(0)
    places = []
    for _ in range(8):
        changed = augment({"frames": image_with_spot(20, -10), "landmarks": points})
        places.append(changed["landmarks"][0, BODY, :2])
        assert torch.allclose(places[-1], spot_position(changed["frames"]), atol=1.0)
        assert changed["landmarks"][0, BODY, 2:].tolist() == [0.5, 1.0]
        assert type(changed["landmarks"]) is torch.Tensor
    assert len({tuple(place.tolist()) for place in places}) > 1


@pytest.mark.parametrize("switch", ["apply_random_erasing", "apply_color_jitter", "apply_rgb_shift", "apply_blur"])
def test_pixel_augmentation_leaves_landmarks_unchanged(make_config: Callable, switch: str):
    values = {f"augmentations_parameters.{switch}": True, "augmentations_parameters.blur_limit": 9}
    augment = build_augmentation(make_config(None, {**values, "train_parameters.landmarks": True}))
    points = torch.randn(1, POINTS, 4)
    assert torch.equal(augment({"frames": image_with_spot(0, 0), "landmarks": points})["landmarks"], points)


def test_landmarks_alone_are_flipped_and_rotated(make_config: Callable):
    names = ("apply_horizontal_flip", "apply_random_rotation", "apply_random_erasing", "apply_color_jitter")
    switches = {f"augmentations_parameters.{name}": True for name in names}
    alone = {"train_parameters.landmarks": True, "train_parameters.frames": False}
    augment = build_augmentation(make_config(None, {**switches, **alone, "feature_extractor.name": "gcn_extractor"}))
    points, seen = torch.randn(2, POINTS, 4), set()
    for seed in range(6):
        torch.manual_seed(seed)
        seen.add(augment({"landmarks": points})["landmarks"].numpy().tobytes())
    assert len(seen) == 6


def test_rotation_keeps_distances_and_other_channels():
    points = torch.randn(2, POINTS, 4)
    turned = rotated(points, 30)
    assert torch.allclose(turned[..., :2].norm(dim=-1), points[..., :2].norm(dim=-1), atol=1e-5)
    assert torch.equal(turned[..., 2:], points[..., 2:])
    assert torch.allclose(rotated(turned, -30), points, atol=1e-5)


def test_cached_features_and_landmarks_flip_together():
    sides, points = torch.tensor([[[0.0]], [[1.0]]]), torch.randn(1, POINTS, 4)
    seen = set()
    for seed in range(8):
        torch.manual_seed(seed)
        chosen = draw_side({"features": sides, "landmarks": points})
        side = int(chosen["features"])
        assert torch.equal(chosen["landmarks"], mirrored(points) if side else points)
        seen.add(side)
    assert seen == {0, 1}


def test_landmarks_are_loaded_with_or_without_images(make_config: Callable, make_dataset: Callable):
    folder = make_dataset(landmarks=True)
    both = make_config(folder, {"train_parameters.landmarks": True})
    sample = build_dataset(both, load_data(both).split.train, train=True)[0]
    assert sample.inputs["frames"].shape == (3, 3, 32, 32) and sample.inputs["landmarks"].shape == (3, POINTS, 4)
    values = {"train_parameters.landmarks": True, "train_parameters.frames": False}
    alone = make_config(folder, {**values, "feature_extractor.name": "gcn_extractor"})
    sample = build_dataset(alone, load_data(alone).split.train, train=True)[0]
    assert sample.inputs.keys() == {"landmarks"}


@pytest.mark.heavy
def test_landmarks_of_the_demo_are_valid(tmp_path: Path):
    folder = demo_dataset(tmp_path, clips=48, frames=3, size=32, workers=1)
    path = next(folder.glob("*/*.npz"))
    assert check_landmarks(path, 3) == []
    known_TP = read_landmarks(Clip(path.stem, folder, 0, 2, {"gloss": 0}), [0, 1, 2])[..., 3]
    assert known_TP[:, : BODY + 17].mean() > 0.9 and known_TP[:, BODY + 25 :].eq(0).all(), "no legs in the image"


def entry(header: dict, values: bytes) -> bytes:
    """A .npy file with any header."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"fortran_order": False, "descr": "<f4", **header})
    return stream.getvalue() + values


def bomb(kind: str, path: Path) -> None:
    """A small file that stands for far more than it holds, or that cannot be opened."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        if kind == "6 GB deflated":
            rows, block = 24_000_000, bytes(2**20)
            size = rows * 21 * 3 * 4
            with file.open(zipfile.ZipInfo("left_hand.npy"), "w", force_zip64=True) as stream:
                stream.write(entry({"shape": (rows, 21, 3)}, b""))
                # the entry says 6 GB; only its beginning is written
                stream.write(block)
            file.infolist()[0].file_size = size + 128
            return
        header: dict = {
            "terabytes": {"shape": (10**12, 21, 3)},
            "overflow": {"shape": (2**62, 21, 3)},
            "negative": {"shape": (-1, 21, 3)},
            "wide text": {"shape": (3, 21, 3), "descr": "<U500000000"},
            "many points": {"shape": (3, 10**12, 3)},
        }.get(kind, {"shape": (3, 21, 3)})
        name = "face.npy" if kind == "many points" else "left_hand.npy"
        values = bytes(3 * 21 * 3 * (3 if kind == "too short" else 4))
        file.writestr(name, entry(header, values))
    data = bytearray(path.read_bytes())
    if kind == "encrypted":
        for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            data[data.index(signature) + offset] |= 1
    elif kind == "flipped bytes":
        start = data.index(b"left_hand.npy") + len("left_hand.npy")
        data[start + 10 : start + 40] = bytes(byte ^ 0xFF for byte in data[start + 10 : start + 40])
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("terabytes", "left_hand has shape (1000000000000, 21, 3) of float32, 252,000,000,000,000 bytes, but"),
        ("overflow", "but the file holds 756"),
        ("negative", "left_hand has shape (-1, 21, 3)"),
        ("wide text", "left_hand contains <U500000000; expected numbers"),
        ("many points", "face has shape (3, 1000000000000, 3)"),
        ("too short", "but the file holds 567"),
        ("6 GB deflated", "left_hand has 6.0 GB; expected at most 1 GB"),
        ("encrypted", "left_hand is encrypted"),
        ("flipped bytes", "cannot read"),
        ("pipe", "a pipe or a device"),
    ],
)
def test_an_array_is_compared_with_its_entry_before_it_is_read(tmp_path: Path, kind: str, words: str):
    clip = write(tmp_path, body())
    path = clip.landmarks_path
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else bomb(kind, path)
    tracemalloc.start()
    (problem,) = check_landmarks(path, 3)
    with pytest.raises(DataError):
        count_frames(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert problem.startswith(f"{path}: ") and words in problem and "; expected" in problem
    assert peak < 20e6
