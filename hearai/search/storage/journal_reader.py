"""Reads a journal without changing it: no lock, no new study, no repair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial

from hearai.config.study import read_study_id
from hearai.errors import UserError
from hearai.search.storage.attributes import STUDY_ID
from hearai.search.storage.journal_backend import WideningStorage
from hearai.search.storage.journal_check import in_order, parse_line
from hearai.search.storage.layout import STUDY_FILE
from hearai.search.storage.trial_store import SEARCH, is_own_trial


@dataclass(frozen=True)
class JournalSnapshot:
    """One Optuna study of a journal at one moment."""

    trials: Sequence[FrozenTrial] = ()
    """The search's own trials, see `is_own_trial`."""
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the study, such as its wall time; see `hearai.search.storage.attributes`."""


class _ReadOnlyBackend(BaseJournalBackend):
    """The complete lines of a journal at one moment. A running search may be writing the last line."""

    def __init__(self, path: Path):
        lines = _read_bytes(path).split(b"\n")[:-1] if path.exists() else []
        self._logs = list(
            in_order(path, (parse_line(path, number, line) for number, line in enumerate(lines, start=1)))
        )

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise AssertionError("a read-only journal")


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"{path}: not a file; expected the journal of a search")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_journal(path: Path) -> dict[str, JournalSnapshot]:
    """{name of the Optuna study: its trials and attributes}; empty if the file does not exist.

    Raises:
        UserError: the file cannot be read, a line is damaged, lines are missing, or it belongs to another study than
            the `study.yaml` beside it.
    """
    backend = _ReadOnlyBackend(path)
    try:
        storage = WideningStorage(backend)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError) as error:
        raise UserError(
            f"{path}: Optuna cannot read it ({type(error).__name__}: {error}); put back a copy of the file"
        ) from None
    snapshots = {
        study.study_name: JournalSnapshot(
            [t for t in storage.get_all_trials(study._study_id, deepcopy=False) if is_own_trial(t)],
            study.user_attrs,
        )
        for study in storage.get_all_studies()
    }
    _check_owner(path, snapshots)
    return snapshots


def _check_owner(path: Path, snapshots: Mapping[str, JournalSnapshot]) -> None:
    """Refuses the journal of one study beside the record of another: its scores would be taken for those of that one.

    Older code has written no ids; there is nothing to compare.
    """
    owner = snapshots.get(SEARCH, JournalSnapshot()).user_attrs.get(STUDY_ID)
    record = path.with_name(STUDY_FILE)
    expected = read_study_id(record) if owner is not None else None
    if expected is not None and owner != expected:
        raise UserError(
            f"{path}: the journal of another study (id {owner}) than {record} (id {expected}): one of the two was "
            "copied or replaced; nothing was changed. Put back the files of one study, or give another --name"
        )
