"""Random changes of landmarks: within their limits, reproducible, in training only, also beside cached features."""

from collections.abc import Callable

import pytest
import torch

from hearai.config.config import Config
from hearai.data.annotations.load import load_data
from hearai.data.dataset import build_dataset
from hearai.data.landmarks.augmentation import LandmarkAugmentation, resampled
from hearai.data.landmarks.clip_points import mirrored
from hearai.data.transforms import build_feature_augmentation, has_random_augmentation
from hearai.errors import ConfigError
from hearai.sign.skeleton import BODY, CHANNELS, POINTS

LIMITS = {"resample": 0.4, "scale": 0.2, "shift": 0.3, "rotation": 30, "time_mask": 0.5, "point_mask": 0.5}
LANDMARKS_ONLY = {
    "train_parameters.landmarks": True,
    "train_parameters.frames": False,
    "feature_extractor.name": "points",
}


def clip(frames: int = 10) -> torch.Tensor:
    """(T, P, C); the nose is unknown."""
    x = torch.randn(frames, POINTS, CHANNELS, generator=torch.Generator().manual_seed(3))
    x[..., 3] = 1
    x[:, BODY] = 0
    return x


def draws(number: int = 200, frames: int = 10, **limits: float) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [LandmarkAugmentation(**limits)(clip(frames)) for _ in range(number)]


@pytest.mark.parametrize("name", LIMITS)
def test_draws_differ_and_unknown_points_stay_unknown(name: str):
    results = draws(20, **{name: LIMITS[name]})
    assert len({x.numpy().tobytes() for x in results}) > 5
    assert all(x[:, BODY].eq(0).all() and x.isfinite().all() for x in results)
    assert torch.equal(draws(3, **{name: LIMITS[name]})[2], results[2]), "the seed determines the draws"


def test_without_limits_nothing_changes():
    assert torch.equal(draws(1)[0], clip()) and not LandmarkAugmentation().is_active


def test_resampling_stays_between_its_limits():
    lengths = {len(x) for x in draws(resample=0.2)}
    assert lengths == {8, 9, 10, 11, 12}
    assert {len(x) for x in draws(20, frames=1, resample=0.9)} <= {1, 2}


def test_resampled_clips_keep_their_ends_and_interpolate():
    x_TPC = clip(3)
    longer = resampled(x_TPC, 5)
    assert torch.equal(longer[[0, 2, 4]], x_TPC) and torch.allclose(longer[1], (x_TPC[0] + x_TPC[1]) / 2)
    assert torch.equal(resampled(x_TPC, 3), x_TPC) and len(resampled(x_TPC, 1)) == 1


def test_resampling_takes_the_nearer_of_known_and_unknown():
    x_TPC = clip(2)
    x_TPC[1, 0] = 0
    longer = resampled(x_TPC, 4)
    assert torch.equal(longer[:2, 0], x_TPC[[0, 0], 0]) and longer[2:, 0].eq(0).all()
    assert set(longer[..., 3].unique().tolist()) == {0.0, 1.0}


@pytest.mark.heavy
def test_affine_changes_stay_within_their_limits():
    known = clip()[..., 3] > 0
    factors = torch.stack([(x / clip())[known][:, :3].mean() for x in draws(scale=0.2)])
    assert 0.8 <= factors.min() < 0.85 and 1.15 < factors.max() <= 1.2
    shifts = torch.stack([(x - clip())[known].mean(0) for x in draws(shift=0.3)])
    assert (
        shifts[:, :2].abs().max() <= 0.3001 and shifts[:, :2].amax(0).min() > 0.25 and shifts[:, 2:].abs().max() < 1e-6
    )
    for x in draws(20, rotation=30):
        assert torch.allclose(x[..., :2].norm(dim=-1), clip()[..., :2].norm(dim=-1), atol=1e-5)


def test_time_masks_are_one_stretch_and_never_all_frames():
    masked = [x[..., 3].eq(0).all(1) for x in draws(time_mask=0.5)]
    assert {int(m.sum()) for m in masked} == {0, 1, 2, 3, 4, 5}
    assert all(int((m[1:] != m[:-1]).sum()) <= 2 for m in masked)
    assert all(x[..., 3].any() for x in draws(50, frames=2, time_mask=1.0))


def test_point_masks_last_for_the_whole_clip():
    known = torch.stack([x[..., 3] for x in draws(point_mask=0.5)])
    assert known.eq(known[:, :1]).all()
    lost = 1 - known[:, 0, :BODY].mean(1)
    assert lost.min() < 0.05 and 0.35 < lost.max() < 0.75


def config_for(make_config: Callable, folder, **limits: float) -> Config:
    values = {f"augmentations_parameters.landmark_{name}": limit for name, limit in limits.items()}
    return make_config(folder, {**LANDMARKS_ONLY, "train_parameters.num_segments": 5, **values})


def test_applied_in_training_only(make_config: Callable, make_dataset: Callable):
    config = config_for(make_config, make_dataset(landmarks=True, frames=5), **LIMITS)
    clips = load_data(config).split.train
    train, plain = (build_dataset(config, clips, train=train) for train in (True, False))
    first = train[0].inputs["landmarks"]
    assert torch.equal(train[0].inputs["landmarks"], first), "a pure function of seed, epoch and clip"
    train.set_epoch(1)
    again = train[0].inputs["landmarks"]
    assert again.shape != first.shape or not torch.equal(again, first)
    assert len(plain[0].inputs["landmarks"]) == 5 and plain.augment is None


def test_off_by_default(make_config: Callable):
    defaults = make_config(None).augmentations_parameters
    assert all(getattr(defaults, f"landmark_{name}") == 0 for name in LIMITS)


def test_landmarks_beside_cached_features_are_changed_too(make_config: Callable):
    values = {"train_parameters.landmarks": True, "augmentations_parameters.landmark_shift": 0.5}
    config, points = make_config(None, values), clip()
    assert not has_random_augmentation(config), "features of images can be cached"
    assert build_feature_augmentation(make_config(None), mirrored=False) is None
    sides = torch.tensor([[[0.0]], [[1.0]]]).expand(2, 10, 1)
    for mirrored_too, plain in ((False, sides[0]), (True, sides)):
        torch.manual_seed(1)
        augment = build_feature_augmentation(config, mirrored=mirrored_too)
        assert augment is not None
        chosen = augment({"features": plain, "landmarks": points})
        side = int(chosen["features"][0])
        moved = chosen["landmarks"] - (mirrored(points) if side else points)
        assert moved[:, 0, :2].abs().max() > 0 and torch.allclose(moved[:, 0], moved[:1, 0], atol=1e-6)


def test_resampling_beside_images_is_a_config_error(make_config: Callable):
    values = {"train_parameters.landmarks": True, "augmentations_parameters.landmark_resample": 0.2}
    with pytest.raises(ConfigError, match="landmark_resample: got 0.2, but the model also reads images"):
        make_config(None, values)
