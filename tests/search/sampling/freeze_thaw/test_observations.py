"""What the curve model sees of a search: points of curves on a robust scale, and a bounded number of them."""

import math

import numpy as np
import pytest

from hearai.config.config import build_config
from hearai.config.search_space.space import parse_space
from hearai.search.sampling.freeze_thaw.curves import Curve
from hearai.search.sampling.freeze_thaw.encoding import Encoding
from hearai.search.sampling.freeze_thaw.observations import MOST_ROWS, Observations, PointBook, Timeline

LR = "train_parameters.lr"
TIMELINE = Timeline((3, 6, 14, 30, 50), 50, 0.06)


def observations_of(curves: list[Curve]) -> Observations:
    encoding = Encoding(parse_space({LR: {"float": [1e-4, 1e-1], "log": True}}, "test"), build_config({}))
    return Observations(curves, PointBook(encoding), TIMELINE, np.random.default_rng(0))


def curve_of(number: int, values: dict[int, float], diverged: bool = False) -> Curve:
    return Curve(number, {LR: 1e-4 * 1.01**number}, values, "stopped" if diverged else "paused", diverged=diverged)


def test_time_is_the_logarithm_of_the_epoch() -> None:
    assert TIMELINE.time(50) == 0 and TIMELINE.time(3) == pytest.approx(-1)


def test_the_next_level_is_that_after_the_last_report() -> None:
    levels = [TIMELINE.level_after(curve_of(0, dict.fromkeys(epochs, 0.5))) for epochs in ((), (1, 2), (3,), (50,))]
    assert levels == [3, 3, 6, 50]
    assert TIMELINE.level_after(curve_of(0, {3: 0.5}), ahead=3) == 30


def test_a_curve_counts_by_its_last_points() -> None:
    curve = curve_of(0, {epoch: epoch / 100 for epoch in range(1, 17)})
    assert [value for _, value in TIMELINE.points(curve)] == [0.14, 0.16]


def test_poor_and_diverged_trials_do_not_bend_the_scale() -> None:
    sound = [curve_of(n, {3: 0.5 + n / 100}) for n in range(20)]
    poor = [curve_of(20, {3: -1e6}), curve_of(21, {3: 0.6}, diverged=True), curve_of(22, {3: math.inf})]
    with_poor, without = observations_of([*sound, *poor]), observations_of(sound)
    assert with_poor.difference(1) == pytest.approx(without.difference(1), rel=0.5)
    assert set(with_poor.y_N[20:]) == {with_poor.y_N.min()}


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e307])
def test_values_come_back_from_the_scale_of_the_model(scale: float) -> None:
    values = [scale * (1 + n / 10) for n in range(10)]
    seen = observations_of([curve_of(n, {3: value}) for n, value in enumerate(values)])
    assert [seen.value(y) / scale for y in seen.y_N[3:]] == pytest.approx([value / scale for value in values[3:]])


def test_equal_values_and_no_values_are_no_error() -> None:
    assert np.isfinite(observations_of([curve_of(n, {3: 0.5}) for n in range(10)]).y_N).all()
    assert observations_of([]).is_empty and observations_of([curve_of(n, {}) for n in range(9)]).is_empty


def test_the_rows_are_bounded_and_include_the_best() -> None:
    seen = observations_of([curve_of(n, {3: n / 1000, 6: n / 1000 + 0.1}) for n in range(700)])
    assert len(seen.rows) == MOST_ROWS and seen.value(seen.y_N.max()) == pytest.approx(0.799)
    rows, y_N = seen.sample(np.random.default_rng(0))
    assert len(rows) == len(y_N) < MOST_ROWS


def test_a_number_with_other_parameters_is_another_point() -> None:
    encoding = Encoding(parse_space({LR: {"float": [0.0, 1.0]}}, "test"), build_config({}))
    book = PointBook(encoding)
    first, second = (book.vector(Curve(1, {LR: value}, {}, "running"))[0] for value in (0.2, 0.7))
    assert (first, second) == pytest.approx((0.2, 0.7))
