"""Trials that fail, each from a real cause: alone, with a reason and their log, while the others continue."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hearai.config.limits import MAX_WIDTH
from hearai.config.study import Study
from hearai.reporting.study_report.page import write_results
from hearai.search.run import Options, run_study
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.failures import KILLED_BY_DRIVER, Failure, explain
from tests.helpers.fault_injection import PID, kill_after_first_epoch, trial_log

MakeStudy = Callable[..., Study]

TRAIN_ON_IMAGES = {
    "freeze_scheduler.model_params": {"feature_extractor": [False]},
    "freeze_scheduler.freeze_pattern_repeats": [99],
}
"""So that trials read the images; with a frozen backbone they read cached features."""


def search(study: Study, storage: Path, print_line: Callable[[str], None] = lambda _: None, **options: Any) -> dict:
    """Runs the study; its summary."""
    outcome = run_study(study, Options(storage, **options), print_line)
    write_results(outcome.folder)
    return json.loads((outcome.folder / "summary.json").read_text())


@pytest.mark.usefixtures("ray_session")
def test_crashed_killed_and_oversized_trials_fail_alone(make_study: MakeStudy, tmp_path: Path) -> None:
    widths = ("feature_extractor.representation_size", "transformer.feedforward_size")
    sizes = {f"of {size}": {widths[1]: size} for size in (16, 24, 32, 40, 48)}
    huge = dict.fromkeys(widths, MAX_WIDTH) | {"transformer.num_encoder_layers": 64}  # weights: 1.1 TB
    space = {"train_parameters.lr": None, "size": {"choice": {**sizes, "huge": huge}}}
    settings = {"budget": {"trials": 6}, "space": space, "finalists": {"count": 0}}
    study = make_study(settings, {"train_parameters.epochs": 60})
    trials = tmp_path / "tiny" / "trials"
    with kill_after_first_epoch(trials, {"0000": signal.SIGKILL, "0001": signal.SIGSEGV}):
        summary = search(study, tmp_path, max_concurrent=1)
    assert summary["trials"] == {"total": 6, "complete": 3, "pruned": 0, "failed": 3, "paused": 0}
    reasons = [entry["reason"] for entry in summary["failed"]]
    assert reasons[0].startswith("killed by SIGKILL (out of memory?), or ended by os._exit; last line of its log: ")
    assert reasons[1].startswith("segmentation fault (SIGSEGV)")
    assert "transformer: 64 layers of 65536 x 65536 weights" in reasons[2] and "GB" in reasons[2]
    assert "Fatal Python error: Segmentation fault" in trial_log(trials / "0001")
    assert all(PID.search(trial_log(trial)) for trial in trials.iterdir()), "every log is kept"
    assert summary["best"]["trial"] not in [entry["trial"] for entry in summary["failed"]]


@pytest.mark.usefixtures("ray_session")
def test_a_trial_that_hangs_fails_with_the_location(make_study: MakeStudy, tmp_path: Path, tiny_dataset: Path) -> None:
    settings = {"budget": {"trials": 3}, "finalists": {"count": 0}, "hang_seconds": 8}
    images = {frame: frame.read_bytes() for frame in tiny_dataset.glob("*/*.jpg")}

    def print_line(line: str) -> None:
        if "0000 complete" in line:  # as on a dead network drive: opening one blocks forever
            for frame in images:
                frame.unlink()
                os.mkfifo(frame)
        if "0001 FAILED" in line:
            for frame, image in images.items():
                frame.unlink()
                frame.write_bytes(image)

    summary = search(make_study(settings, TRAIN_ON_IMAGES), tmp_path, print_line, max_concurrent=1)
    assert summary["trials"] == {"total": 3, "complete": 2, "pruned": 0, "failed": 1, "paused": 0}
    (failed,) = summary["failed"]
    assert failed["trial"] == 1
    assert re.fullmatch(r"no report for 8 s: hung in data/\w+\.py:\d+ \(\w+\)", failed["reason"])
    log = trial_log(tmp_path / "tiny" / "trials" / "0001")
    assert "Timeout (0:00:08)!" in log
    pids = [PID.findall(trial_log(tmp_path / "tiny" / "trials" / f"{trial:04d}")) for trial in range(3)]
    assert pids[0] == pids[1] != pids[2], "a fresh process replaces the dead one"


# -- what Ray writes ------------------------------------------------------------------------------


GROUP_ERROR = """
  File "/x/hearai/search/trial/worker_group.py", line 88, in run_worker_group
    trainer.fit()
ray.train.WorkerGroupError: Training failed due to worker errors:
[Rank 1 Error Snippet]:
A worker health check failed.
Worker info: Worker(
  actor=Actor(RayTrainWorker, 3554365752d4ffa957f08e3101000000),
  distributed_context=DistributedContext(world_rank=1, world_size=2, local_rank=1, local_world_size=2, node_rank=0),
)
"""
"""As Ray 2.60 writes it, without the reason, which follows."""


@pytest.mark.parametrize(
    ("error", "cause", "reason"),
    [
        ("The actor died because its node has died. Node Id: 4ba4", "node", "its node died or became unreachable"),
        (
            "Worker exits with a connection error. End of file.",
            "trial",
            "killed by SIGKILL (out of memory?), or ended by os._exit",
        ),
        (
            "Task was killed due to the node running low on memory.",
            "trial",
            "killed by Ray: its node ran out of memory",
        ),
        (
            "hearai.errors.Preempted: stopped in epoch 3, after 1 of 4 steps",
            "preemption",
            "its node is being preempted",
        ),
    ],
)
def test_the_cause_of_a_group_failure_is_that_of_its_worker(
    tmp_path: Path, error: str, cause: str, reason: str
) -> None:
    failure = explain(f"{GROUP_ERROR}{error}", TrialSpec(0, str(tmp_path), {}, hang_seconds=20))
    assert failure.cause == cause and failure.reason.startswith(reason)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ("hearai.errors.DiskFull: last/state.pt: its disk is full", Failure("last/state.pt: its disk is full", "disk")),
        ("hearai.errors.StoreLost: s3://b/tiny: cannot be reached", Failure("s3://b/tiny: cannot be reached", "disk")),
        ("OSError: [Errno 28] No space left on device", Failure("[Errno 28] No space left on device", "disk")),
        (
            "OSError: [Errno 13] Permission denied",
            Failure("OSError: [Errno 13] Permission denied before the run started"),
        ),
        (
            f"The actor is dead because it was {KILLED_BY_DRIVER}.",
            Failure("no report for 20 s: hung before the run started"),
        ),
    ],
    ids=["disk", "store", "os", "other", "hung"],
)
def test_the_cause_is_read_from_the_error(tmp_path: Path, error: str, failure: Failure) -> None:
    text = f'Traceback (most recent call last):\n  File "x.py", line 1, in save\n{error}\n'
    assert explain(text, TrialSpec(0, str(tmp_path), {}, hang_seconds=20)) == failure
