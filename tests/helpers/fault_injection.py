"""Injects faults into a running search: kills the processes of trials, limits and fills disks."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hearai.threads import background

PID = re.compile(r"process (\d+) started")


def trial_log(trial: Path) -> str:
    """The log of a trial's folder so far."""
    path = trial / "train.log"
    return path.read_text(errors="replace") if path.exists() else ""


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Waits until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)


@contextmanager
def kill_after_first_epoch(trials: Path, signals: dict[str, signal.Signals]) -> Iterator[None]:
    """Within a with block, sends {trial: signal} to the trial's process after its first epoch."""

    def watch(done: threading.Event) -> None:
        pending = dict(signals)
        while pending and not done.wait(0.01):
            for trial in list(pending):
                if "epoch 1:" in (log := trial_log(trials / trial)):
                    os.kill(int(PID.findall(log)[-1]), pending.pop(trial))

    with background(watch):
        yield


@contextmanager
def kill_when_started(trial: Path) -> Iterator[None]:
    """Within a with block, kills the first process of a trial as soon as its log names it."""

    def watch(done: threading.Event) -> None:
        while not done.wait(0.01):
            if found := PID.findall(trial_log(trial)):  # the log names it while it starts
                return os.kill(int(found[0]), signal.SIGKILL)

    with background(watch):
        yield


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Mounts a disk of this size (`3m`) at `folder`; yields a function that changes the size."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small disk needs root: {mounted.stderr.strip()}")
    try:
        yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_disk(folder: Path, leave: int = 0) -> Path:
    """Fills a disk up to `leave` bytes with one file."""
    filler = folder / "filler"
    disk = os.statvfs(folder)
    with filler.open("wb") as file:
        file.write(bytes(max(disk.f_bavail * disk.f_frsize - leave, 0)))
    return filler


def logged_epochs(trial: Path) -> list[int]:
    """The epochs in a trial's metrics; the last line of a killed trial may be incomplete."""
    path = trial / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["epoch"] for line in lines if line.endswith("}")]
