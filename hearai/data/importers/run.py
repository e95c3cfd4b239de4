"""Imports a public dataset: its metadata and the files that are there become a dataset folder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from hearai.data.annotations.problems import raise_problems
from hearai.data.importers.choices import KINDS
from hearai.data.importers.clip_writer import Clip, Output
from hearai.data.importers.extract import Job, extract, written_frames
from hearai.data.importers.layout import check_target, number_words, write_marker, write_missing, write_tables
from hearai.data.importers.sample import Sample, Trim
from hearai.data.importers.source import Source
from hearai.data.landmarks.extraction import require_mediapipe
from hearai.data.landmarks.mediapipe_models import SHA256, find_models
from hearai.data.tools.extract_frames import MAX_SIZE
from hearai.data.tools.output_folder import find_conflicts, partial_folder
from hearai.data.tools.process_pool import Progress, for_each, no_progress
from hearai.errors import DataError


@dataclass(frozen=True)
class Options:
    """What the user may choose."""

    videos: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    times: Literal["frames", "seconds"] = "seconds"
    size: int | None = 256
    quality: int = 90
    crop: bool = False
    trim: bool = True
    classes: int | None = None
    """Only classes below this number."""
    limit: int | None = None
    """Only so many clips, of the first classes."""
    workers: int | None = None
    keep_damaged: bool = False
    frames: bool = False
    """Frames; the default where a dataset has videos or images, unless `landmarks` is given alone."""
    landmarks: bool = False
    """Landmarks: those of the dataset, else those that MediaPipe finds in each clip."""
    models: Path | None = None
    """Folder of MediaPipe's models; None = the cache."""
    face: bool = False
    """Also the landmarks of the face."""


@dataclass
class ImportResult:
    """The outcome."""

    clips: int
    """Described by the metadata, of the chosen classes and within the limit."""
    words: int
    complete: int = 0
    """Imported by an earlier command."""
    imported: int = 0
    frames: int = 0
    """Written now."""
    missing: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """One for each clip or file that is broken."""
    notes: list[str] = field(default_factory=list)
    splits: Counter[str] = field(default_factory=Counter)
    """Clips in each official split."""
    signers: int = 0
    """Known ones."""
    has_landmarks_only: bool = False


def import_dataset(
    kind: str, source: Path, data: Path, options: Options = Options(), progress: Progress = no_progress
) -> ImportResult:
    """Writes DATA with the clips whose files are there: frames or landmarks, annotations, words, signers, splits.

    Nothing is downloaded. A second call extracts only what is missing or has changed. A file that is missing is in the
    result, and listed in DATA/missing.csv; one that is broken is in the result's `problems`.

    Raises:
        DataError: the metadata is invalid, none of the files is there, or DATA contains something else.
    """
    for name, value, most in (("size", options.size, MAX_SIZE), ("quality", options.quality, 100)):
        if value is not None and not 1 <= value <= most:
            raise DataError(f"{name}: got {value}; expected 1..{most}")
    place = Source(source, options.videos, options.columns, options.times, landmarks=options.landmarks)
    read = KINDS[kind](place)
    samples = read.finish()
    numbers, names = number_words(samples)
    chosen, missing = _choose(samples, numbers, options)
    if not chosen:
        raise DataError(
            f"{place.media}: none of the files of {len(missing)} clips is there (the first would be "
            f"{missing[0].media}); give the folder with the videos as --videos FOLDER"
            + ("" if options.landmarks or not place.poses else "; its .pose files are read with --landmarks")
            if missing
            else f"{source}: no clip is of a class below {options.classes}; give a larger --classes"
        )
    origin = {"kind": kind, "source": str(source.resolve())}
    check_target(data, origin)
    raise_problems(find_conflicts([sample.name for sample in chosen], data, place.media))
    output = _output(chosen, options)
    jobs = _make_jobs(chosen, data, place, options, output)
    result = ImportResult(len(chosen) + len(missing), len({numbers[sample.name] for sample in chosen}))
    result.missing, result.notes = missing, list(read.notes)
    with partial_folder(data) as unfinished:
        write_marker(data, origin)
        _extract_all(jobs, result, unfinished, options, output, progress)
        _finish(result, jobs, chosen, data, (numbers, names), output)
    return result


