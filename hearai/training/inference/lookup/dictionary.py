"""A dictionary of clips: the clips of a folder, ranked by how similar they are to others for a trained model.

N clips to look up, M clips of the dictionary, D width of the sequence encoder's output. The signs of the dictionary
need not be classes of the model: what it has learned about other signs is used, as in sign retrieval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import unsplit_data
from hearai.data.annotations.metadata import ClassNames, class_name
from hearai.errors import ConfigError
from hearai.sign.hamnosys import HEADS, MISSING
from hearai.training.inference.labelled_clips import NO_CHANGES, config_for
from hearai.training.inference.predict import outputs_of_clips
from hearai.training.inference.trained_model import TrainedModel
from hearai.training.setup.prepare import check_files


@dataclass(frozen=True)
class Entry:
    """A clip of a dictionary, as found for another clip."""

    clip: str
    """DATASET/NAME"""
    word: str | None
    """The name of its sign, or its number where no list names it; None without one."""
    distance: float
    """Cosine distance to the clip that was looked up, in [0, 2]; 0 = the same direction."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Clips of signs with their vectors."""

    clips: Sequence[str]
    words: Sequence[str | None]
    vectors_MD: Tensor
    """Of length 1."""

    def nearest(self, vectors_ND: Tensor, count: int) -> list[list[Entry]]:
        """For each of N clips the entries by distance, the nearest first; of equal ones the first.

        Args:
            vectors_ND: see `ClipOutputs`.
        """
        distances_NM = 1 - vectors_ND @ self.vectors_MD.T
        found = []
        for distances_M in distances_NM:
            order = distances_M.argsort(stable=True)[:count].tolist()
            found.append([Entry(self.clips[m], self.words[m], float(distances_M[m].clamp(0, 2))) for m in order])
        return found


def read_dictionary(trained: TrainedModel, folder: Path) -> Dictionary:
    """The annotated clips of a dataset folder.

    Raises:
        ConfigError: no clips.
        DataError: all problems of the folder and its files.
    """
    config = config_for(_with_words(trained.config, folder), [str(folder)], NO_CHANGES, "--dictionary")
    data = unsplit_data(config)
    if not data.clips:
        raise ConfigError(f"--dictionary {folder}: has no clips; give a dataset folder with some")
    check_files(config, data.clips)
    signs = [head for head in data.num_class if head not in HEADS]
    names: ClassNames = next(iter(data.class_lists.values()), {})  # there is one folder
    words = [_word(clip, signs, names) for clip in data.clips]
    return Dictionary([clip.key for clip in data.clips], words, outputs_of_clips(trained, data.clips).vectors_ND)


def _with_words(config: Config, folder: Path) -> Config:
    """The config of a model, reading also those labels of the folder that name signs, which need not be its own."""
    if config.general_parameters.annotation_file is not None:  # the one file that is read
        return config
    groups, heads = [*config.train_parameters.head_groups], {*config.active_heads}
    for group, own in config.heads.groups.items():
        if not heads & {*own} and not {*own} & {*HEADS} and (folder / f"test_{group}.txt").is_file():
            groups.append(group)
            heads |= {*own}
    return override(config, {"train_parameters.classification_mode": groups if len(groups) > 1 else groups[0]})


def _word(clip: Clip, signs: Sequence[str], names: ClassNames) -> str | None:
    known = [class_name(names, head, clip.labels[head]) for head in signs if clip.labels[head] != MISSING]
    return ", ".join(known) or None
