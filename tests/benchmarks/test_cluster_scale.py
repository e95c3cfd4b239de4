"""How busy a cluster is kept: the computation from times, the sleeping trial, and two simulated nodes."""

import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import cloudpickle
import pytest

from hearai.benchmarks.cluster_scale import EPOCHS, HEAD, NodesScale, sleeping, sparsely
from hearai.benchmarks.curves import recorded_study
from hearai.benchmarks.report import nodes_table
from hearai.benchmarks.sleeper import report_of, sleep_trial
from hearai.benchmarks.utilisation import Phases, busy_seconds, first_full, phases_of, utilisation
from hearai.metrics import COSTS
from hearai.search.early_stopping import build_stopper
from hearai.search.trial.one_worker import KEYS
from tests.helpers import ROOT

SCRIPT = ROOT / "experiments" / "benchmark.py"


def test_only_what_lies_in_the_window_counts() -> None:
    assert busy_seconds([(0, 4), (3, 10), (11, 12), (5, 6)], (2, 8)) == 2 + 5 + 0 + 1


def test_utilisation_is_the_share_of_all_slots_and_an_idle_slot_lowers_it() -> None:
    assert utilisation([(0, 10), (0, 5)], 2, (0, 10)) == pytest.approx(0.75)
    assert utilisation([(0, 10)], 4, (0, 10)) == pytest.approx(0.25)
    assert utilisation([], 4, (0, 10)) == 0
    with pytest.raises(ValueError, match="ends before it begins"):
        utilisation([(0, 1)], 1, (3, 3))


def test_slots_are_full_when_as_many_trials_overlap_and_a_handover_is_no_overlap() -> None:
    assert first_full([(0, 10), (3, 7), (5, 6)], 3) == 5
    assert first_full([(0, 5), (5, 10)], 2) is None
    assert first_full([(2, 3)], 1) == 2
    assert first_full([], 1) is None


def test_ramp_up_and_drain_are_apart_from_the_steady_state() -> None:
    """Two slots; the second is filled at 104, the last trial begins at 110: in 104..110 one second of 12 is idle."""
    trials = [(102, 106), (104, 108), (107, 111), (108, 110), (110, 115)]
    work = [(start, end - 0.5) for start, end in trials]
    phases = phases_of(trials, work, 2, ready=100)
    assert (phases.first_trial, phases.ramp_up, phases.steady, phases.drain) == (2, 4, 6, 5)
    assert phases.held == pytest.approx(11 / 12)
    assert phases.at_work == pytest.approx((1.5 + 3.5 + 3 + 1.5) / 12), "waiting for the search is no work"


def test_there_is_no_steady_state_where_the_slots_were_never_all_busy_or_only_at_the_end() -> None:
    assert phases_of([(0, 1), (2, 3)], [], 2, ready=0) is None
    assert phases_of([(0, 5), (1, 5)], [], 2, ready=0) is None
    assert phases_of([], [], 2, ready=0) is None


# -- the trial ------------------------------------------------------------------------------------


def test_a_sleeping_trial_reports_the_keys_of_a_real_one_and_learns() -> None:
    reports = [report_of(7, epoch, 5, 2.0 * epoch) for epoch in range(1, 6)]
    assert all(report.keys() == set(KEYS) - set(COSTS) for report in reports)
    values = [report["objective"] for report in reports]
    assert values == sorted(values) and 0 < values[0] < values[-1] < 1
    assert reports[-1]["epoch"] == reports[-1]["epochs"] == 5


def test_of_the_sleeping_trials_none_is_stopped_early() -> None:
    study = sleeping(recorded_study(), 500)
    assert study.settings.budget.trials == 500 and study.max_epochs == EPOCHS
    stopper = build_stopper(study.settings.early_stopping, study.max_epochs)
    falling = [(number, epoch, 1 / (number + 1)) for number in range(50) for epoch in range(1, EPOCHS + 1)]
    assert all(stopper.should_continue(*report) for report in falling)


def test_a_process_that_is_sent_the_sleeping_trial_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "trial.pkl").write_bytes(cloudpickle.dumps(partial(sleep_trial, epoch_seconds=0.1)))
    assert callable(pickle.loads((tmp_path / "trial.pkl").read_bytes()))
    code = (
        "import pickle, sys; pickle.load(open(sys.argv[1], 'rb')); "
        "assert 'hearai.benchmarks.sleeper' in sys.modules; "
        "sys.exit(' '.join(m for m in ('torch', 'torchvision', 'optuna') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "trial.pkl")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- the command ----------------------------------------------------------------------------------


def found(phases: Phases | None, with_torch: int = 0) -> NodesScale:
    head = dict(zip(HEAD.values(), (2922.6, 1048.6, 1326.1, 149.9, 50.0, 49.4), strict=True))
    return NodesScale(128, 1024, 50_000, 49_999, 1030, with_torch, phases, 12345.6, head, 130.7)


def test_the_table_fits_80_columns_and_names_each_process_of_the_head() -> None:
    text = nodes_table(found(Phases(104.0, 143.4, 1030.2, 110.1, 0.97, 0.912)))
    assert all(len(line) <= 80 for line in text.splitlines()), text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert {"GCS 1,049 MB", "driver 2,923 MB", "raylet and agents 150 MB", "memory of the head (PSS) 5,547 MB"} <= set(
        lines
    )
    assert all(words in text for words in ("91.2%", "97.0%", "busy after 143.4 s", "131 MB", "no trial with torch"))


def test_the_table_says_so_where_there_was_no_steady_state_and_where_torch_was_imported() -> None:
    text = nodes_table(found(None, with_torch=3))
    assert "never were all slots busy" in text and "utilisation" not in text and "3 trials with torch" in text


def test_of_the_trials_lines_every_tenth_is_shown_and_each_that_tells_of_trouble() -> None:
    said: list[str] = []
    print_line = sparsely(said.append, 10)
    for number in range(1, 21):
        print_line(f"[{number}/20] complete")
        if number == 13:
            print_line("[13/20] 0012 FAILED: hung")
    assert said == ["[10/20] complete", "[13/20] 0012 FAILED: hung", "[20/20] complete"]


@pytest.mark.parametrize(
    ("args", "problems"),
    [
        (["--seconds", "3", "--cpus-per-node", "2"], ["--cpus-per-node: given without", "--seconds: given without"]),
        (["--nodes", "2", "--in-flight", "5"], ["--in-flight: given with --nodes"]),
        (["--nodes", "0"], ["whole number of at least 1"]),
    ],
)
def test_options_that_do_not_go_together_are_refused(args: list[str], problems: list[str]) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "scale", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert all(problem in done.stderr for problem in problems), done.stderr


@pytest.mark.slow
def test_two_nodes_of_two_slots_run_eight_trials_of_a_second(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "scale", "--nodes", "2", "--cpus-per-node", "2"]
    command += ["--trials", "8", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[8/8]" in done.stdout
    assert "2 nodes, 4 slots: 8 of 8 trials complete" in done.stdout
    assert "no trial with torch" in done.stdout and all(f"  {name} " in done.stdout for name in HEAD.values())
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
