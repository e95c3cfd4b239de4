"""Points of a space as vectors and back."""

import random

import numpy as np
import pytest

from hearai.config.config import build_config
from hearai.config.search_space.space import parse_space
from hearai.search.sampling.freeze_thaw.axes import FURTHEST
from hearai.search.sampling.freeze_thaw.encoding import Encoding, key_of

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


@pytest.mark.heavy
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
    ignored = {"transformer.name": "lstm", LR: 1e-3}
    assert np.array_equal(encoding.vector(ignored), encoding.vector(dict(reversed(ignored.items()))))
    active = {"transformer.name": "sign_language_transformer", LR: 1e-3, LAYERS: 1}
    assert not np.array_equal(encoding.vector(active), encoding.vector({**active, LAYERS: 4}))


def test_having_a_parameter_separates_points_whatever_its_value() -> None:
    raw = {LAYERS: SPACE[LAYERS], "transformer.name": {"choice": ["sign_language_transformer", "lstm"]}}
    encoding = Encoding(parse_space(raw, "test"), build_config({}))
    without = encoding.vector({"transformer.name": "lstm"})
    for layers in (1, 2, 3, 4):
        vector_C = encoding.vector({"transformer.name": "sign_language_transformer", LAYERS: layers})
        of_layers = encoding.parameter_of_C == list(encoding.parameter_names).index(LAYERS)
        assert np.linalg.norm((vector_C - without)[of_layers]) >= 0.5


def test_vectors_at_positions_are_those_of_their_points(encoding: Encoding) -> None:
    position_MP = np.random.default_rng(0).random((300, encoding.parameters))
    expected = [encoding.vector(encoding.point(position_P)) for position_P in position_MP]
    assert encoding.vectors_at(position_MP) == pytest.approx(np.array(expected))


def test_conditions_on_tied_choices_numbers_and_constants_hold() -> None:
    raw = {
        "speed": {"choice": {"slow": {"train_parameters.batch_size": 4}, "fast": {"train_parameters.batch_size": 64}}},
        LR: {"float": [1e-4, 1e-2], "log": True, "when": {"train_parameters.batch_size": 64}},
        LAYERS: {"int": [1, 4]},
        DROPOUT: {"float": [0.0, 0.5], "when": {LAYERS: [2, 3], "train_parameters.batch_size": 64}},
        WIDTH: {"choice": [64, 128, 256], "when": {"transformer.name": "no such encoder"}},
    }
    space = parse_space(raw, "test")
    encoding = Encoding(space, build_config({}))
    position_MP = np.random.default_rng(1).random((200, encoding.parameters))
    points = [encoding.point(position_P) for position_P in position_MP]
    assert {frozenset(point) for point in points} >= {frozenset({"speed", LAYERS}), frozenset({*raw} - {WIDTH})}
    expected = np.array([encoding.vector(point) for point in points])
    assert encoding.vectors_at(position_MP) == pytest.approx(expected)


def test_values_of_a_wider_range_are_near_its_end(encoding: Encoding) -> None:
    outside = {LR: 1.0, DROPOUT: 0.1, WIDTH: 512, "transformer.name": "gru", "speed": "medium"}
    inside = {**outside, LR: 1e-2, WIDTH: 256, "transformer.name": "lstm", "speed": "fast"}
    assert ((encoding.position(outside) >= 0) & (encoding.position(outside) <= 1)).all()
    first = encoding.vector(outside)[0], encoding.vector(inside)[0], encoding.vector({**inside, LR: 9e-3})[0]
    assert first[0] == 1 + FURTHEST > first[1] == 1 > first[2]
    assert np.isfinite(encoding.vector({LR: 1e-9, "transformer.name": "gru"})).all()


def test_a_parameter_that_a_prior_lacks_has_the_base_value(encoding: Encoding) -> None:
    known = {LR: 1e-3, WIDTH: 64, "transformer.name": "lstm", "speed": "slow"}
    base = build_config({}).transformer.dropout_rate
    assert encoding.vector(known) == pytest.approx(encoding.vector({**known, DROPOUT: base}))


def test_every_point_of_a_finite_space_is_listed_once() -> None:
    raw = {LAYERS: SPACE[LAYERS], "transformer.name": {"choice": ["sign_language_transformer", "lstm"]}}
    encoding = Encoding(parse_space(raw, "test"), build_config({}))
    points = list(encoding.all_points())
    assert encoding.size == 8 and len(points) == len({key_of(point) for point in points}) == 5


def test_a_space_with_one_point_has_no_coordinates() -> None:
    raw = {LR: 0.001, WIDTH: {"choice": [64]}, DROPOUT: {"float": [0.0, 0.3], "step": 0.5}}
    encoding = Encoding(parse_space(raw, "test"), build_config({}))
    assert encoding.parameters == 0 and encoding.vectors_at(np.zeros((3, 0))).shape == (3, 0)
    assert encoding.point(np.zeros(0)) == {LR: 0.001, WIDTH: 64, DROPOUT: 0.0}
    assert encoding.size == 1 and encoding.vector({}).shape == (0,)


def test_equal_points_have_equal_keys_and_others_do_not() -> None:
    assert key_of({LR: 0.1 + 0.2, LAYERS: 2}) == key_of({LAYERS: 2.0, LR: 0.3})
    assert key_of({WIDTH: True}) != key_of({WIDTH: 1}) != key_of({WIDTH: "1"})
