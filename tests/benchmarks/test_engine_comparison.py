"""Engine comparison: traces, their summary, and the tables that the script prints."""

import subprocess
import sys
from pathlib import Path

import pytest

from hearai.benchmarks.curves import read_curves, recorded_study
from hearai.benchmarks.engine_comparison import HEARAI, REFERENCE, Trace, on_surrogate, read_traces, summarise
from hearai.benchmarks.surrogate import Surrogate
from tests.helpers import ROOT

SCRIPT = ROOT / "experiments" / "benchmark.py"


def test_cost_is_the_share_at_which_reference_is_reached() -> None:
    slow, fast = [0.1, 0.2, 0.3, 0.4], [0.1, 0.4, 0.5, 0.5]
    traces = [Trace(REFERENCE, 0, slow, [1, 2, 3, 4], 0.4), Trace(HEARAI, 0, fast, [2, 4, 6, 8], 0.5)]
    rows = {row.engine: row for row in summarise(traces, 4)}
    assert (rows[HEARAI].cost, rows[REFERENCE].cost) == (0.5, 1.0)
    assert rows[HEARAI].seconds == rows[REFERENCE].seconds == pytest.approx(1.0)
    assert rows[HEARAI].at == {1: 0.1, 2: 0.4, 3: 0.5, 4: 0.5}


@pytest.mark.heavy
def test_surrogate_comparison_has_a_trace_per_engine_and_seed() -> None:
    model = Surrogate(recorded_study().space, read_curves()[::4])
    traces = list(
        on_surrogate(model, recorded_study(), seeds=[0, 1], epoch_budget=40, workers=2, engines=[HEARAI, REFERENCE])
    )
    assert [(trace.engine, trace.seed) for trace in traces] == [(e, s) for e in (HEARAI, REFERENCE) for s in (0, 1)]
    assert all(len(trace.values) == len(trace.seconds) == 40 for trace in traces)
    assert read_traces(Path("nowhere.jsonl")) == []


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("args", "parts"),
    [
        pytest.param(
            ["search", "--seeds", "1", "--epoch-budget", "30"],
            ["hearai", "Ray stock", "Optuna, hyperband", "figure: "],
            marks=pytest.mark.slow,  # six engines, each in a process of its own: two minutes
        ),
        (["scale", "--trials", "120", "--in-flight", "10"], ["at 100 trials", "journal", "continued from the journal"]),
    ],
)
def test_script_prints_its_table_in_80_columns(args: list[str], parts: list[str], tmp_path: Path) -> None:
    more = ["--out", str(tmp_path)] if args[0] == "search" else []
    done = subprocess.run([sys.executable, str(SCRIPT), *args, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(part in done.stdout for part in parts)
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if not line.startswith(("figure", "value of")))
