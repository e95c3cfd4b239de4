"""Engine comparison on real training: traces, their summary, and the tables that the script prints."""

import subprocess
import sys
from pathlib import Path

import pytest

from hearai.benchmarks.engine_comparison import HEARAI, REFERENCE, Trace, read_traces, summarise
from tests.helpers import ROOT

SCRIPT = ROOT / "experiments" / "benchmark.py"


def test_cost_is_the_share_at_which_reference_is_reached() -> None:
    slow, fast = [0.1, 0.2, 0.3, 0.4], [0.1, 0.4, 0.5, 0.5]
    traces = [Trace(REFERENCE, 0, slow, [1, 2, 3, 4], 0.4), Trace(HEARAI, 0, fast, [2, 4, 6, 8], 0.5)]
    rows = {row.engine: row for row in summarise(traces, 4)}
    assert (rows[HEARAI].cost, rows[REFERENCE].cost) == (0.5, 1.0)
    assert rows[HEARAI].seconds == rows[REFERENCE].seconds == pytest.approx(1.0)
    assert rows[HEARAI].at == {1: 0.1, 2: 0.4, 3: 0.5, 4: 0.5}


def test_log_that_does_not_exist_is_empty() -> None:
    assert read_traces(Path("nowhere.jsonl")) == []


@pytest.mark.slow
def test_script_prints_the_scale_table_in_80_columns() -> None:
    command = [sys.executable, str(SCRIPT), "scale", "--trials", "120", "--in-flight", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(part in done.stdout for part in ("at 100 trials", "journal", "continued from the journal"))
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
