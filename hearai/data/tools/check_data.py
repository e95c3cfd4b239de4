"""Checks dataset folders completely: every row of every annotation file, every image, landmarks, class lists."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hearai.config.field_types import IMAGE_ENDINGS, FrozenDict
from hearai.data.annotations.clip import Clip, find_frames
from hearai.data.annotations.clip_files import ClipFiles
from hearai.data.annotations.consistency import (
    check_no_duplicates,
    class_number_notes,
    dataset_warnings,
    differing_frames,
    find_identical_images,
)
from hearai.data.annotations.header import canonical_names, read_notations
from hearai.data.annotations.label_words import numbered_notes
from hearai.data.annotations.load import dataset_names
from hearai.data.annotations.metadata import (
    INVALID_SIGNERS,
    INVALID_SPLITS,
    ClassNames,
    class_names,
    collect_class_names,
)
from hearai.data.annotations.problems import Problems
from hearai.data.annotations.row_reader import DISTANCE, NumClasses, find_annotations, open_annotations, outside_folder
from hearai.data.annotations.rows import Rows, number_over_union, read_rows
from hearai.data.tools.check_clip import ClipFindings, ClipJob, check_clip
from hearai.data.tools.check_splits import split_warnings
from hearai.data.tools.process_pool import Progress, for_each, no_progress
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS, MISSING

IN_PROCESS_CLIPS = 64
"""Fewer clips are checked in this process: starting workers would take longer."""


@dataclass
class DatasetReport:
    """The result of checking one dataset folder."""

    folder: Path
    name: str
    """The dataset's name, unique among the folders."""
    files: dict[str, Rows] = field(default_factory=dict)
    """{annotation file: its rows}."""
    class_names: ClassNames = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    warnings: Problems = field(default_factory=Problems)
    """What is unusual, but can be read."""
    images: int = 0
    """Images that were decoded."""
    landmarks: int = 0
    """Landmark files that were read."""

    def add_clip(self, findings: ClipFindings) -> None:
        """Adds the result of checking a clip's folder."""
        self.problems.merge(findings.problems)
        self.warnings.merge(findings.warnings)
        self.images += findings.images
        self.landmarks += findings.landmarks

    @property
    def clips(self) -> dict[str, Clip]:
        """{name: clip}, each once even if several annotation files name it; without labels if its row is invalid."""
        names = {name: None for rows in self.files.values() for name in rows.lines}
        unlabelled = {name: Clip(name, self.folder, 0, 0, FrozenDict(), dataset=self.name) for name in names}
        return unlabelled | {clip.name: clip for rows in self.files.values() for clip in rows.clips}

    @property
    def labelled_clips(self) -> list[Clip]:
        """The clips of valid rows, each once, with the labels of all files; frames are those of the last file."""
        labels: dict[str, dict[str, int]] = {}
        clips = {clip.name: clip for rows in self.files.values() for clip in rows.clips}
        for rows in self.files.values():
            for clip in rows.clips:
                labels.setdefault(clip.name, {}).update(clip.labels)
        return [replace(clip, labels=FrozenDict(labels[name])) for name, clip in clips.items()]


@dataclass(frozen=True)
class _Reading:
    """How the files of clips are found; see `ClipFiles`."""

    frame_pattern: str | None
    follow_symlinks: bool


@dataclass
class CheckResult:
    """The result of checking all folders."""

    reports: list[DatasetReport]
    problems: Problems = field(default_factory=Problems)
    """Of the datasets as a whole."""
    warnings: Problems = field(default_factory=Problems)

    @property
    def labelled_clips(self) -> list[Clip]:
        """The clips of valid rows, each once, with the labels of all annotation files that name it."""
        return [clip for report in self.reports for clip in report.labelled_clips]

    @property
    def class_names(self) -> dict[str, ClassNames]:
        """{dataset: {head: {class: name}}}, without those of HamNoSys heads."""
        return {report.name: report.class_names for report in self.reports}

    @property
    def problem_count(self) -> int:
        """The number of all problems."""
        return len(self.problems) + sum(len(report.problems) for report in self.reports)

    @property
    def warning_count(self) -> int:
        """The number of all warnings."""
        return len(self.warnings) + sum(len(report.warnings) for report in self.reports)


