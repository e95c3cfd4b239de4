"""A look at the Optuna journal that changes nothing: no lock, no new study, no repair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial

from hearai.search.storage.journal_backend import parse_line
from hearai.search.storage.trial_store import is_real


@dataclass(frozen=True)
class JournalSnapshot:
    """One Optuna study of the journal."""

    trials: Sequence[FrozenTrial] = ()
    """Real trials, see `is_real`."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What was noted about the study as a whole, such as its wall seconds."""


class _Snapshot(BaseJournalBackend):
    """The whole lines of a journal at one moment. A search that is running may be writing the last one."""

    def __init__(self, path: Path):
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        self._logs = [parse_line(path, number, line) for number, line in enumerate(lines, start=1)]

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise AssertionError("who only looks writes nothing into a journal")


def read_journal(path: Path) -> dict[str, JournalSnapshot]:
    """{name of the Optuna study: its trials and notes}; a file that does not exist holds none.

    Raises:
        UserError: a line is broken.
    """
    storage = JournalStorage(_Snapshot(path))
    return {
        study.study_name: JournalSnapshot(
            [t for t in storage.get_all_trials(study._study_id, deepcopy=False) if is_real(t)],
            study.user_attrs,
        )
        for study in storage.get_all_studies()
    }
