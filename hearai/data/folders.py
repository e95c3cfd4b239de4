"""Dataset folders of a config -> checked, split clips."""

import functools
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hearai.config import Config
from hearai.data.annotations import Clip, no_fps_reason, raise_problems, read_annotations
from hearai.data.split import Split, split_clips, unseen_classes
from hearai.errors import ConfigError, DataError
from hearai.sections import DataFolder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """What a config's dataset folders hold."""

    split: Split
    num_class: Mapping[str, int]
    """{head: classes}; `auto` has become the largest label of all clips + 1."""
    fingerprint: str
    """Changes when a row, a signer or a picture changes; stays when the folders move."""

    @property
    def clips(self) -> tuple[Clip, ...]:
        """All clips: train, validation, test."""
        return (*self.split.train, *self.split.val, *self.split.test)


def load_data(config: Config) -> Data:
    """Reads, checks and splits the clips of the config's dataset folders; kept for the process's next call.

    Whether the pictures can be decoded is not looked at; see `check_images`.

    Raises:
        ConfigError: `general_parameters.data_path` is not set.
        DataError: everything that is wrong with the folders.
    """
    general = config.general_parameters
    if general.data_path is None:
        raise ConfigError("general_parameters.data_path: not set; give a dataset folder or a list of them")
    default = general.annotation_file or f"test_{config.train_parameters.classification_mode}.txt"
    sources = tuple(
        (Path(item.path), item.annotation_file or default) if isinstance(item, DataFolder) else (Path(item), default)
        for item in general.data_path
    )
    return _load(
        sources,
        tuple((head, parameters.num_class) for head, parameters in config.active_heads.items()),
        config.train_parameters.time is not None,
        general.ratio_train_test,
        general.ratio_test,
        general.split,
        general.split_seed,
    )


@functools.lru_cache(maxsize=4)
def _load(
    sources: tuple[tuple[Path, str], ...],
    heads: tuple[tuple[str, int | str], ...],
    needs_fps: bool,
    ratio_train_test: float,
    ratio_test: float,
    mode: str,
    split_seed: int,
) -> Data:
    clips = _read_all(sources, dict(heads))
    _check_keys(clips)
    if needs_fps:
        raise_problems([_no_fps(clip) for clip in clips if clip.fps is None])
    num_class = {
        head: max(2, 1 + max(clip.labels[head] for clip in clips)) if number == "auto" else number
        for head, number in heads
    }
    split = split_clips(clips, ratio_train_test=ratio_train_test, ratio_test=ratio_test, mode=mode, seed=split_seed)
    for head, (unseen, asked) in unseen_classes(split).items():
        if unseen:
            logger.warning("%s: %d of the %d evaluated classes are never trained", head, unseen, asked)
    return Data(split, num_class, _fingerprint(clips))


def _read_all(sources: Sequence[tuple[Path, str]], heads: Mapping[str, int | str]) -> list[Clip]:
    names = _dataset_names([folder for folder, _ in sources])
    clips: list[Clip] = []
    problems: list[str] = []
    for folder, annotation_file in sources:
        try:
            rows = read_annotations(folder, annotation_file, heads)
        except DataError as error:
            problems += error.problems
            continue
        clips += [replace(clip, dataset=names[folder]) for clip in rows]
    raise_problems(problems)
    return clips


def _dataset_names(folders: Sequence[Path]) -> dict[Path, str]:
    """Each folder's own name, with as many parents as tell it from the others."""
    paths = {folder: Path(os.path.abspath(folder)) for folder in folders}
    depth = 1
    while len({path.parts[-depth:] for path in paths.values()}) < len(set(paths.values())):
        depth += 1
    return {folder: "/".join(path.parts[-depth:]) for folder, path in paths.items()}


def _check_keys(clips: Sequence[Clip]) -> None:
    counts = Counter(clip.key for clip in clips)
    raise_problems(
        [f"clip {key} is given {count} times; once is allowed" for key, count in counts.items() if count > 1]
    )


def _no_fps(clip: Clip) -> str:
    if reason := no_fps_reason(clip.properties_path):
        return (
            f"{clip.properties_path}: gives no FPS ({reason}), and train_parameters.time needs it; "
            "time: null is due, or the dataset that this one was made from"
        )
    return f'{clip.properties_path}: missing, and train_parameters.time needs it; {{"FPS": frames per second}} is due'


def _fingerprint(clips: Iterable[Clip]) -> str:
    digest = hashlib.sha256()
    for clip in sorted(clips, key=lambda clip: clip.key):
        row = (clip.key, clip.start, clip.end, sorted(clip.labels.items()), clip.signer, clip.fps)
        digest.update(repr(row).encode())
        with os.scandir(clip.folder / clip.name) as entries:
            stats = {entry.name: entry.stat() for entry in entries}
        for frame in range(clip.start, clip.end + 1):
            stat = stats[clip.frame_path(frame).name]
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
