"""Engines on recorded curves: the clock is right, each keeps its own rules, and the tables are what was asked for."""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from hearai.benchmarks.curves import read_curves, recorded_study
from hearai.benchmarks.engine_comparison import OURS, REFERENCE, Trace, on_surrogate, read_traces, summarise
from hearai.benchmarks.engines import OptunaAlone, Ours, Stock
from hearai.benchmarks.simulation import START_SECONDS, Run, simulate
from hearai.benchmarks.surrogate import Surrogate
from hearai.search.storage.trial_store import open_journal
from tests.helpers import ROOT

SCRIPT = ROOT / "experiments" / "benchmark.py"


class Task:
    """Curves that are their config: run X rises to X in four epochs of one second (X = params["x"])."""

    epochs = 4

    def curve(self, params: dict, seed: int) -> list[float]:
        return [params["x"] * share for share in (0.25, 0.5, 0.75, 1.0)]

    def truth(self, params: dict) -> float:
        return params["x"]

    def epoch_seconds(self, params: dict) -> float:
        return 1.0


class Listed:
    """Runs these values of x one after another; stops those below 0.5 after their first epoch."""

    def __init__(self, *xs: float):
        self._xs = list(xs)
        self.on_report: list[tuple[str, int]] = []

    def ask(self) -> Run | None:
        return Run(str(len(self._xs)), {"x": self._xs.pop(0)}) if self._xs else None

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        self.on_report.append((key, epoch))
        return value * 4 / epoch >= 0.5


def test_workers_run_beside_each_other_and_the_clock_counts_starts_and_epochs() -> None:
    engine = Listed(0.9, 0.8, 0.7)
    moments = list(simulate(engine, Task(), workers=2, epoch_budget=100))
    assert engine.on_report[:4] == [("3", 1), ("2", 1), ("3", 2), ("2", 2)] and len(moments) == 12
    assert moments[-1].seconds == pytest.approx(2 * (START_SECONDS + 4)), "two one after the other on one worker"
    assert [moment.epochs for moment in moments] == list(range(1, 13))


def test_stopped_runs_cost_what_they_ran_and_the_incumbent_is_judged_by_its_worth() -> None:
    moments = list(simulate(Listed(0.4, 0.9, 0.3), Task(), workers=1, epoch_budget=100))
    assert len(moments) == 1 + 4 + 1
    assert [moment.truth for moment in moments] == [0.4, 0.9, 0.9, 0.9, 0.9, 0.9]


def test_the_budget_ends_a_simulation_in_the_middle_of_a_run() -> None:
    assert len(list(simulate(Listed(0.9, 0.9), Task(), workers=1, epoch_budget=3))) == 3


# -- the recorded table ---------------------------------------------------------------------------


def test_the_table_holds_whole_curves_of_points_of_its_space() -> None:
    study, curves = recorded_study(), read_curves()
    assert len(curves) > 200 and {len(curve.values) for curve in curves} == {study.max_epochs}
    for curve in curves:
        assert all(study.space.domains[path].contains(value) for path, value in curve.params.items())
        assert 0 < curve.seconds < 120 and all(0 <= value <= 1 for value in curve.values)


def test_the_surrogate_predicts_runs_it_has_not_seen_better_than_their_mean() -> None:
    curves = read_curves()
    shown, held = curves[::2], curves[1::2]
    model = Surrogate(recorded_study().space, shown)
    mean = statistics.fmean(curve.best for curve in shown)
    error = statistics.fmean((model.truth(curve.params) - curve.best) ** 2 for curve in held)
    assert error < 0.5 * statistics.fmean((mean - curve.best) ** 2 for curve in held)
    assert model.curve(curves[0].params, 3) == model.curve(curves[0].params, 3) != model.curve(curves[0].params, 4)


# -- engines --------------------------------------------------------------------------------------


def test_ours_runs_the_base_config_first_and_to_its_end_and_journals_every_epoch(tmp_path: Path) -> None:
    study = recorded_study()
    with open_journal(tmp_path) as storage:
        engine = Ours(study, tmp_path, 2, storage)
        run = engine.ask()
        assert run.params == study.base_params()
        assert all(engine.tell(run.key, epoch, epoch / 100, epoch == 20) for epoch in range(1, 21))
        trial = engine.store[0]
        assert trial.state.name == "COMPLETE" and trial.value == 0.2 and len(trial.intermediate_values) == 20


def test_rays_pair_stops_at_a_rung_and_tells_its_low_value_as_complete() -> None:
    engine = Stock(recorded_study())
    good, bad = engine.ask(), engine.ask()
    grace = recorded_study().settings.early_stopping.grace_epochs
    assert all(engine.tell(good.key, epoch, 0.9, False) for epoch in range(1, grace + 1))
    assert all(engine.tell(bad.key, epoch, 0.1, False) for epoch in range(1, grace))
    assert not engine.tell(bad.key, grace, 0.1, False)
    on_report = {trial.state.name: trial.value for trial in engine._search._ot_study.trials}
    assert on_report["COMPLETE"] == 0.1, "what RAY's OptunaSearch does; ours says PRUNED"


def test_optuna_alone_asks_its_pruner_after_every_epoch() -> None:
    engine = OptunaAlone(recorded_study())
    for _ in range(5):  # the median pruner waits for five
        run = engine.ask()
        assert all(engine.tell(run.key, epoch, 0.5, epoch == 20) for epoch in range(1, 21))
    run = engine.ask()
    assert not engine.tell(run.key, 1, 0.1, False)


# -- tables ---------------------------------------------------------------------------------------


def test_cost_is_the_share_at_which_the_references_last_median_is_reached() -> None:
    slow, fast = [0.1, 0.2, 0.3, 0.4], [0.1, 0.4, 0.5, 0.5]
    traces = [Trace(REFERENCE, 0, slow, [1, 2, 3, 4], 0.4), Trace(OURS, 0, fast, [2, 4, 6, 8], 0.5)]
    rows = {row.engine: row for row in summarise(traces, 4)}
    assert (rows[OURS].cost, rows[REFERENCE].cost) == (0.5, 1.0)
    assert rows[OURS].seconds == rows[REFERENCE].seconds == pytest.approx(1.0)
    assert rows[OURS].at == {1: 0.1, 2: 0.4, 3: 0.5, 4: 0.5}


def test_a_comparison_on_the_surrogate_has_a_trace_for_each_engine_and_seed() -> None:
    model = Surrogate(recorded_study().space, read_curves()[::4])
    traces = list(
        on_surrogate(model, recorded_study(), seeds=[0, 1], epoch_budget=40, workers=2, engines=[OURS, REFERENCE])
    )
    assert [(trace.engine, trace.seed) for trace in traces] == [(e, s) for e in (OURS, REFERENCE) for s in (0, 1)]
    assert all(len(trace.values) == len(trace.seconds) == 40 for trace in traces)
    assert read_traces(Path("nowhere.jsonl")) == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["search", "--seeds", "1", "--epoch-budget", "30"], ["hearai", "Ray stock", "Optuna, hyperband", "picture: "]),
        (["scale", "--trials", "120", "--in-flight", "10"], ["at 100 trials", "journal", "continued from the journal"]),
    ],
)
def test_the_script_prints_its_table_in_80_columns(args: list[str], words: list[str], tmp_path: Path) -> None:
    more = ["--out", str(tmp_path)] if args[0] == "search" else []
    done = subprocess.run([sys.executable, str(SCRIPT), *args, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in words)
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if not line.startswith(("picture", "what the")))
