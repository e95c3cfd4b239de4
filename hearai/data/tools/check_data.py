"""Dataset folders, looked at completely: every row of every annotation file, every picture, landmarks, class lists."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hearai.config.validation import FrozenDict
from hearai.data.annotations.clip import HEADER, Classes, Clip, frames_on_disk
from hearai.data.annotations.clip_files import ClipFiles
from hearai.data.annotations.consistency import check_given_once, remarks, same_pictures
from hearai.data.annotations.load import dataset_names
from hearai.data.annotations.metadata import SIGNERS, ClassNames, class_names, collect_class_names
from hearai.data.annotations.problems import Problems
from hearai.data.annotations.rows import Rows, read_rows, rows_of
from hearai.data.tools.check_clip import ClipFindings, ClipJob, check_clip
from hearai.data.tools.process_pool import for_each
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS

FEW = 64
"""Clips that are checked in this process: others would take longer to start."""

Watch = Callable[[Iterable, int], Iterable]
"""Passes on what it gets, of so many; a progress bar."""


@dataclass
class Report:
    """What was found in one dataset folder."""

    folder: Path
    name: str
    """The dataset's name, unique among the folders."""
    files: dict[str, Rows] = field(default_factory=dict)
    """{annotation file: its rows}."""
    lists: ClassNames = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    remarks: Problems = field(default_factory=Problems)
    """What is unusual, and read all the same."""
    pictures: int = 0
    """Pictures that were decoded."""
    landmarks: int = 0
    """Landmark files that were read."""

    def take(self, found: ClipFindings) -> None:
        """Adds what a clip's folder holds."""
        self.problems.take(found.problems)
        self.remarks.take(found.remarks)
        self.pictures += found.decoded
        self.landmarks += found.landmarks

    @property
    def clips(self) -> dict[str, Clip]:
        """{name: clip}, each once, however many annotation files name it; without labels where its row is wrong."""
        named = {name: None for rows in self.files.values() for name in rows.lines}
        bare = {name: Clip(name, self.folder, 0, 0, FrozenDict(), dataset=self.name) for name in named}
        return bare | {clip.name: clip for rows in self.files.values() for clip in rows.clips}


@dataclass
class Findings:
    """What was found in all folders."""

    reports: list[Report]
    problems: Problems = field(default_factory=Problems)
    """Of the datasets together."""
    remarks: Problems = field(default_factory=Problems)

    @property
    def wrong(self) -> int:
        """How many problems there are."""
        return len(self.problems) + sum(len(report.problems) for report in self.reports)


def check_folders(
    folders: Sequence[Path],
    annotation_file: str | None = None,
    *,
    workers: int | None = None,
    watch: Watch = lambda findings, _: findings,
) -> Findings:
    """Checks everything in dataset folders that a run may read.

    Args:
        annotation_file: the only one to check; None = every `test_*.txt`.
        workers: processes that decode; None = one a core.

    Raises:
        DataError: a folder or its annotation file is not there.
    """
    files = {folder: _annotation_files(folder, annotation_file) for folder in dict.fromkeys(folders)}
    missing = [problem for found in files.values() if isinstance(found, DataError) for problem in found.problems]
    if missing:
        raise DataError(missing)
    names = dataset_names(list(files))
    findings = Findings([_read_folder(folder, names[folder], found) for folder, found in files.items()])
    jobs = [(report, clip, job) for report in findings.reports for clip, job in _jobs(report)]
    found = _run([job for _, _, job in jobs], workers, watch)
    for report, _, job in jobs:
        report.take(found[job])
    _compare(findings.reports, findings)
    for kind, text in same_pictures((clip, found[job].pictures) for _, clip, job in jobs):
        findings.remarks.add(kind, text)
    return findings


