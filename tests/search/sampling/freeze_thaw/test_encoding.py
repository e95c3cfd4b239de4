"""Points of a space as vectors and back."""

import random

import numpy as np
import pytest

from hearai.config.config import build_config
from hearai.config.space import parse_space
from hearai.search.sampling.freeze_thaw.encoding import FURTHEST, INACTIVE, Encoding

LR, LAYERS, DROPOUT, WIDTH = (
    "train_parameters.lr",
    "transformer.num_encoder_layers",
    "transformer.dropout_rate",
    "transformer.feedforward_size",
)
SPACE = {
    LR: {"float": [1e-4, 1e-2], "log": True},
    LAYERS: {"int": [1, 4], "when": {"transformer.name": "sign_language_transformer"}},
    DROPOUT: {"float": [0.0, 0.5], "step": 0.05},
    WIDTH: {"choice": [256, 64, 128]},
    "transformer.name": {"choice": ["sign_language_transformer", "lstm", "fake_transformer"]},
    "speed": {"choice": {"slow": {"train_parameters.batch_size": 4}, "fast": {"train_parameters.batch_size": 64}}},
    "train_parameters.warmup_steps": 0.1,
}


@pytest.fixture
def encoding() -> Encoding:
    return Encoding(parse_space(SPACE, "test"), build_config({}))


def test_every_position_is_a_point_of_the_space(encoding: Encoding) -> None:
    space, rng = parse_space(SPACE, "test"), np.random.default_rng(0)
    for position_P in rng.random((200, encoding.parameters)):
        params = encoding.point(position_P)
        assert all(space.domains[name].contains(value) for name, value in params.items())
        assert (LAYERS in params) == (params["transformer.name"] == "sign_language_transformer")
        assert params["train_parameters.warmup_steps"] == 0.1


def test_a_point_has_a_position_that_gives_it_again(encoding: Encoding) -> None:
    space, rng = parse_space(SPACE, "test"), random.Random(0)
    for _ in range(200):
        params = space.sample(rng, build_config({}))
        assert encoding.point(encoding.position(params)) == pytest.approx(params)


def test_discrete_values_have_equal_shares(encoding: Encoding) -> None:
    rng = np.random.default_rng(0)
    points = [encoding.point(position_P) for position_P in rng.random((3000, encoding.parameters))]
    layers = [params[LAYERS] for params in points if LAYERS in params]
    for number in (1, 2, 3, 4):
        assert layers.count(number) / len(layers) == pytest.approx(0.25, abs=0.05)
    assert [p["speed"] for p in points].count("fast") / 3000 == pytest.approx(0.5, abs=0.05)


def vector(encoding: Encoding, **changes: object) -> np.ndarray:
    base = {LR: 1e-3, DROPOUT: 0.1, WIDTH: 64, "transformer.name": "lstm", "speed": "slow"}
    return encoding.vector({**base, **{name.replace("__", "."): value for name, value in changes.items()}})


def test_only_choices_between_numbers_are_ordered(encoding: Encoding) -> None:
    def distance(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.linalg.norm(first - second))

    small, middle, large = (vector(encoding, **{WIDTH.replace(".", "__"): width}) for width in (64, 128, 256))
    assert distance(small, middle) == pytest.approx(0.5) and distance(small, large) == pytest.approx(1)
    other = vector(encoding, transformer__name="fake_transformer")
    assert distance(small, other) == pytest.approx(1)


def test_an_inactive_parameter_does_not_count(encoding: Encoding) -> None:
    assert np.array_equal(vector(encoding), vector(encoding)) and INACTIVE in vector(encoding)
    unknown = dict.fromkeys([LAYERS], 3)
    with_it = encoding.vector({"transformer.name": "sign_language_transformer", LR: 1e-3, **unknown})
    without = encoding.vector({"transformer.name": "sign_language_transformer", LR: 1e-3})
    assert not np.array_equal(with_it, without)


def test_values_of_a_wider_range_are_near_its_end(encoding: Encoding) -> None:
    outside = encoding.position({LR: 1.0, DROPOUT: 0.1, WIDTH: 512, "transformer.name": "gru", "speed": "medium"})
    assert outside[0] == 1 + FURTHEST and np.isfinite(outside).all()
    assert np.isfinite(encoding.vector({LR: 1e-9, "transformer.name": "gru"})).all()


def test_a_space_with_one_point_has_no_coordinates() -> None:
    encoding = Encoding(parse_space({LR: 0.001, WIDTH: {"choice": [64]}}, "test"), build_config({}))
    assert encoding.parameters == 0 and encoding.vectors([{LR: 0.001, WIDTH: 64}] * 3).shape == (3, 0)
    assert encoding.point(np.zeros(0)) == {LR: 0.001, WIDTH: 64}
