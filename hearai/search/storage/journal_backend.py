"""The journal file with a single writer: one append for many lines, and each line read once.

Optuna's own `JournalFileBackend` locks, writes, syncs and reads back for each parameter of each trial. A study has one
writer (`open_journal` holds its lock), so one append and one sync per proposal suffice: 40 lines with 18 parameters.
The format is Optuna's; its dashboard can read the file during a search.

Optuna's reader skips a torn last line, but its next append is glued to it and makes the file unreadable, and the lock
of a dead process is taken over after 30 s only: `open_journal` repairs the file, and its lock dies with its process.
"""

import copy
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, json_to_distribution
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalStorageReplayResult

from hearai.errors import UserError
from hearai.search.storage.journal_check import in_order, parse_line
from hearai.search.storage.journal_repair import repair
from hearai.search.storage.layout import JOURNAL
from hearai.search.storage.lock import JournalGone, study_lock


class JournalFile(BaseJournalBackend):
    """Optuna's log lines in a file; lines that are not written yet are already visible to readers of this object."""

    def __init__(self, path: Path):
        """Raises UserError if a line is damaged, or lines are missing."""
        self.path = path
        path.touch()
        self._first = 0
        """Number of the first line in `_unread`."""
        with path.open("rb") as file:
            self._size = os.fstat(file.fileno()).st_size
            """Bytes that the file must have."""
            self._unread = list(in_order(path, (parse_line(path, n, line) for n, line in enumerate(file, start=1))))
        """Lines that have not been read; older ones are dropped."""
        self._pending: list[dict[str, Any]] = []
        """Lines of the current batch."""
        self._open_batches = 0
        self._write_error: UserError | None = None
        """Once a write has failed, nothing more is written: later lines depend on the lost ones."""

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Lines from a number on. Optuna's storage requests each line once."""
        assert log_number_from >= self._first, "lines that were read are dropped"
        del self._unread[: log_number_from - self._first]
        self._first = log_number_from
        return self._unread

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes at once, or at the end of the batch.

        Raises:
            UserError: the file cannot be written (a full disk) or is gone; its content is unchanged.
        """
        self._pending += logs
        self._unread += logs
        if not self._open_batches:
            self._write()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Writes the lines of a with block together at its end, also if the block raises."""
        self._open_batches += 1
        try:
            yield
        finally:
            self._open_batches -= 1
            if not self._open_batches and self._pending:
                self._write()

    def _write(self) -> None:
        if self._write_error:
            raise self._write_error
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in self._pending)
        self._pending = []
        try:
            self._size = _append(self.path, text.encode(), self._size)
        except JournalGone as gone:
            self._write_error = gone
            raise
        except OSError as error:
            self._write_error = UserError(
                f"{self.path}: cannot be written ({error.strerror or error}); its content is intact: free some space, "
                "then run the same command again"
            )
            raise self._write_error from error


def _append(path: Path, data: bytes, expected: int) -> int:
    """Appends and syncs all of the data, or leaves the file unchanged and raises OSError; returns the new size.

    expected: bytes that the file has at least. It is never created: that would begin a journal without its beginning.

    Raises:
        JournalGone: the file does not exist, or is shorter.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    except (FileNotFoundError, NotADirectoryError):
        raise JournalGone(path) from None
    with open(descriptor, "ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size < expected:
            raise JournalGone(path)
        try:
            if file.write(data) < len(data):
                raise OSError("the disk is full")
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):  # if this fails, too, the torn line is cut off when the search continues
                os.ftruncate(file.fileno(), size)
            raise
    return size + len(data)


class _ReplayResult(JournalStorageReplayResult):
    """Optuna's state of a journal, in which a choice may have other values in later trials.

    Optuna itself refuses such a parameter, or ignores it when reading, so its dashboard shows later trials without it.
    """

    def _apply_set_trial_param(self, log: dict[str, Any]) -> None:
        trial_id, name = log["trial_id"], log["param_name"]
        distribution = json_to_distribution(log["distribution"])
        if not isinstance(distribution, CategoricalDistribution):
            super()._apply_set_trial_param(log)
            return
        if not self._trial_exists_and_updatable(trial_id, log):
            return
        trial = copy.copy(self._trials[trial_id])
        trial.params = {**trial.params, name: distribution.to_external_repr(log["param_value_internal"])}
        trial.distributions = {**trial.distributions, name: distribution}
        self._trials[trial_id] = trial


class WideningStorage(JournalStorage):
    """Optuna's storage for a study whose space may be widened, over any backend."""

    def __init__(self, backend: BaseJournalBackend):
        super().__init__(_NoLines())
        self._backend, self._replay_result = backend, _ReplayResult(self._worker_id_prefix)
        with self._thread_lock:
            self._sync_with_backend()


class _NoLines(BaseJournalBackend):
    """An empty journal: Optuna reads one before it lets the reader be replaced."""

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return []

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise AssertionError("nothing is written before the journal is read")


class Journal(WideningStorage):
    """Optuna's storage over a `JournalFile`."""

    def __init__(self, path: Path):
        self._file = JournalFile(path)
        super().__init__(self._file)

    def batch(self) -> AbstractContextManager[None]:
        """Writes the lines of a with block together at its end."""
        return self._file.batch()


@contextmanager
def open_journal(folder: Path, sync: AbstractContextManager | None = None) -> Iterator[Journal]:
    """The journal of a study folder, locked and repaired, for the duration of a with block.

    sync: entered after locking the folder and before reading the journal, see `hearai.search.storage.study_sync`.

    Raises:
        UserError: another process is searching in this folder, or the journal is damaged before its end.
    """
    path = folder / JOURNAL
    with study_lock(folder), sync or nullcontext():
        repair(path)
        path.with_name(path.name + ".lock").unlink(missing_ok=True)  # of a dead dashboard: would block for 30 s
        yield Journal(path)
