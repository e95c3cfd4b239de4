"""Deaths from outside for trials of the tests, and small disks."""

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

PID = re.compile(r"process (\d+) begins")


def log_of(trial: Path) -> str:
    """A trial's log so far."""
    path = trial / "train.log"
    return path.read_text(errors="replace") if path.exists() else ""


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    """Until it is so."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


@contextmanager
def killer(trials: Path, deaths: dict[str, signal.Signals]) -> Iterator[None]:
    """{trial: signal}: sent to its process after its first epoch, while the context lasts."""

    def watch(done: threading.Event) -> None:
        left = dict(deaths)
        while left and not done.wait(0.01):
            for trial in list(left):
                if "epoch 1:" in (log := log_of(trials / trial)):
                    os.kill(int(PID.findall(log)[-1]), left.pop(trial))

    with background(watch):
        yield


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A disk of so many bytes (`3m`) mounted at `folder`; yields what gives it another size."""
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


def fill(folder: Path, leave: int = 0) -> Path:
    """A file that takes all room of a disk but `leave` bytes."""
    filler = folder / "filler"
    room = os.statvfs(folder)
    with filler.open("wb") as file:
        file.write(bytes(max(room.f_bavail * room.f_frsize - leave, 0)))
    return filler


def epochs_of(trial: Path) -> list[int]:
    """The epochs in a trial's metrics; the last line of a killed one may be torn."""
    path = trial / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["epoch"] for line in lines if line.endswith("}")]
