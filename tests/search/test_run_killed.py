"""A search that is killed repeatedly has the same result as an uninterrupted one."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psutil
import pytest
import torch

from hearai.config.config import load_config
from hearai.config.study import Study
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.trial_store import SEARCH
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import SAVE_SECONDS, LocalRuntime
from tests.helpers import ROOT
from tests.helpers.fault_injection import PID, logged_epochs, trial_log, wait_for

MakeStudy = Callable[..., Study]
TRIALS, EPOCHS = 4, 40
WAIT_S = 400
"""Seconds for a start of Ray and some epochs on a busy machine."""
EPOCH = re.compile(r"^([\d-]+ [\d:,]+) epoch (\d+): train loss", re.MULTILINE)
LOG_DELAY_S = 1.0
"""Between the decision not to save an epoch and the line in the log, on a busy machine."""


def chaos_rng() -> random.Random:
    """Seeded by the time, or by CHAOS_SEED to repeat a run."""
    seed = int(os.environ.get("CHAOS_SEED", time.time()))
    print(f"CHAOS_SEED={seed}")
    return random.Random(seed)


class Chaos:
    """Runs a study in other processes and kills them."""

    def __init__(self, place: Path, data: Path, *more: str):
        self.folder = place / "runs" / "tiny"
        options = ["--space", str(place / "tiny.yaml"), "--data-path", str(data), "--storage", str(place / "runs")]
        options += ["--trials", str(TRIALS), "--finalists", "0", "--set", f"train_parameters.epochs={EPOCHS}"]
        self.command = [sys.executable, "experiments/tune.py", *options, *more]

    def start(self) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            self.command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self) -> str:
        """Runs the search to its end; returns its output."""
        process = self.start()
        out, _ = process.communicate(timeout=2 * WAIT_S)
        assert process.returncode == 0, out
        return out

    def run_until(self, moment: Callable[[subprocess.Popen], None], *, all_of_ray: bool) -> None:
        """Runs the search until `moment` returns, then kills it: alone, or with all of Ray as in a crash."""
        process = self.start()
        try:
            moment(process)
            assert process.poll() is None, f"ended by itself with {process.returncode}:\n{process.stdout.read()}"
        finally:  # also after a failure: a search that trains on would hold the other tests up
            family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            for member in (process, *(family if all_of_ray else ())):
                try:
                    member.send_signal(signal.SIGKILL)
                except psutil.NoSuchProcess:
                    pass
        assert process.wait(30) == -signal.SIGKILL, process.stdout.read()
        process.stdout.close()

    def trials(self) -> list[Path]:
        return sorted((self.folder / "trials").glob("*"))

    def epochs(self) -> int:
        return sum(len(logged_epochs(trial)) for trial in self.trials())


def early(rng: random.Random) -> Callable[[subprocess.Popen], None]:
    """During the first two seconds."""
    return lambda process: time.sleep(rng.uniform(0.1, 2))


def training(rng: random.Random, chaos: Chaos) -> Callable[[subprocess.Popen], None]:
    """Some epochs after the previous attempt's last one."""
    goal, pause = chaos.epochs() + rng.randint(1, 8), rng.uniform(0, 0.2)

    def moment(process: subprocess.Popen) -> None:
        wait_for(lambda: chaos.epochs() >= goal or process.poll() is not None, WAIT_S)
        time.sleep(pause)

    return moment


def saving(chaos: Chaos) -> Callable[[subprocess.Popen], None]:
    """While a checkpoint is being written."""

    def moment(process: subprocess.Popen) -> None:
        goal = chaos.epochs() + 1
        wait_for(lambda: chaos.epochs() >= goal or process.poll() is not None, WAIT_S)
        pattern = str(chaos.folder / "trials")
        wait_for(lambda: any(Path(pattern).glob("*/last/.state.pt.*")) or process.poll() is not None, 60)

    return moment


def check_nothing_was_lost(chaos: Chaos, place: Path) -> None:
    """Each trial is complete, once, in the journal and in a folder, with the value that it has when run alone."""
    trials = read_journal(chaos.folder / "journal.log")[SEARCH].trials
    assert [(trial.number, trial.state.name) for trial in trials] == [(n, "COMPLETE") for n in range(TRIALS)]
    assert len({repr(sorted(trial.params.items())) for trial in trials}) == TRIALS
    assert [folder.name for folder in chaos.trials()] == [f"{n:04d}" for n in range(TRIALS)]
    summary = json.loads((chaos.folder / "summary.json").read_text())
    assert summary["trials"] == {"total": TRIALS, "complete": TRIALS, "pruned": 0, "failed": 0, "paused": 0}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a trial
    for trial, folder in zip(trials, chaos.trials(), strict=True):
        assert logged_epochs(folder) == list(range(1, EPOCHS + 1))
        assert list(trial.intermediate_values) == list(range(1, EPOCHS + 1))
        assert not [path for path in folder.rglob(".*")], "no temporary file is left"
        config = load_config(folder / "config.yaml")
        assert config.train_parameters.lr == trial.params["train_parameters.lr"]
        alone = fit(config, LocalRuntime("cpu", place / "alone" / folder.name))
        assert trial.value == pytest.approx(alone.best, abs=1e-6)
        if (folder / "best").is_dir():  # those of poor trials are removed
            ours, theirs = (load_checkpoint(run / "best")["model"] for run in (folder, place / "alone" / folder.name))
            assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    torch.set_num_threads(threads)
    kept = [folder.name for folder in chaos.trials() if (folder / "best").is_dir()]
    assert kept == sorted({"0000", f"{summary['best']['trial']:04d}"}), "the base config's and the winner's"


