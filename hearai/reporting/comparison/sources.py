"""Reads the studies to compare: local folders, and studies in an object store."""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hearai.cli import is_uri
from hearai.config.study import read_study_id
from hearai.errors import UserError
from hearai.reporting.comparison.compared import ComparedStudy, labels_of
from hearai.reporting.records import read_text
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from hearai.search.storage.layout import JOURNAL, SPLIT_FILE, STUDY_FILE, TEST_SCORES
from hearai.search.storage.object_store import ObjectStore

FILES = (STUDY_FILE, JOURNAL, TEST_SCORES, SPLIT_FILE)
"""What is downloaded of a study in an object store: a comparison needs no trial folders."""
STORES = ("s3", "gs")


def read_studies(locations: Sequence[str]) -> list[ComparedStudy]:
    """The studies at these locations, in their order: folders, `s3://BUCKET/PREFIX/STUDY` or `gs://...`.

    No file of a study is changed.

    Raises:
        UserError: lists every problem: fewer than two studies, one that is given twice, something that is not a study
            or cannot be read.
    """
    problems = _problems_of(locations)
    studies: list[ComparedStudy] = []
    names = [_name_of(location) for location in locations]
    with ExitStack() as copies:
        folders: list[Path] = []
        for label, location in zip(labels_of(names, locations), locations, strict=True):
            if problems and is_uri(location):
                continue  # nothing is downloaded for a comparison that is refused anyway
            try:
                folders.append(copies.enter_context(local_copy(location)))
                record = read_record(folders[-1])
                split = read_split_parts(folders[-1] / SPLIT_FILE)
                studies.append(ComparedStudy(label, location, record, summarize(record), split))
            except UserError as error:
                problems += [line.replace(str(folders[-1]), location) if folders else line for line in error.problems]
            except OSError as error:
                problems.append(f"{location}: cannot be read ({error.strerror or error}); give the folder of a study")
        problems += _copies_among(studies)
    if problems:
        raise UserError(list(dict.fromkeys(problems)))
    return studies


def _name_of(location: str) -> str:
    return (
        location.partition("?")[0].rstrip("/").rpartition("/")[2] if is_uri(location) else Path(location).resolve().name
    )


def _problems_of(locations: Sequence[str]) -> list[str]:
    """What can be said of the locations before any of them is read."""
    same: dict[str, list[str]] = {}
    for location in locations:
        place = location.rstrip("/") if is_uri(location) else str(Path(location).resolve())
        same.setdefault(place, []).append(location)
    problems = [
        f"{' and '.join(given)}: the same study, given {len(given)} times; give each study once"
        for given in same.values()
        if len(given) > 1
    ]
    if len(locations) < 2:
        problems.append(f"got {len(locations)} study; give at least two, such as runs/A runs/B")
    for location in filter(is_uri, locations):
        scheme, _, rest = location.partition("://")
        if scheme not in STORES or "/" not in rest.strip("/"):
            problems.append(f"{location}: give a study in an object store as s3://BUCKET/PREFIX/STUDY or gs://...")
    return problems


@contextmanager
def local_copy(location: str) -> Iterator[Path]:
    """A folder of this machine with the study's files, for the duration of a with block.

    Raises:
        StoreLost: the object store cannot be reached, or refuses.
        UserError: the store has no study there.
    """
    if not is_uri(location):
        yield Path(location)
        return
    with tempfile.TemporaryDirectory(prefix="hearai-") as temporary:
        folder = Path(temporary) / _name_of(location)
        ObjectStore(location).pull(folder, FILES)
        if not (folder / STUDY_FILE).is_file():
            raise UserError(f"{location}: not a study (no {STUDY_FILE}); give one such as s3://BUCKET/runs/hamnosys")
        yield folder


def read_split_parts(path: Path) -> dict[str, str] | None:
    """{clip: part} of a split.csv; None without the file.

    Raises:
        UserError: it cannot be read, or has other columns.
    """
    if not path.exists():
        return None
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
        return {row["name"]: row["split"] for row in rows}
    except (KeyError, csv.Error):
        raise UserError(f"{path}: must have the columns name and split; put back a copy of the file") from None


def _copies_among(studies: Sequence[ComparedStudy]) -> list[str]:
    """Studies in different places that are copies of each other: same id and the same trials."""
    first: dict[tuple, str] = {}
    problems = []
    for study in studies:
        folder = study.record.folder
        study_id = read_study_id(folder / STUDY_FILE)
        trials = tuple((trial.number, trial.state, trial.value, trial.ended_at) for trial in study.record.trials)
        other = first.setdefault((study_id, trials), study.location) if study_id else study.location
        if other != study.location:
            problems.append(f"{study.location}: a copy of {other}, with the same trials; give each study once")
    return problems
