"""Utilisation of a cluster: the sleeping trial, the printed table, and two simulated nodes."""

import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import cloudpickle
import pytest

from hearai.benchmarks.curves import recorded_study
from hearai.benchmarks.result_tables import cluster_scale_table
from hearai.benchmarks.scale.cluster_scale import (
    EPOCHS_PER_TRIAL,
    HEAD_PROCESSES,
    ClusterScaleResult,
    every_nth_line,
    with_short_trials,
)
from hearai.benchmarks.scale.sleeper import report_of, sleep_trial
from hearai.benchmarks.scale.utilisation import Phases
from hearai.metrics import COSTS
from hearai.search.early_stopping import build_stopper
from hearai.search.trial.one_worker import KEYS
from tests.helpers import ROOT

SCRIPT = ROOT / "experiments" / "benchmark.py"


# -- the trial ------------------------------------------------------------------------------------


def test_sleeping_trial_reports_the_keys_of_a_real_one() -> None:
    reports = [report_of(7, epoch, 5, 2.0 * epoch) for epoch in range(1, 6)]
    assert all(report.keys() == set(KEYS) - set(COSTS) for report in reports)
    values = [report["objective"] for report in reports]
    assert values == sorted(values) and 0 < values[0] < values[-1] < 1
    assert reports[-1]["epoch"] == reports[-1]["epochs"] == 5


@pytest.mark.heavy
def test_no_sleeping_trial_is_stopped_early() -> None:
    study = with_short_trials(recorded_study(), 500)
    assert study.settings.budget.trials == 500 and study.max_epochs == EPOCHS_PER_TRIAL
    stopper = build_stopper(study.settings.early_stopping, study.max_epochs)
    falling = [(number, epoch, 1 / (number + 1)) for number in range(50) for epoch in range(1, EPOCHS_PER_TRIAL + 1)]
    assert all(stopper.should_continue(*report) for report in falling)


@pytest.mark.heavy
def test_unpickling_the_sleeping_trial_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "trial.pkl").write_bytes(cloudpickle.dumps(partial(sleep_trial, epoch_seconds=0.1)))
    assert callable(pickle.loads((tmp_path / "trial.pkl").read_bytes()))
    code = (
        "import pickle, sys; pickle.load(open(sys.argv[1], 'rb')); "
        "assert 'hearai.benchmarks.scale.sleeper' in sys.modules; "
        "sys.exit(' '.join(m for m in ('torch', 'torchvision', 'optuna') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "trial.pkl")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- the command ----------------------------------------------------------------------------------


def result(phases: Phases | None, with_torch: int = 0) -> ClusterScaleResult:
    head = dict(zip(HEAD_PROCESSES.values(), (2922.6, 1048.6, 1326.1, 149.9, 50.0, 49.4), strict=True))
    return ClusterScaleResult(128, 1024, 50_000, 49_999, 1030, with_torch, phases, 12345.6, head, 130.7)


def test_table_fits_80_columns_and_lists_head_processes() -> None:
    text = cluster_scale_table(result(Phases(104.0, 143.4, 1030.2, 110.1, 0.97, 0.912)))
    assert all(len(line) <= 80 for line in text.splitlines()), text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert {"GCS 1,049 MB", "driver 2,923 MB", "raylet and agents 150 MB", "memory of the head (PSS) 5,547 MB"} <= set(
        lines
    )
    assert all(part in text for part in ("91.2%", "97.0%", "busy after 143.4 s", "131 MB", "no trial with torch"))


def test_table_reports_a_missing_steady_state_and_torch() -> None:
    text = cluster_scale_table(result(None, with_torch=3))
    assert "slots were never all busy" in text and "utilisation" not in text and "3 trials with torch" in text


def test_every_tenth_line_and_all_failures_are_printed() -> None:
    printed: list[str] = []
    print_line = every_nth_line(printed.append, 10)
    for number in range(1, 21):
        print_line(f"[{number}/20] complete")
        if number == 13:
            print_line("[13/20] 0012 FAILED: hung")
    assert printed == ["[10/20] complete", "[13/20] 0012 FAILED: hung", "[20/20] complete"]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("args", "problems"),
    [
        (
            ["--seconds", "3", "--cpus-per-node", "2"],
            ["--cpus-per-node: requires --nodes", "--seconds: requires --nodes"],
        ),
        (["--nodes", "2", "--in-flight", "5"], ["--in-flight: not allowed with --nodes"]),
        (["--nodes", "0"], ["integer of at least 1"]),
    ],
)
def test_incompatible_options_are_refused(args: list[str], problems: list[str]) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "scale", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert all(problem in done.stderr for problem in problems), done.stderr


@pytest.mark.slow
@pytest.mark.ray
def test_two_nodes_of_two_slots_run_eight_trials(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "scale", "--nodes", "2", "--cpus-per-node", "2"]
    command += ["--trials", "8", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[8/8]" in done.stdout
    assert "2 nodes, 4 slots: 8 of 8 trials complete" in done.stdout
    assert "no trial with torch" in done.stdout and all(f"  {name} " in done.stdout for name in HEAD_PROCESSES.values())
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
