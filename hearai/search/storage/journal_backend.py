"""The journal's file, written by us alone: many lines in one append, and read once.

Optuna's own `JournalFileBackend` takes a lock, writes and syncs for each parameter of each trial, and reads every
line back. A study has one writer (`open_journal` holds its lock), so one append and one sync per proposal are
enough: with 18 parameters 40 lines. The format is Optuna's; its dashboard reads the file while a search runs.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from hearai.errors import UserError


class JournalFile(BaseJournalBackend):
    """Optuna's log lines in a file; those that wait to be written are already true for who reads here."""

    def __init__(self, path: Path):
        self.path = path
        path.touch()
        self._first = 0
        """Number of the first line in `_lines`."""
        with path.open("rb") as file:
            self._lines = [parse_line(path, number, line) for number, line in enumerate(file, start=1)]
        """Those that nobody has read yet; older ones are dropped."""
        self._waiting: list[dict[str, Any]] = []
        self._batches = 0
        self._broken: UserError | None = None
        """Why nothing more is written: lines after lost ones would make no sense."""

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Lines from a number on. Optuna's storage asks for each line once."""
        assert log_number_from >= self._first, "lines that were read are gone"
        del self._lines[: log_number_from - self._first]
        self._first = log_number_from
        return self._lines

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes at once, or at the end of the batch.

        Raises:
            UserError: the file cannot be written (a full disk); what was there before is left as it was.
        """
        self._waiting += logs
        self._lines += logs
        if not self._batches:
            self._write()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Lines of the context go to the disk together, at its end; also if it is left by an error."""
        self._batches += 1
        try:
            yield
        finally:
            self._batches -= 1
            if not self._batches and self._waiting:
                self._write()

    def _write(self) -> None:
        if self._broken:
            raise self._broken
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in self._waiting)
        self._waiting = []
        try:
            _append(self.path, text.encode())
        except OSError as error:
            self._broken = UserError(
                f"{self.path}: cannot be written ({error.strerror or error}); what it holds is whole: make room, "
                "and give the same command again"
            )
            raise self._broken from error


def _append(path: Path, whole: bytes) -> None:
    """All of it, on the disk; or nothing, and an OSError."""
    with path.open("ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            if file.write(whole) < len(whole):
                raise OSError("the disk is full")
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):  # where even that cannot be: half a line is cut off when the search goes on
                os.ftruncate(file.fileno(), before)
            raise


def parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """The JSON object of a journal's line (1-based).

    Raises:
        UserError: it is none.
    """
    try:
        log = json.loads(line)
    except ValueError:
        log = None
    if isinstance(log, dict) and isinstance(log.get("op_code"), int) and "worker_id" in log:
        return log
    raise damaged(path, number)


def damaged(path: Path, number: int) -> UserError:
    """What is wrong with a line of a journal, and what helps."""
    return UserError(
        f"{path}:{number}: damaged: this is no line of a journal, and nothing was changed. If the file is damaged from "
        "here to its end, the search's own command cuts that off and goes on. If sound lines follow, put back a copy "
        f"of the file, or give up what follows: keep a copy, then `sed -i '{number},$d' {path}` and the same command"
    )


class Journal(JournalStorage):
    """Optuna's storage over our file."""

    def __init__(self, path: Path):
        self._file = JournalFile(path)
        super().__init__(self._file)

    def batch(self) -> AbstractContextManager[None]:
        """What is written in the context goes to the disk together."""
        return self._file.batch()