def check_little_was_trained_twice(chaos: Chaos, save_seconds: float = SAVE_SECONDS) -> None:
    """Each attempt continues from the last checkpoint of the previous one, written every `save_seconds`."""
    for folder in chaos.trials():
        seen = [epochs for epochs in attempts_of(trial_log(folder)) if epochs]
        for before, after in zip(seen, seen[1:], strict=False):
            first, last = min(after), max(before)
            assert list(after) == list(range(first, max(after) + 1))
            assert first <= last + 1, "an epoch may be saved, and not be logged yet"
            if save_seconds and first in before and last - first > 1:
                lost = (before[last - 1] - before[first]).total_seconds()
                assert lost < save_seconds + LOG_DELAY_S, f"{folder.name} was at {last}, and continued from {first}"
            elif not save_seconds:
                assert first >= last, f"{folder.name} was at {last}, and continued from {first}"


def attempts_of(text: str) -> list[dict[int, datetime]]:
    """Of each attempt in a trial's log: {epoch: when it was logged}."""
    attempts = PID.split(text)[2::2]
    return [{int(n): datetime.fromisoformat(when) for when, n in EPOCH.findall(attempt)} for attempt in attempts]


@pytest.mark.slow
def test_a_search_killed_twice_has_the_same_result(
    make_study: MakeStudy, tmp_path: Path, tiny_dataset: Path, ray_session: None
) -> None:
    """On a cluster that keeps running: processes of the killed search must not block the next one."""
    import ray

    make_study()  # writes tiny.yaml
    options = ["--address", ray.get_runtime_context().gcs_address, "--max-concurrent", "1"]
    chaos, rng = Chaos(tmp_path, tiny_dataset, *options), random.Random(0)
    chaos.run_until(training(rng, chaos), all_of_ray=False)
    assert chaos.epochs() > 0
    chaos.run_until(early(rng), all_of_ray=False)
    chaos.run()
    check_nothing_was_lost(chaos, tmp_path)
    check_little_was_trained_twice(chaos)


@pytest.mark.slow
def test_a_search_killed_ten_times_has_the_same_result(
    make_study: MakeStudy, tmp_path: Path, tiny_dataset: Path
) -> None:
    make_study()  # writes tiny.yaml
    rng = chaos_rng()
    chaos = Chaos(tmp_path, tiny_dataset)
    moments = ["training", "saving", "early", *rng.choices(["training", "saving", "early"], k=7)]
    for number, kind in enumerate(moments):
        moment = {"early": early(rng), "saving": saving(chaos), "training": training(rng, chaos)}[kind]
        chaos.run_until(moment, all_of_ray=number % 2 == 0)
    chaos.run()
    check_nothing_was_lost(chaos, tmp_path)
    check_little_was_trained_twice(chaos)


@pytest.mark.slow
def test_a_freeze_thaw_search_killed_ten_times_loses_nothing(
    make_study: MakeStudy, tmp_path: Path, tiny_dataset: Path
) -> None:
    make_study()  # writes tiny.yaml
    rng = chaos_rng()
    options = ["--sampler", "freeze_thaw", "--trials", "12", "--epoch-budget", "200"]
    chaos = Chaos(tmp_path, tiny_dataset, *options)
    known: dict[int, dict[int, float]] = {}
    for number in range(10):
        chaos.run_until(
            rng.choice([early(rng), training(rng, chaos), training(rng, chaos)]), all_of_ray=number % 2 == 0
        )
        known = check_history_goes_on(chaos, known)
    chaos.run()
    check_history_goes_on(chaos, known)
    check_little_was_trained_twice(chaos, save_seconds=0)
    trials = read_journal(chaos.folder / "journal.log")[SEARCH].trials
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED"} and trials[0].state.name == "COMPLETE"
    for trial, folder in zip(trials, chaos.trials(), strict=True):
        assert (
            logged_epochs(folder) == list(trial.intermediate_values) == list(range(1, len(logged_epochs(folder)) + 1))
        )
    paused = [trial for trial in trials if trial.user_attrs.get("paused")]
    assert not [folder for trial in paused for folder in chaos.trials()[trial.number].glob("last")], "disk is bounded"


def check_history_goes_on(chaos: Chaos, known: dict[int, dict[int, float]]) -> dict[int, dict[int, float]]:
    """Every report that was in the journal before is still there; returns those that are there now."""
    path = chaos.folder / "journal.log"
    trials = read_journal(path).get(SEARCH, JournalSnapshot()).trials if path.exists() else []
    now = {trial.number: dict(trial.intermediate_values) for trial in trials}
    for number, values in known.items():
        assert now[number].items() >= values.items()
    return now
