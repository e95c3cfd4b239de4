"""Dataset folders of a config -> checked clips, split into train, validation and test."""

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hearai.config.config import Config
from hearai.config.field_types import FrozenDict
from hearai.config.schema import DataFolder
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.clip_files import ClipFiles, read_no_fps_reason
from hearai.data.annotations.consistency import check_no_duplicates, dataset_warnings, unlabelled_warnings
from hearai.data.annotations.fingerprint import Fingerprints, compute_fingerprints
from hearai.data.annotations.label_words import numbered_notes
from hearai.data.annotations.metadata import ClassNames, class_names, collect_class_names
from hearai.data.annotations.problems import Problems, raise_problems
from hearai.data.annotations.row_reader import NumClasses, find_annotations, open_annotations
from hearai.data.annotations.rows import Rows, number_over_union, read_joined_rows
from hearai.data.annotations.split import Split, SplitMode, make_fold, split_clips, unseen_classes
from hearai.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """The clips of a config's dataset folders."""

    split: Split
    num_class: Mapping[str, int]
    """{head: classes}; for `auto`, the largest label of all clips + 1."""
    fingerprints: Fingerprints
    """Identify the dataset."""
    class_names: Mapping[str, Mapping[int, str]] = field(default_factory=FrozenDict)
    """{head: {class: name}} of the heads with names; see `hearai.data.annotations.metadata.class_name`."""
    class_lists: Mapping[str, ClassNames] = field(default_factory=FrozenDict)
    """{dataset: {head: {class: name}}}: the class lists of each dataset folder."""

    @property
    def fingerprint(self) -> str:
        """Of the files in their place: the key of caches."""
        return self.fingerprints.fingerprint

    @property
    def clips(self) -> tuple[Clip, ...]:
        """All clips: train, validation, test; each once, even if validation clips are trained on."""
        return tuple({clip.key: clip for clip in (*self.split.train, *self.split.val, *self.split.test)}.values())


def load_data(config: Config, *, merge_names: bool = True) -> Data:
    """Reads, checks and splits the clips of the config's dataset folders; cached until `forget_data`.

    Images are not decoded; see `check_images`.

    Args:
        merge_names: a number must mean the same class in all folders; otherwise `class_names` has only the names of
            HamNoSys classes, and `class_lists` says what the numbers of each folder mean.

    Raises:
        ConfigError: `general_parameters.data_path` is not set.
        DataError: everything that is wrong with the folders.
    """
    general = config.general_parameters
    ratios = (general.ratio_train_test, general.ratio_test)
    source = _source_of(config, merge_names)
    return _split(source, *ratios, general.split, general.split_seed, general.fold, general.train_on_validation)


def forget_data() -> None:
    """Folders are read again: in a process that outlives one command, their files may change between two."""
    _split.cache_clear()
    _read.cache_clear()


def unsplit_data(config: Config) -> Data:
    """Like `load_data` with `merge_names=False`, all clips in `test`: for data that is only evaluated, however small.

    Raises:
        ConfigError, DataError: as `load_data`.
    """
    return _read(_source_of(config, merge_names=False))


@dataclass(frozen=True)
class _Folder:
    """A dataset folder."""

    path: Path
    files: tuple[tuple[str, tuple[str, ...]], ...]
    """(annotation file, its heads)"""
    frame_pattern: str | None
    """File names of the frames."""
    needs_header: bool
    """The file holds labels of several groups of heads, whose columns have no fixed order."""


@dataclass(frozen=True)
class _Source:
    """Everything that determines the clips."""

    folders: tuple["_Folder", ...]
    heads: tuple[tuple[str, NumClasses], ...]
    """(head, classes)"""
    frames: bool
    landmarks: bool
    fps: bool
    """Every clip needs frames per second."""
    merge_names: bool
    """A number must mean the same class in all folders."""
    follow_symlinks: bool


def _source_of(config: Config, merge_names: bool) -> _Source:
    general, train = config.general_parameters, config.train_parameters
    if general.data_path is None:
        raise ConfigError("general_parameters.data_path: not set; give a dataset folder or a list of them")
    own = tuple((f"test_{group}.txt", tuple(config.heads.groups[group])) for group in train.head_groups)
    items = [DataFolder(path=item) if isinstance(item, str) else item for item in general.data_path]
    folders = []
    for item in items:
        file = item.annotation_file or general.annotation_file
        files = ((file, tuple(config.active_heads)),) if file else own
        needs_header = file is not None and len(own) > 1
        folders.append(_Folder(Path(item.path), files, item.frame_pattern or general.frame_pattern, needs_header))
    heads = tuple((head, parameters.num_class) for head, parameters in config.active_heads.items())
    fps = train.time is not None
    return _Source(tuple(folders), heads, train.frames, train.landmarks, fps, merge_names, general.follow_symlinks)


