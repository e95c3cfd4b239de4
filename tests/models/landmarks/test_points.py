"""The extractor `points`: chosen landmarks, filled in time, with their changes."""

import pytest
import torch

from hearai.config.config import build_config
from hearai.config.model_schema import FeatureExtractorParameters as Settings
from hearai.errors import ConfigError
from hearai.models.feature_extractors import FeatureExtractor, build_extractor
from hearai.models.landmarks.points import CHANNELS_PER_POINT, differences, fill_in_time, from_wrist
from hearai.sign.skeleton import BODY, CHANNELS, FACE_PARTS, FACE_POINTS, LEFT, POINT_GROUPS, POINTS, count_points

NAN = float("nan")


def build(*points: str) -> FeatureExtractor:
    torch.manual_seed(0)
    return build_extractor(Settings(name="points", points=points, representation_size=6), pretrained=False).eval()


def clip(frames: int) -> torch.Tensor:
    """(1, T, P, C) of known points."""
    x = torch.randn(1, frames, POINTS, CHANNELS, generator=torch.Generator().manual_seed(1))
    x[..., 3] = 1
    return x


def filled(values: list[float]) -> list[float]:
    """One coordinate of one point over time, NaN where it is unknown."""
    x_BTPC = torch.tensor(values).view(1, -1, 1, 1)
    return fill_in_time(x_BTPC, ~x_BTPC[..., 0].isnan()).flatten().tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, NAN, NAN, 4.0, 6.0], [1.0, 2.0, 3.0, 4.0, 6.0]),
        ([NAN, NAN, 2.0, NAN, 0.0, NAN], [2.0, 2.0, 2.0, 1.0, 0.0, 0.0]),
        ([5.0], [5.0]),
        ([NAN, NAN], [0.0, 0.0]),
    ],
)
def test_missing_points_are_interpolated_in_time(values: list[float], expected: list[float]):
    assert filled(values) == pytest.approx(expected)


def test_points_are_filled_independently_of_each_other():
    x_BTPC = torch.randn(3, 7, 4, 2)
    known_BTP = torch.rand(3, 7, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    together = fill_in_time(x_BTPC, known_BTP)
    alone = fill_in_time(x_BTPC[1:2, :, 2:3], known_BTP[1:2, :, 2:3])
    assert torch.allclose(together[1:2, :, 2:3], alone) and torch.equal(together[known_BTP], x_BTPC[known_BTP])


def test_differences_end_with_the_clip():
    x_BTPC, mask_BT = torch.tensor([1.0, 3.0, 6.0, 9e9]).view(1, 4, 1, 1), torch.tensor([[True, True, True, False]])
    first = differences(x_BTPC, mask_BT)
    assert first.flatten().tolist() == [2.0, 3.0, 0.0, 0.0]


def test_other_points_have_no_influence():
    extractor, x, mask_BT = build("nose", "hands"), clip(4), torch.ones(1, 4, dtype=torch.bool)
    changed = x.clone()
    changed[:, :, BODY + 1 :] = NAN
    with torch.no_grad():
        assert torch.equal(extractor(x, mask_BT), extractor(changed, mask_BT))
        changed[:, :, BODY, 0] += 1
        assert not torch.allclose(extractor(x, mask_BT), extractor(changed, mask_BT), atol=1e-3)


def test_an_unknown_hand_is_filled_but_marked():
    extractor, x, mask_BT = build("hands"), clip(3), torch.ones(1, 3, dtype=torch.bool)
    missing, halfway = x.clone(), x.clone()
    missing[:, 1, LEFT : LEFT + 21] = 0
    halfway[:, 1, LEFT : LEFT + 21, :2] = (x[:, 0, LEFT : LEFT + 21, :2] + x[:, 2, LEFT : LEFT + 21, :2]) / 2
    got, expected = (extractor.backbone.features(one, mask_BT) for one in (missing, halfway))
    differ_F = (got - expected).abs().gt(1e-5).any(1)[0].nonzero().flatten().tolist()
    known_channels = [point * CHANNELS_PER_POINT + CHANNELS_PER_POINT - 1 for point in range(21)]
    assert differ_F == known_channels, "only the channel that says what is known"


def test_hand_shape_is_independent_of_place_and_size():
    hand_BTP2, mask_BT = torch.randn(1, 4, 21, 2), torch.tensor([[True, True, True, False]])
    shape = from_wrist(hand_BTP2, mask_BT)
    assert torch.allclose(from_wrist(hand_BTP2 * 3 + 5, mask_BT), shape, atol=1e-5)
    assert shape[:, :, 0].eq(0).all() and shape[:, :3].norm(dim=-1).amax(2).mean() == pytest.approx(1)
    assert from_wrist(torch.zeros(1, 4, 21, 2), mask_BT).eq(0).all(), "an unknown hand"


def test_groups_are_disjoint_points_of_the_skeleton():
    chosen = [index for group in POINT_GROUPS.values() for index in group]
    assert len(chosen) == len(set(chosen)) and set(chosen) <= set(range(count_points(face=True)))


def test_an_unknown_face_has_no_influence():
    extractor, mask_BT = build("hands", *FACE_PARTS), torch.ones(1, 4, dtype=torch.bool)
    x = torch.cat((clip(4), torch.zeros(1, 4, len(FACE_POINTS), CHANNELS)), 2)
    unknown = x.clone()
    unknown[:, :, POINTS:, :3] = NAN
    seen = x.clone()
    seen[:, :, POINTS:, :] = 1
    with torch.no_grad():
        assert torch.equal(extractor(x, mask_BT), extractor(unknown, mask_BT))
        assert not torch.allclose(extractor(x, mask_BT), extractor(seen, mask_BT), atol=1e-3)


def test_order_of_groups_has_no_influence():
    x, mask_BT = clip(3), torch.ones(1, 3, dtype=torch.bool)
    assert torch.equal(build("eyes", "hands")(x, mask_BT), build("hands", "eyes")(x, mask_BT))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (["hand"], "feature_extractor.points.0: got 'hand'; choose from .*did you mean 'hands'"),
        ([], "feature_extractor.points: got .*; must be a list of at least one entry"),
        (["hands", "hands"], "points: 'hands' is listed twice; list it once"),
    ],
)
def test_wrong_groups_are_config_errors(points: list[str], message: str):
    with pytest.raises(ConfigError, match=message):
        build_config({"feature_extractor": {"points": points}})
