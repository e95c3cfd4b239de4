"""The table of clips that weights were trained on, as files of weights hold it: (N, 2), two digests for each clip.

What the digests are, and what is done with them: `hearai.training.outputs.trained_clips`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

TRAINED_CLIPS = "trained_clips"
"""Its key in our files."""


def no_clips() -> Tensor:
    """That of weights which no process of ours has trained."""
    return torch.empty((0, 2), dtype=torch.int64)


def stated_clips(content: Mapping[str, Any]) -> Tensor | None:
    """The table in a file of ours; None if it states none."""
    clips_N2 = content.get(TRAINED_CLIPS)
    return clips_N2 if is_clip_table(clips_N2) else None


def stating(clips_N2: Tensor | None) -> dict[str, Tensor]:
    """What to add to the content of a file of ours: the table, or nothing where the clips are not known."""
    return {} if clips_N2 is None else {TRAINED_CLIPS: clips_N2}


def is_clip_table(value: Any) -> bool:
    """Whether it is a tensor of two digests per clip."""
    return isinstance(value, Tensor) and value.dtype == torch.int64 and value.shape[1:] == (2,)
