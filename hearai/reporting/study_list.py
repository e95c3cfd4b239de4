"""Lists and deletes the studies in a storage folder and the caches of this machine, with their size and age."""

import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from hearai.config.yaml_io import read_yaml
from hearai.errors import ConfigError, UserError, choices, printable
from hearai.files import cache_folder, cache_users, deleting_cache
from hearai.reporting.text import COLUMNS, age_text, score, shorten, size_text
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.layout import JOURNAL, STUDY_FILE, TEST_SCORES
from hearai.search.storage.lock import describe_owner, is_locked, read_owner
from hearai.search.storage.trial_store import FINALS, SEARCH, is_paused, primary_value

SEARCHING, FINISHED, UNFINISHED, BROKEN = "searching", "finished", "unfinished", "broken"


@dataclass(frozen=True)
class StudyInfo:
    """The state of a study."""

    folder: Path
    state: str
    """SEARCHING, FINISHED, UNFINISHED or BROKEN."""
    note: str
    """The process that is searching, or what is broken; empty for the other states."""
    ended: int
    """Trials that have ended."""
    limit: int
    """The trial budget."""
    best: float | None
    """The best primary metric of the complete trials."""
    bytes: int
    changed: float
    """Last change of its journal, in seconds since 1970."""
    open: int = 0
    """Trials that have started, and have neither ended nor are paused."""
    paused: int = 0
    """Trials that do not train, and may be trained on."""
    finals: int = 0
    """Runs of finalists with new seeds that train."""


@dataclass(frozen=True)
class CacheInfo:
    """A folder of files that can be computed again."""

    folder: Path
    kind: str
    """The first part of its name: demo, features, pretrained."""
    bytes: int
    changed: float
    """Seconds since 1970."""


def list_studies(storage: Path) -> list[StudyInfo]:
    """Every study in a storage folder, most recently changed first."""
    found = [study_info(path.parent) for path in storage.glob(f"*/{STUDY_FILE}")]
    return sorted(found, key=lambda info: -info.changed)


def study_info(folder: Path) -> StudyInfo:
    """One study; an unreadable one is reported as BROKEN."""
    changed = _last_change(folder)
    try:
        limit = _trial_budget(folder / STUDY_FILE)
        journal = read_journal(folder / JOURNAL)
        trials, finals = (journal.get(name, JournalSnapshot()).trials for name in (SEARCH, FINALS))
    except (UserError, OSError) as error:
        return StudyInfo(folder, BROKEN, str(error).splitlines()[0], 0, 0, None, _size(folder), changed)
    ended = [trial for trial in trials if trial.state.is_finished()]
    values = [primary_value(trial) for trial in ended if trial.state.name == "COMPLETE"]
    owned = is_locked(folder)
    finished = (folder / TEST_SCORES).exists() and len(ended) == len(trials)
    state = SEARCHING if owned else FINISHED if finished else UNFINISHED
    note = describe_owner(read_owner(folder)) if owned else ""
    best = max((value for value in values if value is not None), default=None)
    paused = sum(is_paused(trial) for trial in trials)
    started, retraining = (sum(run.state.name == "RUNNING" for run in runs) for runs in (trials, finals))
    counts = {"open": started - paused, "paused": paused, "finals": retraining}
    return StudyInfo(folder, state, note, len(ended), limit, best, _size(folder), changed, **counts)


def _trial_budget(path: Path) -> int:
    budget = read_yaml(path).get("budget")
    trials = budget.get("trials") if isinstance(budget, dict) else None
    if not isinstance(trials, int) or isinstance(trials, bool) or not 0 < trials < 10**9:
        raise UserError(f"{path}: budget.trials: got {trials!r:.40}; must be an integer of at least 1")
    return trials


def _last_change(folder: Path) -> float:
    """Of the journal, else of the study file; 0 where neither can be seen, such as a link to nothing."""
    for path in (folder / JOURNAL, folder / STUDY_FILE):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def list_caches() -> list[CacheInfo]:
    """Every cache of this machine, largest first."""
    folders = [path for path in cache_folder().glob("*-*") if path.is_dir() and not path.name.startswith(".")]
    found = [CacheInfo(path, path.name.split("-")[0], _size(path), path.stat().st_mtime) for path in folders]
    return sorted(found, key=lambda info: -info.bytes)


