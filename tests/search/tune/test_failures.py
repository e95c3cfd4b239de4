"""Trials that die, each of a real cause: alone, with a reason and their log, while the others go on."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hearai.config.study import Study
from hearai.reporting.study_report.page import write_results
from hearai.search.run import Options, run_study
from tests.helpers.killing import PID, killer, log_of

pytestmark = pytest.mark.usefixtures("ray_session")
MakeStudy = Callable[..., Study]

TRAINS_ON_PICTURES = {
    "freeze_scheduler.model_params": {"feature_extractor": [False]},
    "freeze_scheduler.freeze_pattern_repeats": [99],
}
"""So that trials read the frames themselves; of a frozen backbone they read kept features."""


def search(study: Study, storage: Path, print_line: Callable[[str], None] = lambda _: None, **options: Any) -> dict:
    """Runs the study; its summary."""
    outcome = run_study(study, Options(storage, **options), print_line)
    write_results(outcome.folder)
    return json.loads((outcome.folder / "summary.json").read_text())


def test_trials_that_crash_are_killed_or_lack_memory_fail_alone_and_fresh_processes_go_on(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    huge = 10**12  # of weights: 16 TB
    space = {"train_parameters.lr": None, "transformer.feedforward_size": {"choice": [16, 24, 32, 40, 48, huge]}}
    settings = {"budget": {"trials": 6}, "space": space, "finalists": {"count": 0}}
    study = make_study(settings, {"train_parameters.epochs": 60})
    trials = tmp_path / "tiny" / "trials"
    with killer(trials, {"0000": signal.SIGKILL, "0001": signal.SIGSEGV}):
        summary = search(study, tmp_path)
    assert summary["trials"] == {"total": 6, "complete": 3, "pruned": 0, "failed": 3}
    reasons = [entry["reason"] for entry in summary["failed"]]
    assert reasons[0].startswith("killed by SIGKILL (out of memory?), or left by os._exit; its last words: ")
    assert reasons[1].startswith("segmentation fault (SIGSEGV)")
    assert reasons[2].startswith("out of memory: you tried to allocate ")
    assert "Fatal Python error: Segmentation fault" in log_of(trials / "0001")
    assert all(PID.search(log_of(trial)) for trial in trials.iterdir()), "every log is kept"
    assert summary["best"]["trial"] not in [entry["trial"] for entry in summary["failed"]]


def test_a_trial_that_hangs_fails_with_where_it_hung_and_the_search_goes_on(
    make_study: MakeStudy, tmp_path: Path, tiny_dataset: Path
) -> None:
    settings = {"budget": {"trials": 3}, "finalists": {"count": 0}, "hang_seconds": 8}
    pictures = {frame: frame.read_bytes() for frame in tiny_dataset.glob("*/*.jpg")}

    def print_line(line: str) -> None:
        if "0000 complete" in line:  # as on a dead network drive: whoever opens one waits for ever
            for frame in pictures:
                frame.unlink()
                os.mkfifo(frame)
        if "0001 FAILED" in line:
            for frame, picture in pictures.items():
                frame.unlink()
                frame.write_bytes(picture)

    summary = search(make_study(settings, TRAINS_ON_PICTURES), tmp_path, print_line, max_concurrent=1)
    assert summary["trials"] == {"total": 3, "complete": 2, "pruned": 0, "failed": 1}
    (failed,) = summary["failed"]
    assert failed["trial"] == 1
    assert re.fullmatch(r"no report for 8 s: hung in data/\w+\.py:\d+ \(\w+\)", failed["reason"])
    log = log_of(tmp_path / "tiny" / "trials" / "0001")
    assert "Timeout (0:00:08)!" in log
    pids = [PID.findall(log_of(tmp_path / "tiny" / "trials" / f"{trial:04d}")) for trial in range(3)]
    assert pids[0] == pids[1] != pids[2], "a fresh process takes the place of the dead one"
