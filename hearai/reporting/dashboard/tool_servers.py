"""optuna-dashboard and TensorBoard for a study: started when asked for, on loopback, and stopped with this process."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hearai.errors import UserError, pick
from hearai.search.storage.layout import JOURNAL, TRIALS
from hearai.threads import BackgroundThread

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
"""Until a tool has answered; importing TensorFlow's stubs takes long on a busy machine."""
COPY_INTERVAL_S = 2.0
"""Between two looks at a journal for new lines."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses without a proxy."""


@dataclass
class _Server:
    """A tool that runs for one study."""

    process: subprocess.Popen
    url: str
    log: Path
    threads: list[BackgroundThread] = field(default_factory=list)


@dataclass(frozen=True)
class Tool:
    """A web server of others that shows a study."""

    title: str
    module: str
    """Package that must be installed."""
    package: str
    """Its name for pip."""
    arguments: Callable[[Path, int], list[str]]
    """(what is shown, port) -> arguments of `python`."""
    needs: str
    """What it shows: a file or folder of the study."""


ENDS_WITH_PARENT = (
    "import os, sys, threading\n"
    "threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()\n"
)
"""The beginning of a tool's process: it ends when its stdin does, also if this process was killed."""


def _optuna_arguments(journal: Path, port: int) -> list[str]:
    code = f"{ENDS_WITH_PARENT}from optuna_dashboard._cli import main\nmain()"
    return ["-c", code, str(journal), "--host", HOST, "--port", str(port), "--server", "wsgiref", "--quiet"]


def _tensorboard_arguments(folder: Path, port: int) -> list[str]:
    code = f"{ENDS_WITH_PARENT}from tensorboard.main import run_main\nrun_main()"
    return ["-c", code, "--logdir", str(folder), "--host", HOST, "--port", str(port), "--load_fast", "false"]


TOOLS = {
    "optuna": Tool("optuna-dashboard", "optuna_dashboard", "optuna-dashboard", _optuna_arguments, JOURNAL),
    "tensorboard": Tool("TensorBoard", "tensorboard", "tensorboard", _tensorboard_arguments, TRIALS),
}
"""{name in addresses: tool}"""


class ToolServers:
    """The tools that were started, as a context manager that stops them. Safe to use from several threads."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, Path], _Server] = {}
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="hearai-dashboard-")

    def __enter__(self) -> "ToolServers":
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for server in self._running.values():
                _stop(server)
            self._running.clear()
        self._folder.cleanup()

    def running(self, study: Path) -> dict[str, str]:
        """{tool: its address} of those that run for a study."""
        return {
            name: server.url
            for (name, folder), server in list(self._running.items())
            if folder == study and server.process.poll() is None
        }

    def address(self, name: str, study: Path) -> str:
        """The address of a tool for a study; starts it, and waits until it answers, if it does not run.

        Raises:
            UserError: no such tool, it is not installed, the study has nothing to show, or it did not start.
        """
        tool = pick(TOOLS, name, "tool")
        if importlib.util.find_spec(tool.module) is None:
            raise UserError(f"{tool.title}: not installed; install it with `pip install {tool.package}`")
        if not (study / tool.needs).exists():
            raise UserError(f"{study / tool.needs}: does not exist; {tool.title} has nothing to show")
        with self._lock:
            server = self._running.get((name, study))
            if server is None or server.process.poll() is not None:
                if server is not None:
                    _stop(server)
                server = self._running[name, study] = self._start(name, tool, study)
        _wait_until_up(server, tool.title)
        return server.url

    def _start(self, name: str, tool: Tool, study: Path) -> _Server:
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        shown, threads = study / tool.needs, []
        if tool.needs == JOURNAL:
            copy = _JournalCopy(shown, folder / JOURNAL)
            shown, threads = copy.target, [BackgroundThread(copy.run)]
        port, log = _free_port(), folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *tool.arguments(shown, port)],
                stdin=subprocess.PIPE,  # see ENDS_WITH_PARENT
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,  # Ctrl-C is for this process, which stops the tool with all its helpers
            )
        return _Server(process, f"http://{HOST}:{port}/", log, threads)


class _JournalCopy:
    """A copy of a journal that follows it. optuna-dashboard can delete studies and edit notes: not in the original."""

    def __init__(self, source: Path, target: Path):
        self._source, self.target = source, target
        self._copied = 0
        self._append()

    def run(self, done: threading.Event) -> None:
        while not done.wait(COPY_INTERVAL_S):
            self._append()

    def _append(self) -> None:
        """Appends the complete lines that are new."""
        with suppress(OSError), self._source.open("rb") as source:
            source.seek(self._copied)
            lines = source.read()
            lines = lines[: lines.rfind(b"\n") + 1]
            with self.target.open("ab") as target:
                target.write(lines)
            self._copied += len(lines)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _wait_until_up(server: _Server, title: str) -> None:
    """Raises UserError if the tool ends, or does not answer in time."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            lines = server.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
            raise UserError(f"{title}: ended with exit code {server.process.returncode}: {lines[-1][:300]}")
        if _answers(server.url):
            return
        time.sleep(0.1)
    raise UserError(f"{title}: did not answer within {START_TIMEOUT_S:g} s; its output is in {server.log}; try again")


def _answers(url: str) -> bool:
    try:
        with DIRECT.open(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _stop(server: _Server) -> None:
    """Ends a tool and the processes that it started."""
    for thread in server.threads:
        thread.stop()
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(server.process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(timeout=3)
            return