def studies_text(storage: Path) -> Iterator[str]:
    """The list as lines for the terminal, at most 80 columns wide (paths may be longer)."""
    return map(printable, _lines(storage))


def _lines(storage: Path) -> Iterator[str]:
    studies = list_studies(storage)
    if not studies:
        yield f"{storage}: no studies"
    else:
        yield f"{'study':<28}{'state':<12}{'trials':>10}{'best':>7}{'size':>10}{'changed':>13}"
    for info in studies:
        trials = f"{info.ended}/{info.limit}"
        yield (
            f"{shorten(info.folder.name, 27):<28}{info.state:<12}{trials:>10}{score(info.best):>7}"
            f"{size_text(info.bytes):>10}{age_text(info.changed):>13}"
        )
        if info.note:
            yield f"  {shorten(info.note, COLUMNS - 2)}"
    try:
        caches = list_caches()
    except UserError as error:  # no home folder, which the list of studies does not need
        yield f"caches: {error}"
        return
    yield f"caches in {cache_folder()}: {size_text(sum(info.bytes for info in caches))}"
    for kind in sorted({info.kind for info in caches}):
        of_kind = [info for info in caches if info.kind == kind]
        size = size_text(sum(info.bytes for info in of_kind))
        newest = age_text(max(info.changed for info in of_kind))
        folders = "folder" if len(of_kind) == 1 else "folders"
        yield f"  {kind:<26}{len(of_kind):>4} {folders:<7}{size:>12}{newest:>13}"


def find_study(storage: Path, name: str) -> Path:
    """The folder of a study.

    Raises:
        ConfigError: no study of this name.
    """
    names = [path.parent.name for path in storage.glob(f"*/{STUDY_FILE}")]
    if name not in names:
        known = choices(name, names) if names else "the folder has no studies"
        raise ConfigError(f"{storage}: no study {name!r}; {known}")
    return storage / name


def delete_studies(folders: Sequence[Path]) -> None:
    """Deletes study folders with their content; one that is given twice, once.

    Raises:
        UserError: a search is running in one of them, or one is a symbolic link: nothing was deleted; or a file cannot
            be deleted.
    """
    folders = list(dict.fromkeys(folders))
    problems = [
        f"{folder}: a symbolic link to {folder.resolve()}; nothing was deleted: remove the link with "
        f"`rm {shlex.quote(str(folder))}`, or delete the study with --storage {folder.resolve().parent}"
        for folder in folders
        if folder.is_symlink()
    ]
    problems += [
        f"{folder}: in use by a search, {describe_owner(read_owner(folder))}; stop it before deleting"
        for folder in folders
        if is_locked(folder)
    ]
    if problems:
        raise UserError(problems)
    for folder in folders:
        _remove(folder)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise UserError(f"{error.filename or folder}: cannot be deleted ({error.strerror or error})") from None


def delete_caches(kinds: Sequence[str], storage: Path) -> list[CacheInfo]:
    """Deletes the caches of these kinds (empty = all); returns the deleted ones.

    Raises:
        UserError: an unknown kind, or a search is running in `storage`, or any process of this machine uses one of the
            caches; nothing was deleted.
    """
    caches = list_caches()
    known = sorted({info.kind for info in caches})
    if unknown := [kind for kind in kinds if kind not in known]:
        raise ConfigError([f"--cache {kind}: no caches of this kind; {choices(kind, known)}" for kind in unknown])
    if busy := [info for info in list_studies(storage) if info.state == SEARCHING]:
        raise UserError(
            f"{busy[0].folder}: in use by a search, {busy[0].note}; its trials may be reading the caches; stop it first"
        )
    chosen = [info for info in caches if not kinds or info.kind in kinds]
    with ExitStack() as locks:
        free = [locks.enter_context(deleting_cache(info.folder)) for info in chosen]
        if not all(free):
            raise UserError([_in_use(info.folder) for info, is_free in zip(chosen, free, strict=True) if not is_free])
        for info in chosen:
            _remove(info.folder)
    return chosen


def _in_use(folder: Path) -> str:
    users = ", ".join(map(str, cache_users(folder)))
    who = f" (process {users})" if users else ""
    return f"{folder}: in use by a search or another run of this machine{who}; stop it first; no cache was deleted"


def _size(folder: Path) -> int:
    """Bytes of all files; those that a running search deletes meanwhile do not count."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            size += path.lstat().st_size if path.is_file() else 0
    return size