@functools.lru_cache(maxsize=4)
def _read(source: _Source) -> Data:
    datasets = dataset_names([folder.path for folder in source.folders])
    clips, words = _read_all(source, datasets)
    check_no_duplicates(clips)
    if source.fps:
        raise_problems([_no_fps(clip) for clip in clips if clip.fps is None])
    lists = _read_class_lists({datasets[folder.path]: folder.path for folder in source.folders})
    for dataset, numbered in words.items():
        lists[dataset] = lists[dataset] | numbered
    for note in [*_absent_files(source), *numbered_notes(words)]:
        logger.info("%s", note)
    names = class_names(lists if source.merge_names else {}, dict(source.heads))
    for warning in [*dataset_warnings(clips, lists), *unlabelled_warnings(clips)] if source.merge_names else ():
        logger.warning("%s", warning)
    num_class = {
        head: max(2, 1 + max(clip.labels[head] for clip in clips)) if number == "auto" else number
        for head, number in source.heads
    }
    fingerprints = compute_fingerprints(clips, frames=source.frames, landmarks=source.landmarks)
    frozen_names = FrozenDict({head: FrozenDict(head_names) for head, head_names in names.items()})
    return Data(Split((), (), tuple(clips)), num_class, fingerprints, frozen_names, FrozenDict(lists))


@functools.lru_cache(maxsize=8)
def _split(
    source: _Source,
    ratio_train_test: float,
    ratio_test: float,
    mode: SplitMode,
    seed: int,
    fold: int,
    train_on_validation: bool,
) -> Data:
    data = _read(source)
    split = split_clips(data.clips, ratio_train_test=ratio_train_test, ratio_test=ratio_test, mode=mode, seed=seed)
    split = make_fold(split, fold, mode=mode, seed=seed)
    if train_on_validation:
        split = replace(split, train=(*split.train, *split.val))
    for head, (unseen, evaluated) in unseen_classes(split).items():
        if unseen:
            logger.warning("%s: %d of the %d evaluated classes have no training clip", head, unseen, evaluated)
    return replace(data, split=split)


def _read_all(source: _Source, datasets: Mapping[Path, str]) -> tuple[list[Clip], dict[str, ClassNames]]:
    """(clips, {dataset: words that were numbered in alphabetical order, over all datasets together})."""
    rows: dict[int, Rows] = {}
    problems, heads = Problems(), dict(source.heads)
    for number, folder in enumerate(source.folders):
        path, pattern = folder.path, folder.frame_pattern
        needs = {"frames": source.frames, "landmarks": source.landmarks, "follow_symlinks": source.follow_symlinks}
        files = ClipFiles(path, **needs, frame_pattern=pattern) if path.is_dir() else None
        own = {file: {head: heads[head] for head in names} for file, names in folder.files}
        try:
            if folder.needs_header:
                _check_named(path, folder.files[0][0])
            rows[number] = read_joined_rows(path, own, problems, files=files, dataset=datasets[path])
        except DataError as error:
            problems.add_all("annotation files", error.problems)
    problems.raise_any()
    if source.merge_names:
        rows = number_over_union(rows)
        raise_problems(_too_many_words(rows, heads))
    words: dict[str, ClassNames] = {}
    for folder, found in zip(source.folders, rows.values(), strict=True):
        name = datasets[folder.path]
        words[name] = words.get(name, {}) | found.words
    return [clip for found in rows.values() for clip in found.clips], words


def _check_named(folder: Path, file: str) -> None:
    """Refuses an annotation file with labels of several groups whose header does not name them."""
    opened = open_annotations(find_annotations(folder, file))
    if not opened.label_columns:
        raise DataError(
            f"{opened.path}:{opened.first_line}: no names of the label columns; expected a header such as "
            "`name,start,end,gloss,hamnosys`, since labels of several groups of heads have no fixed order"
        )


def _absent_files(source: _Source) -> list[str]:
    """One line for each annotation file that a folder with another one lacks."""
    return [
        f"{folder.path}: has no {file}: its clips have no labels of {', '.join(heads)}"
        for folder in source.folders
        for file, heads in folder.files
        if not os.path.lexists(folder.path / file)
    ]


def _too_many_words(rows: Mapping[int, Rows], heads: Mapping[str, NumClasses]) -> list[str]:
    """A message for each head with more words than classes; in one file its reader has reported it."""
    used = {head: {number for found in rows.values() for number in found.words.get(head, ())} for head in heads}
    return [
        f"{head}: {len(used[head])} different words in all datasets; expected at most num_class, {number}"
        for head, number in heads.items()
        if number != "auto" and len(used[head]) > number
    ]


def dataset_names(folders: Sequence[Path]) -> dict[Path, str]:
    """Each folder's name, with as many parents as distinguish it from the others."""
    paths = {folder: Path(os.path.abspath(folder)) for folder in folders}
    depth = 1
    while len({path.parts[-depth:] for path in paths.values()}) < len(set(paths.values())):
        depth += 1
    return {folder: "/".join(path.parts[-depth:]) for folder, path in paths.items()}


def _read_class_lists(folders: Mapping[str, Path]) -> dict[str, ClassNames]:
    """{dataset: its class lists}."""
    lists: dict[str, ClassNames] = {}
    messages: dict[str, None] = {}
    for dataset, folder in folders.items():
        problems = Problems()
        lists[dataset] = collect_class_names(folder, problems)
        messages |= dict.fromkeys(problems.first)  # once: neighbouring folders may share a list
    raise_problems(list(messages))
    return lists


def _no_fps(clip: Clip) -> str:
    if reason := read_no_fps_reason(clip.properties_path):
        return (
            f"{clip.properties_path}: gives no FPS ({reason}), and train_parameters.time needs it; "
            "set time: null, or use the dataset from which this one was made"
        )
    return f'{clip.properties_path}: missing, and train_parameters.time needs it; expected {{"FPS": frames per second}}'
