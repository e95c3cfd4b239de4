"""What the page shows of each study, read again only where files have changed."""

import shlex
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hearai.reporting.study_list import BROKEN, FINISHED, SEARCHING, StudyInfo, study_info
from hearai.reporting.text import without_options
from hearai.search.storage.layout import COMMANDS, JOURNAL, OUTPUT_LOG, OWNER, REPORT, STUDY_FILE, TEST_SCORES
from hearai.search.storage.lock import is_fresh, is_locked, is_recent, read_owner

RUNNING, PAUSED, INTERRUPTED = "running", "paused", "interrupted"
STATES: Mapping[str, str] = {
    RUNNING: "a process searches here",
    PAUSED: "no process searches here: it was stopped, and the same command continues it",
    INTERRUPTED: "its process ended without stopping the search; the same command continues it",
    FINISHED: "the winner is chosen and scored on the test clips",
    BROKEN: "its files cannot be read",
}
"""{state of a study: what it means}, in the order of the page."""
READ_INTERVAL_S = 2.0
"""Between two looks at the storage; requests in between get the same answer."""
MOST_LOAD = 0.02
"""Share of a core that reading the journal of a running search takes; 0.7 s of it for one of 2,000 trials."""
STATE_FILES = (STUDY_FILE, TEST_SCORES, OWNER)
SCRIPT = "tune.py"


@dataclass(frozen=True)
class StudyRow:
    """A study as the page shows it."""

    info: StudyInfo
    state: str
    """A key of `STATES`."""
    owner: Mapping[str, Any] | None
    """The process that searches here, or was killed while it did, see `read_owner`; None for the other states."""
    report_changed: float | None
    """When report.html was written, in seconds since 1970; None without one."""
    has_log: bool
    """Whether it has an output.log."""

    @property
    def name(self) -> str:
        """That of its folder, which is unique in the storage."""
        return self.info.folder.name

    @property
    def is_here(self) -> bool:
        """Whether its process runs, or ran, on this machine."""
        return self.owner is not None and self.owner["host"] == socket.gethostname()

    @property
    def ray_dashboard(self) -> str | None:
        """The address of Ray's dashboard while the search runs; only a web address, whatever the record says."""
        url = (self.owner or {}).get("dashboard")
        if self.state != RUNNING or not isinstance(url, str):
            return None
        return url if urlsplit(url).scheme in ("http", "https") else None


@dataclass(frozen=True)
class _Known:
    """What was read of a study, and when."""

    state: tuple
    """Of `STATE_FILES` and of the lock: if this changes, the study is read at once."""
    journal: tuple[int, int] | None
    info: StudyInfo
    valid_until: float
    """On the monotonic clock: a change of the journal counts from then on."""


class StudyReader:
    """Reads the studies of a storage folder; all requests share what was read. Safe to use from several threads."""

    def __init__(self, storage: Path):
        self.storage = storage
        self._lock = threading.Lock()
        self._known: dict[Path, _Known] = {}
        self._rows: list[StudyRow] = []
        self._read_at = -READ_INTERVAL_S

    def rows(self) -> list[StudyRow]:
        """Every study, running ones first, then the most recently changed."""
        with self._lock:
            if time.monotonic() - self._read_at >= READ_INTERVAL_S:
                folders = sorted(path.parent for path in self.storage.glob(f"*/{STUDY_FILE}"))
                self._known = {folder: self._known[folder] for folder in folders if folder in self._known}
                self._rows = sorted(map(self._row, folders), key=lambda row: (row.state != RUNNING, -row.info.changed))
                self._read_at = time.monotonic()
            return self._rows

    def row(self, name: str) -> StudyRow | None:
        """The study of this name; None if there is none. The name is only compared, never joined to a path."""
        return next((row for row in self.rows() if row.name == name), None)

    def _row(self, folder: Path) -> StudyRow:
        owner = read_owner(folder)
        info = self._info(folder, is_owned=owner is not None)
        return StudyRow(info, state_of(info, owner), owner, _changed(folder / REPORT), (folder / OUTPUT_LOG).is_file())

    def _info(self, folder: Path, *, is_owned: bool) -> StudyInfo:
        """What is known of a study, read again where it has changed: but a journal that grows, not too often."""
        # To look whether a study is locked is to lock it for a moment, in which no search could start there: this is
        # only done where a search runs or was killed.
        state = (*map(_stamp, (folder / name for name in STATE_FILES)), is_owned and is_locked(folder))
        journal, known = _stamp(folder / JOURNAL), self._known.get(folder)
        if known and known.state == state and (known.journal == journal or time.monotonic() < known.valid_until):
            return known.info
        start = time.thread_time()
        info = study_info(folder)
        pause = (time.thread_time() - start) / MOST_LOAD
        self._known[folder] = _Known(state, journal, info, time.monotonic() + pause)
        return info


