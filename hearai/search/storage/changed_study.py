"""A study that is changed before any of its trials has a result starts again: there is nothing yet to compare with."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.trial import TrialState

from hearai.cli import Print
from hearai.search.plan import Plan
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.layout import CLASS_NAMES, JOURNAL, STUDY_FILE, TRIALS
from hearai.search.storage.study_folder import changes_of_study
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import SEARCH
from hearai.training.outputs.layout import backbone_file

RESULT_STATES = (TrialState.COMPLETE, TrialState.PRUNED)


@contextmanager
def syncing_changed(plan: Plan, sync: StudySync, print_line: Print) -> Iterator[None]:
    """`sync.syncing()`, in which what another study left in the folder is removed if none of its trials has a result.

    A study with results stays as it is; `ensure_study_folder` refuses it. The folder must be locked.

    Raises:
        UserError: as `StudySync.syncing`; or the journal is damaged.
        ConfigError: the study's record cannot be read.
    """
    with sync.syncing():
        if changed := _changes_before_results(plan, sync.folder):
            unfinished = len(_trials(sync.folder))
            _remove_study(sync, plan.study.settings.splits)
            print_line(
                f"{sync}: the study was changed before any trial had a result; it starts again, without its "
                f"{unfinished} unfinished {'trial' if unfinished == 1 else 'trials'}. Changes:"
            )
            for line in changed:
                print_line(f"  {line}")
        yield


def _changes_before_results(plan: Plan, folder: Path) -> list[str]:
    """What differs from the study in the folder, if none of its trials has a result; else nothing."""
    if not (folder / STUDY_FILE).exists():
        return []
    changed = changes_of_study(plan, folder)
    has_results = changed and any(trial.state in RESULT_STATES for trial in _trials(folder))
    return [] if has_results else changed


def _trials(folder: Path) -> list:
    return list(read_journal(folder / JOURNAL).get(SEARCH, JournalSnapshot()).trials)


def _remove_study(sync: StudySync, folds: int) -> None:
    """Removes trials, backbones, the journal, and last the record: an interrupted removal is done again."""
    backbones = [path.name for path in sync.folder.glob(backbone_file(0).replace(".", "*."))]
    names = [TRIALS, *backbones, *(backbone_file(fold) for fold in range(folds)), JOURNAL, CLASS_NAMES, STUDY_FILE]
    if sync.store is not None:
        sync.store.remove(*names)
    shutil.rmtree(sync.folder / TRIALS, ignore_errors=True)
    for name in names[1:]:
        (sync.folder / name).unlink(missing_ok=True)
