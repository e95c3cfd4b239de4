"""The recorded learning curves and the surrogate that is fitted to them."""

import statistics

import pytest

from hearai.benchmarks.curves import read_curves, recorded_study
from hearai.benchmarks.surrogate import Surrogate


@pytest.mark.heavy
def test_table_has_complete_curves_of_points_of_its_space() -> None:
    study, curves = recorded_study(), read_curves()
    assert len(curves) > 200 and {len(curve.values) for curve in curves} == {study.max_epochs}
    for curve in curves:
        assert all(study.space.domains[path].contains(value) for path, value in curve.params.items())
        assert 0 < curve.seconds < 120 and all(0 <= value <= 1 for value in curve.values)


@pytest.mark.heavy
def test_surrogate_predicts_held_out_runs_better_than_mean() -> None:
    curves = read_curves()
    shown, held_out = curves[::2], curves[1::2]
    model = Surrogate(recorded_study().space, shown)
    mean = statistics.fmean(curve.best for curve in shown)
    error = statistics.fmean((model.true_value(curve.params) - curve.best) ** 2 for curve in held_out)
    assert error < 0.5 * statistics.fmean((mean - curve.best) ** 2 for curve in held_out)
    assert model.curve(curves[0].params, 3) == model.curve(curves[0].params, 3) != model.curve(curves[0].params, 4)
