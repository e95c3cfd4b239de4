"""A study that is changed before any of its trials has a result starts again: there is nothing yet to compare with.

What a search would do with the study in its folder can be asked before it starts (`tune.py --dry-run`).
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from optuna.trial import TrialState

from hearai.cli import Print
from hearai.config.study import Study, read_study
from hearai.search.plan import Plan
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.layout import CLASS_NAMES, JOURNAL, STUDY_FILE, TRIALS
from hearai.search.storage.space_change import compare_spaces, is_in_space
from hearai.search.storage.study_folder import changes_of_study
from hearai.search.storage.study_sync import StudyLocation, StudySync
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


def continuation_notes(study: Study, location: StudyLocation) -> list[str]:
    """Whether the study in a folder continues as `study`, and how its space changes; nothing is written.

    The base config and the dataset are compared when the search starts: that takes the dataset.

    Raises:
        UserError: the record or the journal cannot be read, or the object store cannot be reached.
    """
    with TemporaryDirectory(prefix="hearai-study-") as copy:
        for name in (STUDY_FILE, JOURNAL):
            if (text := location.read(name)) is not None:
                (Path(copy) / name).write_text(text, encoding="utf-8")
        known, trials = read_study(Path(copy) / STUDY_FILE)[0], _trials(Path(copy))
    count = f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}"
    change = compare_spaces(known.space, study.space)
    if change.refused:
        has_results = any(trial.state in RESULT_STATES for trial in trials)
        then = "this one is refused" if has_results else "without a result; this one replaces it"
        return [f"{location}: contains another study with {count}: {then}. Changes:", *change.refused]
    hidden = sum(not is_in_space(study.space, trial.params) for trial in trials)
    outside = [f"{hidden} of {count} would be outside of the space: hidden from the sampler and the finals"]
    return [f"{location}: the search continues after {count}", *change.lines, *(outside if hidden else [])]


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