def _jobs(report: Report) -> Iterator[tuple[Clip, ClipJob]]:
    """Each clip once, with the ranges of all rows that name it."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    where: dict[str, str] = {}
    for file, rows in report.files.items():
        for clip in rows.clips:
            ranges.setdefault(clip.name, []).append((clip.start, clip.end))
        for name, line in rows.lines.items():
            where.setdefault(name, f"{report.folder / file}:{line}")
    for name, clip in report.clips.items():
        yield clip, ClipJob(report.folder, name, tuple(ranges.get(name, ())), where[name])


def _run(jobs: Sequence[ClipJob], workers: int | None, watch: Watch) -> dict[ClipJob, ClipFindings]:
    done = for_each(check_clip, jobs, workers=workers or (1 if len(jobs) < FEW else None))
    return dict(watch(done, len(jobs)))


def _compare(reports: Sequence[Report], findings: Findings) -> None:
    """What several datasets do not agree on."""
    clips = [clip for report in reports for clip in report.clips.values() if (clip.folder / clip.name).is_dir()]
    lists = {report.name: report.lists for report in reports}
    heads = {head for of_dataset in lists.values() for head in of_dataset}
    checks = {
        "clips given twice": lambda: check_given_once(clips),
        "class lists that clash": lambda: class_names(lists, heads),
    }
    for kind, check in checks.items():
        try:
            check()
        except DataError as error:
            findings.problems.add_all(kind, error.problems)
    rows = [clip for report in reports for of_file in report.files.values() for clip in of_file.clips]
    groups: dict[tuple[str, ...], list[Clip]] = {}
    for clip in rows:
        groups.setdefault(tuple(clip.labels), []).append(clip)
    texts = dict.fromkeys(text for group in groups.values() for text in remarks(group, lists))
    findings.remarks.add_all("datasets that may not agree", texts)


def _annotation_files(folder: Path, given: str | None) -> list[str] | DataError:
    if not folder.is_dir():
        return DataError(f"{folder}: is no folder; a dataset folder is due")
    found = [given] if given else sorted(path.name for path in folder.glob("test_*.txt"))
    if found and (folder / found[0]).is_file():
        return found
    what = given or "test_*.txt"
    return DataError(f"{folder}: has no {what}; add an annotation file, or name it with --annotation-file")


def _read_folder(folder: Path, dataset: str, names: Sequence[str]) -> Report:
    """Reads the annotation files, the lists of signers and classes, and looks for clips that no row names."""
    report = Report(folder, dataset)
    for name in names:
        problems = Problems()
        files = ClipFiles(folder, frames=True, landmarks=False)
        try:
            heads = _heads_of(folder, name)
            report.files[name] = read_rows(folder, name, heads, problems, files=files, dataset=dataset)
        except DataError as error:
            problems.add_all("annotation files", error.problems)
        if name != names[0] and (folder / name).parent == (folder / names[0]).parent:
            problems.groups.pop(f"rows of {SIGNERS}", None)  # told with the first file
        report.problems.take(problems)
    report.lists = collect_class_names(folder, report.problems)
    _remark_unnamed_classes(report)
    named = {line for rows in report.files.values() for line in rows.lines}
    if report.files:
        report.remarks.add_all("clip folders in no row", _folders_in_no_row(folder, "", named))
    return report


def _heads_of(folder: Path, name: str) -> dict[str, Classes]:
    """The heads whose labels an annotation file holds, by its header or by the number of its columns."""
    _, first = next(rows_of(folder, folder / name))
    columns, has_header = first[3:], [text.lower() for text in first[:3]] == HEADER
    if len(columns) in {len(HEADS), len(HEADS) + 1} and not (has_header and set(columns) - {*HEADS, "distance"}):
        return {head.name: head.num_class for head in HEADS.values()}
    if len(columns) <= 1:
        own = has_header and columns and columns[0] not in {"gloss", "gloss_id"}
        return {columns[0]: "auto"} if own else {"gloss": "auto"}
    return dict.fromkeys(columns if has_header else (f"column {i + 4}" for i in range(len(columns))), "auto")


def _remark_unnamed_classes(report: Report) -> None:
    used: dict[str, set[int]] = {}
    for rows in report.files.values():
        for clip in rows.clips:
            for head, label in clip.labels.items():
                used.setdefault(head, set()).add(label)
    for head, names in report.lists.items():
        for label in sorted(used.get(head, set()) - names.keys() - {-1}):
            report.remarks.add("classes that the class list does not name", f"{head} {label}")


def _folders_in_no_row(folder: Path, inside: str, named: set[str]) -> Iterator[str]:
    with os.scandir(folder / inside) as entries:
        shown = (entry for entry in entries if not entry.name.startswith(".") and not entry.is_symlink())
        found = sorted(f"{inside}{entry.name}" for entry in shown if entry.is_dir())
    for name in found:
        if name in named:
            continue
        if frames_on_disk(name, os.listdir(folder / name)):
            yield f"{name} holds pictures, and no row names it"
        elif any(other.startswith(f"{name}/") for other in named):
            yield from _folders_in_no_row(folder, f"{name}/", named)
