"""A search in a process of its own, watched line by line; and what a fault test has to say."""

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
BEGINS = re.compile(r"process (\d+) begins")


def report(fault: str, promised: str, seen: str = "", **figures: object) -> None:
    """One line of the table in cluster/RELIABILITY.md; also into the file that HEARAI_FAULTS names."""
    all_seen = [seen, *(f"{name.replace('_', ' ')} {figure}" for name, figure in figures.items())]
    line = " | ".join(["FAULT", fault, promised, ", ".join(filter(None, all_seen))])
    print(line)
    if place := os.environ.get("HEARAI_FAULTS"):
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def in_its_own_view(other: Path, over: Path) -> list[str]:
    """A command that runs a node for which `over` holds what is in `other`."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a node with another view of the disks needs root and unshare")
    return ["unshare", "--mount", "sh", "-c", f'mount --bind "{other}" "{over}" && exec "$@"', "sh"]


def under_another_name() -> list[str]:
    """A command that runs a process as on another machine, as far as it can see."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a machine with another name needs root and unshare")
    return ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]


class Search:
    """`tune.py` with these options. Lines are kept with the second in which they came.

    inside: a command that runs it in surroundings of its own.
    """

    def __init__(self, *options: object, environment: Mapping[str, str] | None = None, inside: Sequence[str] = ()):
        command = [*inside, sys.executable, "-u", str(ROOT / "experiments" / "tune.py"), *map(str, options)]
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
            self.lines.append((time.monotonic() - self.started, line.rstrip()))

    @property
    def output(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def when(self, words: str) -> float | None:
        """Second in which the first line with these words came."""
        return next((second for second, line in self.lines if words in line), None)

    def wait_until(self, so: Callable[[], object], seconds: float = 120) -> float:
        """Until it is so; the second."""
        until = time.monotonic() + seconds
        while not so():
            assert self.process.poll() is None, f"it has ended with {self.process.poll()}:\n{self.output}"
            assert time.monotonic() < until, f"it never happened:\n{self.output}"
            time.sleep(0.05)
        return time.monotonic() - self.started

    def finish(self, seconds: float = 240) -> int:
        """Its exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it has not ended after {seconds:g} s:\n{self.output}") from None
        self._reader.join(5)
        return code


class Folder:
    """What a search has left."""

    def __init__(self, folder: Path):
        self.folder = folder

    def log(self, trial: int) -> str:
        path = self.folder / "trials" / f"{trial:04d}" / "train.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def epoch(self, trial: int) -> int:
        """The last one that its log tells of; 0 before the first."""
        return max(map(int, EPOCH.findall(self.log(trial))), default=0)

    def pid(self, trial: int) -> int:
        """Of the process that runs it, or ran it last."""
        return int(BEGINS.findall(self.log(trial))[-1])

    @property
    def trials(self) -> list:
        return read_journal(self.folder / "journal.log")[SEARCH].trials

    @property
    def summary(self) -> dict:
        return json.loads((self.folder / "summary.json").read_text())

    def epochs_kept(self, trial: int) -> list[int]:
        lines = (self.folder / "trials" / f"{trial:04d}" / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["epoch"] for line in lines]

    def epochs_lost(self) -> int:
        """Finished epochs that had to be trained again, over all trials. (The one under way when a process dies is
        lost as well, unless it was told before.) An attempt begins with the report of the epoch that it goes on from.
        """
        lost = 0
        for trial in self.trials:
            attempts = BEGINS.split(self.log(trial.number))[2::2]
            seen = [epochs for attempt in attempts if (epochs := [int(n) for n in EPOCH.findall(attempt)])]
            lost += sum(max(0, before[-1] - after[0]) for before, after in itertools.pairwise(seen))
        return lost

    def check_whole(self, trials: int, epochs: int) -> None:
        """Each trial once, complete, with every epoch once."""
        assert [(trial.number, trial.state.name) for trial in self.trials] == [(n, "COMPLETE") for n in range(trials)]
        assert self.summary["trials"] == {"total": trials, "complete": trials, "pruned": 0, "failed": 0}
        for trial in range(trials):
            assert self.epochs_kept(trial) == list(range(1, epochs + 1)), f"trial {trial}"