def check_data(
    folders: Sequence[Path],
    annotation_file: str | None = None,
    *,
    frame_pattern: str | None = None,
    follow_symlinks: bool = False,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> CheckResult:
    """Checks everything in dataset folders that a run may read.

    Args:
        annotation_file: the only one to check; None = every `test_*.txt`.
        frame_pattern, follow_symlinks: see `ClipFiles`.
        workers: processes that decode; None = one per core.

    Raises:
        DataError: a folder or its annotation file does not exist.
    """
    files = _find_annotation_files(list(dict.fromkeys(folders)), annotation_file)
    names = dataset_names(list(files))
    reading = _Reading(frame_pattern, follow_symlinks)
    result = CheckResult([_check_rows(folder, names[folder], found, reading) for folder, found in files.items()])
    _name_classes(result.reports)
    jobs = [(report, clip, job) for report in result.reports for clip, job in _clip_jobs(report, frame_pattern)]
    findings = _check_clips([job for _, _, job in jobs], workers, progress)
    for report, _, job in jobs:
        report.add_clip(findings[job])
    _compare_datasets(result)
    for kind, message in find_identical_images((clip, findings[job].digests) for _, clip, job in jobs):
        result.warnings.add(kind, message)
    return result


def _find_annotation_files(folders: Iterable[Path], given: str | None) -> dict[Path, list[str]]:
    """{folder: its annotation files}."""
    files: dict[Path, list[str]] = {}
    problems = []
    for folder in folders:
        files[folder] = [given] if given else sorted(path.name for path in folder.glob("test_*.txt"))
        if not folder.is_dir():
            problems.append(f"{folder}: not a directory; expected a dataset folder")
        elif given and (problem := outside_folder(folder, given)):
            problems.append(problem)
        elif not files[folder] or not os.path.lexists(folder / files[folder][0]):
            missing = given or "test_*.txt"
            problems.append(
                f"{folder}: does not contain {missing}; add an annotation file, or give its name as --annotation-file"
            )
    if problems:
        raise DataError(problems)
    return files


def _check_rows(folder: Path, dataset: str, names: Sequence[str], reading: _Reading) -> DatasetReport:
    """Reads the annotation files, signers and class lists, and looks for clip folders that no row names."""
    report = DatasetReport(folder, dataset)
    landmarks_only = _has_landmarks_only(folder, reading.follow_symlinks)
    if landmarks_only:
        message = (
            f"{folder}: has landmarks and no images; train with train_parameters: {{frames: false, landmarks: true}}"
        )
        report.warnings.add("datasets without images", message)
    for name in names:
        problems = Problems()
        files = ClipFiles(folder, frames=not landmarks_only, landmarks=landmarks_only, **vars(reading))
        try:
            heads = _detect_heads(find_annotations(folder, name))
            report.files[name] = read_rows(folder, name, heads, problems, files=files, dataset=dataset)
            report.warnings.add_all("class numbers that are not used", _unused_numbers(report.files[name]))
        except DataError as error:
            problems.add_all("annotation files", error.problems)
        if name != names[0] and (folder / name).parent == (folder / names[0]).parent:
            for kind in (INVALID_SIGNERS, INVALID_SPLITS):  # reported with the first file
                problems.groups.pop(kind, None)
        report.problems.merge(problems)
    report.class_names = collect_class_names(folder, report.problems)
    if report.files:
        named = {name for rows in report.files.values() for name in rows.lines}
        report.warnings.add_all("clip folders in no row", _folders_in_no_row(folder, "", named, reading))
        differing = differing_frames({name: rows.clips for name, rows in report.files.items()})
        report.warnings.add_all("frames that differ between annotation files", differing)
        parents = {(folder / name).parent for name in report.files}
        for kind, message in split_warnings(parents, named, report.clips.values()):
            report.warnings.add(kind, message)
    return report


def _name_classes(reports: Sequence[DatasetReport]) -> None:
    """Numbers words as a run on all these datasets would, and looks for classes without a name."""
    numbered = number_over_union(
        {(report.name, file): rows for report in reports for file, rows in report.files.items()}
    )
    for report in reports:
        report.files = {file: numbered[report.name, file] for file in report.files}
        for rows in report.files.values():
            report.class_names |= rows.words
        report.warnings.add_all("classes without a name in the class list", _unnamed_classes(report))
    notes = numbered_notes({f"{name}/{file}": rows.words for (name, file), rows in numbered.items()})
    if reports:
        reports[0].warnings.add_all("words without a class list", notes)


def _has_landmarks_only(folder: Path, follow_symlinks: bool) -> bool:
    """Whether the clip folders hold landmark files but not a single image."""
    has_landmarks, seen = False, set()
    for path, folders, files in os.walk(folder, followlinks=follow_symlinks):
        if follow_symlinks:  # a link may lead back to a folder above it
            folders[:] = [name for name in folders if os.path.realpath(os.path.join(path, name)) not in seen]
            seen |= {os.path.realpath(os.path.join(path, name)) for name in folders}
        if any(file.lower().endswith(IMAGE_ENDINGS) for file in files):
            return False
        has_landmarks |= any(file.endswith(".npz") for file in files)
    return has_landmarks


def _detect_heads(path: Path) -> dict[str, NumClasses]:
    """The heads of an annotation file, from its header or its number of columns."""
    file = read_notations(open_annotations(path), Problems())
    columns = canonical_names(file, [*HEADS, DISTANCE, "gloss"]) if file.has_header else file.first_row[3:]
    names_others = file.has_header and set(columns) - {*HEADS, DISTANCE}
    if len(columns) in {len(HEADS), len(HEADS) + 1} and not names_others:
        return {head.name: head.num_class for head in HEADS.values()}
    if len(columns) <= 1:
        is_named = file.has_header and columns and columns[0] != "gloss"
        return {columns[0]: "auto"} if is_named else {"gloss": "auto"}
    return dict.fromkeys(columns if file.has_header else (f"column {i + 4}" for i in range(len(columns))), "auto")


def _unused_numbers(rows: Rows) -> list[str]:
    heads = rows.clips[0].labels if rows.clips else ()
    return class_number_notes(rows.clips, {head: 1 + max(clip.labels[head] for clip in rows.clips) for head in heads})


def _unnamed_classes(report: DatasetReport) -> Iterator[str]:
    used: dict[str, set[int]] = {}
    for rows in report.files.values():
        for clip in rows.clips:
            for head, label in clip.labels.items():
                used.setdefault(head, set()).add(label)
    for head, names in report.class_names.items():
        for label in sorted(used.get(head, set()) - names.keys() - {MISSING}):
            yield f"{head} {label}"


def _folders_in_no_row(folder: Path, prefix: str, named: set[str], reading: _Reading) -> Iterator[str]:
    with os.scandir(folder / prefix) as entries:
        seen = (entry for entry in entries if reading.follow_symlinks or not entry.is_symlink())
        visible = [entry for entry in seen if not entry.name.startswith(".")]
        names = sorted(f"{prefix}{entry.name}" for entry in visible if entry.is_dir())
    for name in names:
        if name in named:
            continue
        if find_frames(name, os.listdir(folder / name), reading.frame_pattern):
            yield f"{name} contains frames, but no row names it"
        elif any(other.startswith(f"{name}/") for other in named):
            yield from _folders_in_no_row(folder, f"{name}/", named, reading)


def _clip_jobs(report: DatasetReport, frame_pattern: str | None) -> Iterator[tuple[Clip, ClipJob]]:
    """Each clip once, with the ranges of all rows that name it."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    where: dict[str, str] = {}
    for file, rows in report.files.items():
        for clip in rows.clips:
            ranges.setdefault(clip.name, []).append((clip.start, clip.end))
        for name, line in rows.lines.items():
            where.setdefault(name, f"{report.folder / file}:{line}")
    for name, clip in report.clips.items():
        yield clip, ClipJob(report.folder, name, tuple(ranges.get(name, ())), where[name], frame_pattern)


def _check_clips(jobs: Sequence[ClipJob], workers: int | None, progress: Progress) -> dict[ClipJob, ClipFindings]:
    workers = workers or (1 if len(jobs) < IN_PROCESS_CLIPS else None)
    findings = {}
    for job, result in progress(for_each(check_clip, jobs, workers=workers), len(jobs)):
        assert not isinstance(result, DataError), "check_clip collects what is wrong"
        findings[job] = result
    return findings


def _compare_datasets(result: CheckResult) -> None:
    """Adds duplicates and disagreements among the datasets."""
    existing = [
        clip for report in result.reports for clip in report.clips.values() if os.path.isdir(clip.folder / clip.name)
    ]
    lists = {report.name: report.class_names for report in result.reports}
    try:
        check_no_duplicates(existing)
    except DataError as error:
        result.problems.add_all("duplicate clips", error.problems)
    try:
        class_names(lists, {head for names in lists.values() for head in names})
    except DataError as error:
        result.problems.add_all("conflicting class lists", error.problems)
    clips_by_heads: dict[tuple[str, ...], list[Clip]] = {}
    for report in result.reports:
        for rows in report.files.values():
            for clip in rows.clips:
                clips_by_heads.setdefault(tuple(clip.labels), []).append(clip)
    messages = dict.fromkeys(line for clips in clips_by_heads.values() for line in dataset_warnings(clips, lists))
    result.warnings.add_all("datasets that may be inconsistent", messages)
