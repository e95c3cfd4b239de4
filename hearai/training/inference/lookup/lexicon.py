"""A lexicon: the HamNoSys labels of glosses, to look up the sign that best matches a model's predictions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hearai.data.annotations.metadata import class_name, read_class_names
from hearai.data.annotations.rows import read_annotations
from hearai.errors import ConfigError, DataError
from hearai.sign.hamnosys import HEADS, MISSING

HAMNOSYS_FILE = "test_hamnosys.txt"
"""In the folder of the gloss file; gives the HamNoSys labels of its clips."""


@dataclass(frozen=True)
class Lexicon:
    """L entries, each a gloss and its HamNoSys labels; a gloss has one entry for each variant."""

    glosses: tuple[str, ...]
    """(L,) words, or numbers if no class list names them."""
    labels: Mapping[str, Tensor]
    """{head: (L,) class or MISSING}"""

    def nearest(self, probabilities: Mapping[str, Tensor], count: int) -> list[list[tuple[str, float]]]:
        """For each of N clips the nearest glosses and their distances, the nearest first.

        The distance is the expected number of heads that differ: the sum over the heads of 1 - p(the entry's class).
        A head without a label in the entry counts 0.5; heads that the model lacks are not counted.

        Args:
            probabilities: {head: (N, K)}.
        """
        distance_NL = sum(self._differences(head, p_NK) for head, p_NK in probabilities.items())
        found = []
        for distances_L in distance_NL.tolist():
            best: dict[str, float] = {}
            for gloss, distance in sorted(zip(self.glosses, distances_L, strict=True), key=lambda pair: pair[1]):
                best.setdefault(gloss, distance)
            found.append(list(best.items())[:count])
        return found

    def _differences(self, head: str, p_NK: Tensor) -> Tensor:
        labels_L = self.labels[head]
        differs_NL = 1 - p_NK[:, labels_L.clamp(0, p_NK.shape[1] - 1)]
        differs_NL[:, labels_L >= p_NK.shape[1]] = 1.0
        differs_NL[:, labels_L == MISSING] = 0.5
        return differs_NL


def check_lexicon_fits(heads: Iterable[str]) -> None:
    """Refuses a lexicon for a model without HamNoSys heads.

    Raises:
        ConfigError: the model has no HamNoSys head.
    """
    if not set(heads) & set(HEADS):
        raise ConfigError(f"--lexicon: the model's heads are {', '.join(heads)}; a lexicon needs HamNoSys heads")


def read_lexicon(path: Path) -> Lexicon:
    """The lexicon of a gloss file (`name start end gloss`), joined by clip name with HAMNOSYS_FILE in its folder.

    Raises:
        DataError: a file is missing or invalid, or the two have no clip in common.
    """
    folder = path.parent
    if not (folder / HAMNOSYS_FILE).is_file():
        raise DataError(f"--lexicon {path}: no {HAMNOSYS_FILE} in its folder; expected one with the same clips")
    glosses = read_annotations(folder, path.name, {"gloss": "auto"}, frames=False)
    numbers = {head.name: head.num_class for head in HEADS.values()}
    hamnosys = {clip.name: clip.labels for clip in read_annotations(folder, HAMNOSYS_FILE, numbers, frames=False)}
    names = read_class_names(folder)
    entries = {
        (clip.labels["gloss"], tuple(hamnosys[clip.name].values()))
        for clip in glosses
        if clip.name in hamnosys and clip.labels["gloss"] != MISSING
    }
    if not entries:
        raise DataError(
            f"--lexicon {path}: no clip of it is in {folder / HAMNOSYS_FILE}; expected the same names in both"
        )
    ordered = sorted(entries)
    words = tuple(class_name(names, "gloss", gloss) for gloss, _ in ordered)
    columns = torch.tensor([labels for _, labels in ordered]).T
    return Lexicon(words, dict(zip(HEADS, columns, strict=True)))