def state_of(info: StudyInfo, owner: Mapping[str, Any] | None) -> str:
    """The state of a study, a key of `STATES`. owner: see `read_owner`."""
    if info.state == BROKEN:
        return BROKEN
    if info.state == SEARCHING or (owner is not None and _is_searching_elsewhere(info.folder, owner)):
        return RUNNING
    if info.state == FINISHED:
        return FINISHED
    return PAUSED if owner is None else INTERRUPTED


def _is_searching_elsewhere(folder: Path, owner: Mapping[str, Any]) -> bool:
    """Whether a process of another machine searches here: its lock cannot be seen, but it writes."""
    if isinstance(owner.get("seen"), int | float):  # the record in an object store
        return is_fresh(owner["seen"])
    return owner["host"] != socket.gethostname() and is_recent(folder)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _changed(path: Path) -> float | None:
    stamp = _stamp(path) if path.is_file() else None
    return stamp[1] / 1e9 if stamp else None


def commands_of(row: StudyRow, storage: str) -> dict[str, str]:
    """{what it does: command line to copy}: the page starts, stops and extends nothing itself.

    storage: as `--storage` names it.
    """
    arguments, job = last_call(row.info.folder / COMMANDS)
    found: dict[str, str] = {}
    if row.state == RUNNING and job:
        found["stop, as Ctrl-C does"] = f"python experiments/submit.py stop {shlex.quote(row.name)}"
    elif row.state == RUNNING and row.owner and row.owner["pid"] > 1:  # to `kill -1` is to end everything
        place = "" if row.is_here else f", on {row.owner['host']}"
        found[f"stop, as Ctrl-C does{place}"] = f"kill {row.owner['pid']}"
    if arguments is not None and not job:
        if row.state in (PAUSED, INTERRUPTED):
            found["continue"] = _tune(arguments)
        if row.state in (PAUSED, INTERRUPTED, FINISHED):
            more = [*without_options(arguments, ["--trials"]), "--trials", str(2 * row.info.limit)]
            found["extend to twice the trials"] = _tune(more)
    if "://" not in storage:
        found["write the report again"] = f"python experiments/report.py {shlex.quote(str(row.info.folder))}"
    return found


def last_call(path: Path) -> tuple[list[str] | None, bool]:
    """(arguments of the last call of tune.py, None where that is unknown; whether it was a job of submit.py)."""
    arguments, job = None, False
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        for line in lines:
            if line.startswith("  job "):
                job = True
            elif not line.startswith(" "):
                words = shlex.split(line.partition("  python ")[2])
                is_tune = bool(words) and words[0].rpartition("/")[2] == SCRIPT
                arguments, job = (words[1:] if is_tune else None), False
    except (OSError, ValueError):  # ValueError: unbalanced quotes
        return None, False
    return arguments, job


def _tune(arguments: list[str]) -> str:
    return f"python experiments/{SCRIPT} {shlex.join(arguments)}"
