"""A lexicon: which glosses have which HamNoSys labels, to find the sign behind what a model saw."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hearai.data.annotations.metadata import class_name, read_class_names
from hearai.data.annotations.rows import read_annotations
from hearai.errors import ConfigError, DataError
from hearai.sign.hamnosys import HEADS, MISSING

LABELS = "test_hamnosys.txt"
"""Lies beside the gloss file and says how each of its clips is signed."""


@dataclass(frozen=True)
class Lexicon:
    """Signs: L entries, each a gloss and how it is signed; a gloss has an entry for each way."""

    glosses: tuple[str, ...]
    """(L,) words, or numbers where no class list names them."""
    labels: Mapping[str, Tensor]
    """{head: (L,) class or MISSING}"""

    def nearest(self, probabilities: Mapping[str, Tensor], count: int) -> list[list[tuple[str, float]]]:
        """For each of N clips the nearest glosses and their distances, the nearest first.

        The distance is how many heads are to be expected to differ: the sum over the heads of 1 - p(its class). A
        head that the entry says nothing of, or the model does not have, counts as half a difference.

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
    """Refuses a lexicon for a model that says nothing about HamNoSys.

    Raises:
        ConfigError: none of the model's heads is a part of a notation.
    """
    if not set(heads) & set(HEADS):
        raise ConfigError(f"--lexicon: the model's heads are {', '.join(heads)}; glosses are found by HamNoSys heads")


def read_lexicon(path: Path) -> Lexicon:
    """The lexicon of a gloss file (`name start end gloss`), joined by clip name with the labels beside it.

    Raises:
        DataError: a file is missing or wrong, or the two have no clip in common.
    """
    folder = path.parent
    if not (folder / LABELS).is_file():
        raise DataError(f"--lexicon {path}: {LABELS} is not beside it; it is due, with the same clips")
    glosses = read_annotations(folder, path.name, {"gloss": "auto"}, frames=False)
    numbers = {head.name: head.num_class for head in HEADS.values()}
    signed = {clip.name: clip.labels for clip in read_annotations(folder, LABELS, numbers, frames=False)}
    names = read_class_names(folder)
    entries = {
        (clip.labels["gloss"], tuple(signed[clip.name].values()))
        for clip in glosses
        if clip.name in signed and clip.labels["gloss"] != MISSING
    }
    if not entries:
        raise DataError(f"--lexicon {path}: has no clip of {folder / LABELS}; the same names are due in both")
    ordered = sorted(entries)
    words = tuple(class_name(names, "gloss", gloss) for gloss, _ in ordered)
    columns = torch.tensor([labels for _, labels in ordered]).T
    return Lexicon(words, dict(zip(HEADS, columns, strict=True)))
