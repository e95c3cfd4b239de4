"""Runs a search in a subprocess and reads its output and study folder; reports the figures of fault tests."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import SEARCH
from tests.helpers import ROOT

EPOCH = re.compile(r" epoch (\d+): train loss")
BEGINS = re.compile(r"process (\d+) started")


def report_fault(fault: str, expected: str, observed: str = "", **figures: object) -> None:
    """Prints a row of the table in cluster/RELIABILITY.md, and appends it to the file that HEARAI_FAULTS names."""
    measured = [observed, *(f"{name.replace('_', ' ')} {figure}" for name, figure in figures.items())]
    line = " | ".join(["FAULT", fault, expected, ", ".join(filter(None, measured))])
    print(line)
    if path := os.environ.get("HEARAI_FAULTS"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def with_bind_mount(source: Path, target: Path) -> list[str]:
    """A wrapper command for a node that sees the content of `source` in the folder `target`."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("bind mounts need root and unshare")
    return ["unshare", "--mount", "sh", "-c", f'mount --bind "{source}" "{target}" && exec "$@"', "sh"]


def with_other_hostname() -> list[str]:
    """A wrapper command for a process that sees another host name."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("another host name needs root and unshare")
    return ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]


class SearchProcess:
    """`tune.py` with these options. `lines` are (seconds since the start, text).

    wrapper: a command that runs it in its own namespaces.
    """

    def __init__(self, *options: object, environment: Mapping[str, str] | None = None, wrapper: Sequence[str] = ()):
        command = [*wrapper, sys.executable, "-u", str(ROOT / "experiments" / "tune.py"), *map(str, options)]
        self.started, self.lines = time.monotonic(), list[tuple[float, str]]()
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append((self.elapsed(), line.rstrip()))

    @property
    def output(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def time_of(self, text: str) -> float | None:
        """Seconds until the first line with this text."""
        return next((second for second, line in self.lines if text in line), None)

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def wait_until(self, condition: Callable[[], object], seconds: float = 120) -> float:
        """Waits until the condition holds; seconds since the start."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"exit code {self.process.poll()}:\n{self.output}"
            assert time.monotonic() < deadline, f"not within {seconds:g} s:\n{self.output}"
            time.sleep(0.05)
        return self.elapsed()

    def finish(self, seconds: float = 240) -> int:
        """Waits for the end; the exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"not ended after {seconds:g} s:\n{self.output}") from None
        self._reader.join(5)
        return code


class StudyFolder:
    """Reads what a search has written to its study folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def log(self, trial: int) -> str:
        path = self.folder / "trials" / f"{trial:04d}" / "train.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def epoch(self, trial: int) -> int:
        """The last epoch in its log; 0 before the first."""
        return max(map(int, EPOCH.findall(self.log(trial))), default=0)

    def pid(self, trial: int) -> int:
        """Id of the process that runs it, or ran it last."""
        return int(BEGINS.findall(self.log(trial))[-1])

    @property
    def trials(self) -> list:
        return read_journal(self.folder / "journal.log")[SEARCH].trials

    @property
    def summary(self) -> dict:
        return json.loads((self.folder / "summary.json").read_text())

    def logged_epochs(self, trial: int) -> list[int]:
        lines = (self.folder / "trials" / f"{trial:04d}" / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["epoch"] for line in lines]

    def epochs_lost(self) -> int:
        """Finished epochs that were trained again, over all trials.

        The epoch in progress when a process dies is not counted. An attempt starts by logging the epoch that it
        resumes from.
        """
        lost = 0
        for trial in self.trials:
            attempts = BEGINS.split(self.log(trial.number))[2::2]
            epochs = [found for attempt in attempts if (found := [int(n) for n in EPOCH.findall(attempt)])]
            lost += sum(max(0, before[-1] - after[0]) for before, after in itertools.pairwise(epochs))
        return lost

    def assert_complete(self, trials: int, epochs: int) -> None:
        """Every trial is there once, complete, with every epoch once."""
        assert [(trial.number, trial.state.name) for trial in self.trials] == [(n, "COMPLETE") for n in range(trials)]
        assert self.summary["trials"] == {"total": trials, "complete": trials, "pruned": 0, "failed": 0, "paused": 0}
        for trial in range(trials):
            assert self.logged_epochs(trial) == list(range(1, epochs + 1)), f"trial {trial}"
