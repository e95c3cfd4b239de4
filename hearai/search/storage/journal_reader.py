"""Reads a journal without changing it: no lock, no new study, no repair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial

from hearai.search.storage.journal_backend import parse_line
from hearai.search.storage.trial_store import is_own_trial


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
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        self._logs = [parse_line(path, number, line) for number, line in enumerate(lines, start=1)]

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise AssertionError("a read-only journal")


def read_journal(path: Path) -> dict[str, JournalSnapshot]:
    """{name of the Optuna study: its trials and attributes}; empty if the file does not exist.

    Raises:
        UserError: a line is damaged.
    """
    storage = JournalStorage(_ReadOnlyBackend(path))
    return {
        study.study_name: JournalSnapshot(
            [t for t in storage.get_all_trials(study._study_id, deepcopy=False) if is_own_trial(t)],
            study.user_attrs,
        )
        for study in storage.get_all_studies()
    }
