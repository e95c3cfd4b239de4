"""Runs the commands that write a dataset folder, and watches and compares their results."""

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.helpers import ROOT

EXPERIMENTS = ROOT / "experiments"


def content(folder: Path) -> dict[str, bytes]:
    """{path: bytes} of every file except the lock."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != ".partial.lock"}


def run(script: Path, *arguments: object, **options) -> subprocess.CompletedProcess:
    """Runs the command to its end."""
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, **options)


def start(script: Path, *arguments: object, until: tuple[Path, str], niceness: int = 0) -> subprocess.Popen:
    """Starts the command in its own process group; returns once a path matches `until`, (folder, glob pattern).

    With `niceness` the command cannot overtake the process that watches for this path.
    """
    command = ["nice", "-n", str(niceness), sys.executable, str(script), *map(str, arguments)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, start_new_session=True, **pipes)
    folder, pattern = until
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    return process


def children(pid: int) -> list[int]:
    """Ids of the child processes."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(pids: Iterable[int]) -> None:
    """Waits until the processes have ended, for at most 20 s."""
    deadline = time.monotonic() + 20
    while any(map(_is_running, pids)):
        assert time.monotonic() < deadline, "a process outlived the command"
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
