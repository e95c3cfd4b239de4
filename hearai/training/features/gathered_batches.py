"""Batches of cached features without work per clip: the features lie in a table, and each batch is one gather from it.

N clips of a dataset, E clips of an epoch in their order, B clips of a batch, at most T frames each, F rows of width W.
"""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hearai.data.batch import Batch
from hearai.data.dataset import BatchSampler, ClipDataset
from hearai.data.transforms import draws_mirrored
from hearai.sign.hamnosys import MISSING
from hearai.training.features.feature_cache import Features

MAX_SHARE = 0.5
"""A table is copied to a GPU if it needs at most this share of the memory that is free there."""


class GatheredBatches:
    """The batches that `build_loader` would make of a dataset of features, on the device.

    Args:
        dataset: its clips, frames and heads; nothing is read through it.
        mirrored: features of the mirrored clips, of which one in two is taken instead, as `draw_side` would.
    """

    def __init__(self, dataset: ClipDataset, features: Features, mirrored: Features | None, device: torch.device):
        self._dataset, self._device = dataset, device
        self._tables = [_Table(dataset, one, device) for one in (features, mirrored) if one is not None]
        labels = {head: [clip.labels[head] for clip in dataset.clips] for head in dataset.heads}
        self._labels = {head: torch.tensor(of_head, dtype=torch.int64) for head, of_head in labels.items()}

    def epoch(self, sampler: BatchSampler) -> Iterator[Batch]:
        """The batches whose clips the sampler lists, with the frames of the dataset's current epoch."""
        lists = list(sampler)
        index_E = torch.tensor([*itertools.chain.from_iterable(lists)], dtype=torch.int64)
        is_placeholder_E = index_E < 0
        numbers_E = torch.where(is_placeholder_E, ~index_E, index_E)
        lengths_E = self._dataset.sampler.lengths_N[numbers_E]
        labels = {head: of_N[numbers_E].masked_fill(is_placeholder_E, MISSING) for head, of_N in self._labels.items()}
        labels = {head: of_E.to(self._device) for head, of_E in labels.items()}
        index_E = index_E.masked_fill(is_placeholder_E, -1).to(self._device)
        frames_ET = self._dataset.frames_NT[numbers_E]
        mask_ET = (torch.arange(frames_ET.shape[1]) < lengths_E.unsqueeze(1)).to(self._device)
        rows = [table.rows_of(numbers_E, frames_ET) for table in self._tables]
        sides_E = self._sides(numbers_E) if len(self._tables) > 1 else None
        first = 0
        for numbers, lengths_B in zip(lists, lengths_E.split([len(one) for one in lists]), strict=True):
            of_batch, frames = slice(first, first + len(numbers)), int(lengths_B.max())
            mask_BT = mask_ET[of_batch, :frames]
            features_BTW = self._gather([rows_ET[of_batch, :frames] for rows_ET in rows], sides_E, of_batch)
            if int(lengths_B.min()) < frames:
                features_BTW.masked_fill_(~mask_BT.unsqueeze(-1), 0)
            of_heads = {head: of_E[of_batch] for head, of_E in labels.items()}
            yield Batch({"features": features_BTW}, mask_BT, of_heads, index_E[of_batch])
            first += len(numbers)

    def _gather(self, rows: Sequence[Tensor], sides_E: Tensor | None, of_batch: slice) -> Tensor:
        """Features (B, T, W) of the rows (B, T) of each table."""
        gathered = [table.gather(rows_BT) for table, rows_BT in zip(self._tables, rows, strict=True)]
        if sides_E is None:
            return gathered[0]
        return torch.where(sides_E[of_batch].view(-1, 1, 1), gathered[1], gathered[0])

    def _sides(self, numbers_E: Tensor) -> Tensor:
        sides = [draws_mirrored(self._dataset.augmentation_seed(number)) for number in numbers_E.tolist()]
        return torch.tensor(sides).to(self._device)


class _Table:
    """The rows of features, on the device if they fit there."""

    def __init__(self, dataset: ClipDataset, features: Features, device: torch.device):
        self._device = device
        self._rows_FW = features.rows_FW
        if device.type == "cuda" and features.rows_FW.nbytes <= MAX_SHARE * torch.cuda.mem_get_info(device)[0]:
            self._rows_FW = features.rows_FW.to(device)
        offsets = [features.offset(clip) for clip in dataset.clips]
        self._offsets_N1 = torch.tensor(offsets, dtype=torch.int64).view(-1, 1)

    def rows_of(self, numbers_E: Tensor, frames_ET: Tensor) -> Tensor:
        """Row numbers (E, T) of frames of clips."""
        return (self._offsets_N1[numbers_E] + frames_ET).to(self._rows_FW.device)

    def gather(self, rows_BT: Tensor) -> Tensor:
        """Features (B, T, W) on the device."""
        features_RW = self._rows_FW.index_select(0, rows_BT.flatten())
        return features_RW.view(*rows_BT.shape, -1).to(self._device, non_blocking=True)
