"""What a search would do with the study that its folder holds already, for `tune.py --dry-run`; nothing is written."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hearai.config.study import Study, read_study
from hearai.errors import StoreLost
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.layout import JOURNAL, STUDY_FILE
from hearai.search.storage.space_change import compare_spaces, is_in_space
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.storage.trial_store import SEARCH


def continuation_notes(study: Study, location: StudyLocation) -> list[str]:
    """Whether the study continues and how its space changes, one line each; empty if the folder has no study.

    The base config and the dataset are compared when the search starts: that takes the dataset.

    Raises:
        UserError: the record or the journal of the study cannot be read.
    """
    with TemporaryDirectory(prefix="hearai-study-") as copy:
        folder = location.folder
        if location.store:
            try:
                _copy(location, Path(copy))
            except StoreLost as error:
                return [f"{location}: {error}; whether it has a study is not known"]
            folder = Path(copy)
        if not (folder / STUDY_FILE).is_file():
            return []
        return [f"{location}: {line}" for line in _notes(study, folder)]


def _copy(location: StudyLocation, folder: Path) -> None:
    """The record and the journal of a study in an object store."""
    for name in (STUDY_FILE, JOURNAL):
        if (text := location.read(name)) is not None:
            (folder / name).write_text(text, encoding="utf-8")


def _notes(study: Study, folder: Path) -> list[str]:
    known, _ = read_study(folder / STUDY_FILE)
    trials = read_journal(folder / JOURNAL).get(SEARCH, JournalSnapshot()).trials
    count = f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}"
    change = compare_spaces(known.space, study.space)
    if change.refused:
        return [f"another study with {count}; once one has a result, this one is refused:", *change.refused]
    hidden = sum(not is_in_space(study.space, trial.params) for trial in trials)
    outside = [f"{hidden} of {count} would be outside of the space: hidden from the sampler and the finals"]
    return [f"the search continues after {count}", *change.lines, *(outside if hidden else [])]
