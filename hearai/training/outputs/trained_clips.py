"""The clips that weights were trained on, stored beside the weights: scores on them are too high.

N clips, each with two digests: of its images and of its landmarks, 0 where they are not used. Copies of a clip have
the same, whatever their dataset and labels; see `Fingerprints.clips`.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.fingerprint import Fingerprints
from hearai.data.annotations.load import Data


def trained_clips(data: Data, earlier_N2: Tensor | None) -> Tensor | None:
    """(N, 2) digests of the training clips, and of those that the initial weights were trained on; each once.

    Args:
        earlier_N2: `SignModel.start_clips`.

    Returns:
        None if the latter are not known.
    """
    if earlier_N2 is None:
        return None
    own_N2 = torch.tensor(_digests(data.split.train, data.fingerprints), dtype=torch.int64).reshape(-1, 2)
    return torch.cat([own_N2, earlier_N2]).unique(dim=0)


def are_trained(clips: Sequence[Clip], fingerprints: Fingerprints, trained_N2: Tensor) -> list[bool]:
    """Whether weights were trained on each of the clips, or on copies of them.

    Args:
        fingerprints: those of the data that the clips are of.
        trained_N2: see `trained_clips`.
    """
    images, landmarks = ({*column_N.tolist()} - {0} for column_N in trained_N2.T)
    return [image in images or points in landmarks for image, points in _digests(clips, fingerprints)]


def _digests(clips: Iterable[Clip], fingerprints: Fingerprints) -> list[tuple[int, int]]:
    known = fingerprints.clips
    return [known[clip.key] for clip in clips]
