"""The studies in a storage folder and the caches of this machine: what is there, how large and old; and removing it."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearai.config.yaml_io import read_yaml
from hearai.errors import ConfigError, UserError, choices
from hearai.files import cache_folder
from hearai.reporting.study_report.tables import score
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.lock import describe, is_owned, owner_of
from hearai.search.storage.trial_store import SEARCH, primary

SEARCHING, FINISHED, UNFINISHED, BROKEN = "searching", "finished", "unfinished", "broken"


@dataclass(frozen=True)
class StudyInfo:
    """A study at a glance."""

    folder: Path
    state: str
    """One of the four above."""
    note: str
    """Who searches, or what is broken; empty for the others."""
    ended: int
    limit: int
    best: float | None
    """Of the complete trials, by the primary metric."""
    bytes: int
    changed: float
    """When its journal was written last, in seconds since 1970."""


@dataclass(frozen=True)
class CacheInfo:
    """A folder of things that can be made again."""

    folder: Path
    kind: str
    """What its name begins with: demo, features, pretrained."""
    bytes: int
    changed: float


def list_studies(storage: Path) -> list[StudyInfo]:
    """Every study in a storage folder, the one changed last first."""
    found = [study_info(path.parent) for path in storage.glob("*/study.yaml")]
    return sorted(found, key=lambda info: -info.changed)


def study_info(folder: Path) -> StudyInfo:
    """One study; one that cannot be read is broken, not an error."""
    journal = folder / "journal.log"
    changed = (journal if journal.exists() else folder / "study.yaml").stat().st_mtime
    try:
        limit = int(read_yaml(folder / "study.yaml")["budget"]["trials"])
        trials = read_journal(journal).get(SEARCH, JournalSnapshot()).trials
    except (UserError, KeyError, TypeError, ValueError) as error:
        return StudyInfo(folder, BROKEN, str(error).splitlines()[0], 0, 0, None, _size(folder), changed)
    ended = [trial for trial in trials if trial.state.is_finished()]
    values = [primary(trial) for trial in ended if trial.state.name == "COMPLETE"]
    owned = is_owned(folder)
    done = (folder / "test.json").exists() and len(ended) == len(trials)
    state = SEARCHING if owned else FINISHED if done else UNFINISHED
    note = describe(owner_of(folder)) if owned else ""
    best = max((value for value in values if value is not None), default=None)
    return StudyInfo(folder, state, note, len(ended), limit, best, _size(folder), changed)


def list_caches() -> list[CacheInfo]:
    """Every cache of this machine, the largest first."""
    folders = [path for path in cache_folder().glob("*-*") if path.is_dir() and not path.name.startswith(".")]
    found = [CacheInfo(path, path.name.split("-")[0], _size(path), path.stat().st_mtime) for path in folders]
    return sorted(found, key=lambda info: -info.bytes)


def studies_text(storage: Path) -> Iterator[str]:
    """The list for the terminal, no wider than 80 columns."""
    studies = list_studies(storage)
    if not studies:
        yield f"{storage}: no studies"
    else:
        yield f"{'study':<28}{'state':<12}{'trials':>10}{'best':>7}{'size':>10}{'changed':>13}"
    for info in studies:
        trials = f"{info.ended}/{info.limit}"
        yield (
            f"{_short(info.folder.name, 27):<28}{info.state:<12}{trials:>10}{score(info.best):>7}"
            f"{_megabytes(info.bytes):>10}{_ago(info.changed):>13}"
        )
        if info.note:
            yield f"  {_short(info.note, 78)}"
    caches = list_caches()
    yield f"caches in {cache_folder()}: {_megabytes(sum(info.bytes for info in caches))}"
    for kind in sorted({info.kind for info in caches}):
        of_kind = [info for info in caches if info.kind == kind]
        size = _megabytes(sum(info.bytes for info in of_kind))
        newest = _ago(max(info.changed for info in of_kind))
        yield f"  {kind:<26}{len(of_kind):>4} folders{size:>12}{newest:>13}"


def find_study(storage: Path, name: str) -> Path:
    """The folder of a study.

    Raises:
        ConfigError: there is none of this name.
    """
    names = [path.parent.name for path in storage.glob("*/study.yaml")]
    if name not in names:
        known = choices(name, names) if names else "there are none"
        raise ConfigError(f"{storage}: no study {name!r}; {known}")
    return storage / name


def delete_studies(folders: Sequence[Path]) -> None:
    """Removes studies with all they hold.

    Raises:
        UserError: one of them is being searched; none was removed.
    """
    busy = [f"{folder}: is being searched by {describe(owner_of(folder))}" for folder in folders if is_owned(folder)]
    if busy:
        raise UserError(busy)
    for folder in folders:
        shutil.rmtree(folder)


def delete_caches(kinds: Sequence[str], storage: Path) -> list[CacheInfo]:
    """Removes the caches of these kinds (none given: all); returns them.

    Raises:
        UserError: an unknown kind, or a study in `storage` is being searched, whose trials may be reading them.
    """
    caches = list_caches()
    known = sorted({info.kind for info in caches})
    if unknown := [kind for kind in kinds if kind not in known]:
        raise ConfigError([f"--cache {kind}: no such caches; {choices(kind, known)}" for kind in unknown])
    if busy := [info for info in list_studies(storage) if info.state == SEARCHING]:
        raise UserError(f"{busy[0].folder}: is being searched by {busy[0].note}; its trials may read the caches")
    chosen = [info for info in caches if not kinds or info.kind in kinds]
    for info in chosen:
        shutil.rmtree(info.folder)
    return chosen


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def _ago(moment: float) -> str:
    seconds = max(0.0, time.time() - moment)
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name} ago"
    return "just now"


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
