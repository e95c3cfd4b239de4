"""The Gaussian process over learning curves against a direct computation, and what its parts are for."""

import numpy as np
import pytest

from hearai.search.sampling.freeze_thaw.curve_model import CurveModel, Density, Rows

PARAMETER_OF_C = np.array([0, 1, 1])


def rows_of(count: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    return Rows(rng.random((count, 3)), rng.uniform(-1, 0, count), rng.integers(0, count // 2, count))


def test_the_gradient_is_that_of_the_posterior_density() -> None:
    rows, rng = rows_of(12), np.random.default_rng(1)
    y_N, model = rng.standard_normal(12), CurveModel(PARAMETER_OF_C, 2)
    log_H = model.prior_H + rng.normal(0, 0.3, len(model.prior_H))

    def density(log_H: np.ndarray) -> float:
        model._log_H = log_H
        total = model.covariance_with_seeds(rows, rows) + model.ridge * np.eye(12)
        prior = 0.5 * (((log_H - model.prior_H) / model.width_H) ** 2).sum()
        return float(0.5 * y_N @ np.linalg.solve(total, y_N) + 0.5 * np.linalg.slogdet(total)[1] + prior)

    value, slope_H = Density(model, rows, y_N)(log_H)
    assert value == pytest.approx(density(log_H))
    for number, slope in enumerate(slope_H):
        step = np.zeros_like(log_H)
        step[number] = 1e-5
        assert slope == pytest.approx((density(log_H + step) - density(log_H - step)) / 2e-5, rel=1e-4, abs=1e-5)


def test_predictions_are_those_of_the_textbook() -> None:
    rows, others, y_N = rows_of(10), rows_of(6, seed=2), np.random.default_rng(3).standard_normal(10)
    model = CurveModel(PARAMETER_OF_C, 2)
    total = model.covariance_with_seeds(rows, rows) + model.ridge * np.eye(10)
    cross = model.covariance(others, rows)
    expected = cross @ np.linalg.solve(total, y_N)
    spread = model.covariance(others, others) - cross @ np.linalg.solve(total, cross.T)
    posterior = model.posterior(rows, y_N)
    mean_M, deviation_M = posterior.predict(others)
    assert mean_M == pytest.approx(expected) and deviation_M**2 == pytest.approx(np.diag(spread))
    assert posterior.covariance(others) == pytest.approx(spread)


def test_believing_keeps_means_and_lowers_the_uncertainty() -> None:
    rows, pending, y_N = rows_of(10), rows_of(3, seed=5), np.random.default_rng(3).standard_normal(10)
    posterior = CurveModel(PARAMETER_OF_C, 2).posterior(rows, y_N)
    later = posterior.believing(pending)
    near = Rows(pending.x_NC + 0.01, pending.t_N, pending.curve_N + 100)
    before, after = posterior.predict(near), later.predict(near)
    assert after[0] == pytest.approx(before[0], abs=0.05) and (after[1] < before[1]).all()


def curves_that_keep_their_ranks() -> tuple[Rows, np.ndarray]:
    """Ten curves of the same parameters, seen at their start; except the worst and the best also at their end."""
    times, curve_N = np.tile([-1.0, 0.0], 10), np.repeat(np.arange(10), 2)
    known = np.array([row for row in range(20) if row not in (1, 19)])
    rows = Rows(np.full((20, 3), 0.5), times, curve_N).at(known)
    return rows, np.repeat(np.linspace(-1, 1, 10), 2)[known]


ENDS = Rows(np.full((2, 3), 0.5), np.zeros(2), np.array([0, 9]))
"""Of the worst and the best of those curves."""


def test_a_curve_s_own_part_carries_it_to_its_end() -> None:
    rows, y_N = curves_that_keep_their_ranks()
    model = CurveModel(PARAMETER_OF_C, 2)
    model.prior_H[-2] = np.log(0.001)  # seeds change nothing
    model.fit(rows, y_N, 40)
    worst, best = model.posterior(rows, y_N).predict(ENDS)[0]
    assert best - worst > 1


def test_what_a_seed_changes_is_not_expected_of_a_config() -> None:
    rows, y_N = curves_that_keep_their_ranks()
    model = CurveModel(PARAMETER_OF_C, 2)
    model.fit(rows, y_N, 40)
    posterior = model.posterior(rows, y_N)
    worst, best = posterior.predict(ENDS)[0]
    assert best - worst < 0.1, "all have the same parameters"
    believed_N = posterior.believing(ENDS)._y_N[-2:]
    assert believed_N[1] - believed_N[0] > 1, "but the runs continue as they began"


def test_a_fit_depends_on_the_rows_alone() -> None:
    rows, y_N = rows_of(15), np.random.default_rng(4).standard_normal(15)
    first, second = CurveModel(PARAMETER_OF_C, 2), CurveModel(PARAMETER_OF_C, 2)
    second.fit(rows_of(15, seed=9), y_N, 40)  # an earlier fit leaves no trace
    first.fit(rows, y_N, 40)
    second.fit(rows, y_N, 40)
    assert np.array_equal(first._log_H, second._log_H)