def _choose(
    samples: Sequence[Sample], numbers: Mapping[str, int], options: Options
) -> tuple[list[Sample], list[Sample]]:
    """(clips to import, clips whose file is missing); with a limit the first classes completely."""
    if options.classes is not None:
        samples = [sample for sample in samples if numbers[sample.name] < options.classes]
    present = [sample for sample in samples if sample.media.exists()]
    missing = [sample for sample in samples if not sample.media.exists()]
    if options.limit is not None and len(present) > options.limit:
        present = sorted(present, key=lambda sample: numbers[sample.name])[: options.limit]
        last = numbers[present[-1].name]
        missing = [sample for sample in missing if numbers[sample.name] <= last]
    return present, missing


def _output(samples: Sequence[Sample], options: Options) -> Output:
    """What is written.

    Raises:
        DataError: frames are asked for where there are none, some clips have landmarks and others videos, or MediaPipe
            or its models are missing.
    """
    known = [sample for sample in samples if sample.form == "landmarks"]
    if known and options.frames:
        raise DataError(f"{known[0].media}: landmarks, and --frames asks for frames; leave out --frames")
    if known and len(known) < len(samples) and not options.landmarks:
        other = next(sample for sample in samples if sample.form != "landmarks")
        raise DataError(
            f"{known[0].media}: landmarks, while {other.media} has images; give --landmarks, which finds those of the "
            "others, or move one kind away"
        )
    frames, models = options.frames or not options.landmarks, {}
    if options.landmarks and len(known) < len(samples):
        require_mediapipe()
        models = find_models(options.models, face=options.face)
    return Output(options.size, options.quality, frames, options.face, models)


def _make_jobs(samples: Sequence[Sample], data: Path, source: Source, options: Options, output: Output) -> list[Job]:
    """One for each file: the clips of one video are extracted together."""
    by_media: dict[Path, list[Sample]] = {}
    for sample in samples:
        by_media.setdefault(sample.media, []).append(sample)
    return [
        Job(media, group[0].form, tuple(_make_clip(sample, data, source, options, output) for sample in group))
        for media, group in by_media.items()
    ]


def _make_clip(sample: Sample, data: Path, source: Source, options: Options, output: Output) -> Clip:
    stat, box = sample.media.stat(), sample.box if options.crop else None
    trim = sample.trim if options.trim else Trim()
    record: dict[str, Any] = {
        "source": {
            "file": sample.media.relative_to(source.media).as_posix(),
            "bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
        },
        "trim": asdict(trim),
        "box": asdict(box) if box else None,
        "size": options.size,
        "quality": options.quality,
    }
    if output.models and sample.form != "landmarks":
        record["landmarks"] = {name: SHA256[name] for name in output.models}
    if options.face and sample.form == "landmarks":
        record["face"] = True
    return Clip(sample.name, data / sample.name, trim, box, record)


def _extract_all(
    jobs: Sequence[Job],
    result: ImportResult,
    unfinished: Path,
    options: Options,
    output: Output,
    progress: Progress,
) -> None:
    pending = []
    for job in jobs:
        clips = tuple(clip for clip in job.clips if written_frames(job, clip, output) is None)
        result.complete += len(job.clips) - len(clips)
        if clips:
            pending.append(Job(job.media, job.form, clips))
    work = partial(extract, unfinished=unfinished, output=output, keep_damaged=options.keep_damaged)
    with closing(for_each(work, pending, workers=options.workers)) as done:
        for _, outcome in progress(done, len(pending)):
            result.problems += outcome.problems
            if not isinstance(outcome, DataError):
                result.imported += outcome.extracted
                result.frames += outcome.frames
                result.notes += outcome.notes
    result.problems.sort()
    result.notes.sort()


def _finish(
    result: ImportResult,
    jobs: Sequence[Job],
    samples: Sequence[Sample],
    data: Path,
    words: tuple[Mapping[str, int], Mapping[int, str]],
    output: Output,
) -> None:
    counts = {clip.name: written_frames(job, clip, output) for job in jobs for clip in job.clips}
    frames = {name: count for name, count in counts.items() if count is not None}
    kept = [sample for sample in samples if sample.name in frames]
    result.splits = Counter(sample.split for sample in kept if sample.split)
    result.signers = len({sample.signer for sample in kept if sample.signer is not None})
    result.has_landmarks_only = not output.frames or all(sample.form == "landmarks" for sample in kept)
    write_missing(data, result.missing)
    if kept:
        result.notes += write_tables(data, samples, frames, *words)
