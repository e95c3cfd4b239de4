"""Expected gain and noise: exact cases, and the calibration on recorded curves that the docstrings state."""

import random
import statistics
from itertools import accumulate

import pytest

from hearai.benchmarks.curves import read_curves
from hearai.search.early_stopping.expected_gain import curve_noise, describe_gain, expected_gain, seed_spread

ORDERS = 100


@pytest.fixture(scope="module")
def random_configs() -> list[float]:
    """The best scores of the recorded runs of random configs."""
    return [curve.best for curve in read_curves()[6:176]]


@pytest.mark.heavy
@pytest.mark.parametrize("trials", [15, 30, 60])
def test_the_mean_estimate_is_within_a_factor_of_two(random_configs: list[float], trials: int) -> None:
    rng, estimated, real = random.Random(0), [], []
    for _ in range(ORDERS):
        values = rng.sample(random_configs, trials + 10)
        estimated.append(expected_gain(values[:trials], 10))
        real.append(max(values) - max(values[:trials]))
    assert 0.5 < statistics.fmean(estimated) / statistics.fmean(real) < 2


def test_no_trials_or_equal_values_gain_nothing() -> None:
    assert expected_gain([0.1, 0.5, 0.3, 0.6], 0) == 0
    assert expected_gain([0.4] * 20, 10) == 0


def test_a_growing_search_gains_more_than_an_early_best() -> None:
    rising = [number / 100 for number in range(30)]
    assert expected_gain(rising, 10) > 1.5 * expected_gain(rising[::-1], 10) > 0


def test_the_gain_grows_with_trials_and_scales_with_values() -> None:
    values = random.Random(3).choices([n / 100 for n in range(100)], k=40)
    gains = [expected_gain(values, more) for more in (1, 10, 100)]
    assert gains == sorted(gains) and gains[0] > 0
    assert expected_gain([10 + 3 * value for value in values], 10) == pytest.approx(3 * gains[1])


def test_two_values_are_needed() -> None:
    assert expected_gain([0.1, 0.2], 10) > 0
    with pytest.raises(ValueError, match="got 1 values"):
        expected_gain([0.1], 10)


def test_the_estimate_of_a_large_search_is_finite() -> None:
    rng = random.Random(0)
    assert 0 < expected_gain([rng.random() for _ in range(5000)], 10) < 0.01


def test_the_spread_of_seeds_is_pooled_over_configs() -> None:
    assert seed_spread({0: [0.4, 0.6]}) == pytest.approx(statistics.stdev([0.4, 0.6]))
    assert seed_spread({0: [0.4, 0.6], 1: [0.9, 0.9, 0.9]}) == pytest.approx((0.02 / 3) ** 0.5)
    assert seed_spread({0: [0.4], 1: [0.9]}) is None and seed_spread({}) is None


@pytest.mark.heavy
def test_noise_of_recorded_curves_is_near_the_spread_of_seeds() -> None:
    curves = read_curves()
    runs = [dict(enumerate(accumulate(curve.values, max), start=1)) for curve in curves]
    seeds: dict[str, list[float]] = {}
    for curve in curves:
        seeds.setdefault(str(sorted(curve.params.items())), []).append(curve.best)
    spread = seed_spread({number: values for number, values in enumerate(seeds.values())})
    assert spread is not None and 0.5 < curve_noise(runs, 20) / spread < 1.1


def test_noise_is_that_of_the_second_half_of_the_last_run() -> None:
    still = {epoch: 0.5 for epoch in range(1, 11)}
    assert curve_noise([{**still, 1: 0.1, 2: 0.3}], 10) == 0
    two_folds = {**{epoch: 0.2 for epoch in range(1, 11)}, **{epoch + 10: 0.5 for epoch in range(1, 11)}}
    assert curve_noise([two_folds], 10) == 0
    assert curve_noise([{1: 0.1, 2: 0.2, 3: 0.3, 4: 0.5, 5: 0.5}], 5) == pytest.approx(0.1)
    assert curve_noise([{1: 0.1, 2: 0.2, 3: 0.3, 4: 0.5}], 4) is None and curve_noise([], 20) is None


def test_gain_and_spread_are_said_in_one_line() -> None:
    assert describe_gain(0.0021, 0.0114) == "10 more trials are expected to gain 0.002, a seed moves 0.011"
