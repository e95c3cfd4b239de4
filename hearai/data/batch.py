"""A batch of clips, and how a loader process hands it to the training process.

B clips, T frames, C/H/W channels, height, width of an image, W width of a cached feature, P points of C channels.
"""

import functools
import logging
import operator
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from hearai.data.transforms import Inputs
from hearai.files import LONGEST_TMPDIR

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Clips padded to the longest one."""

    inputs: Inputs
    """`frames` (B, T, C, H, W) uint8 or `features` (B, T, W) float, `landmarks` (B, T, P, C); zero where padded."""
    mask: torch.Tensor
    """(B, T) bool, true for real frames."""
    labels: dict[str, torch.Tensor]
    """{head: (B,) int64}, MISSING where a clip has no label."""
    index: torch.Tensor
    """(B,) int64, position of each clip in its dataset; -1 = a placeholder without labels."""

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory; called by the DataLoader."""
        return self._map(torch.Tensor.pin_memory)

    def split(self, parts: int) -> list["Batch"]:
        """The batch as up to `parts` smaller ones of nearly equal size, in order; none is empty."""
        count = min(parts, len(self.mask))
        bounds = [len(self.mask) * i // count for i in range(count + 1)]
        return [self._map(operator.itemgetter(slice(*ends))) for ends in pairwise(bounds)]

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        inputs = {name: function(tensor) for name, tensor in self.inputs.items()}
        labels = {head: function(label_B) for head, label_B in self.labels.items()}
        return Batch(inputs, function(self.mask), labels, function(self.index))


@dataclass(frozen=True)
class CopiedBatch:
    """A batch that goes from a loader process to the training process as bytes through a pipe."""

    arrays: tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray], np.ndarray]
    """Inputs, mask, labels, index."""
    reason: str
    """Why it is not in shared memory."""

    def unpack(self) -> Batch:
        """The batch, in page-locked memory where there is a GPU."""
        inputs, mask_BT, labels, index_B = self.arrays
        batch = Batch(_tensors(inputs), torch.from_numpy(mask_BT), _tensors(labels), torch.from_numpy(index_B))
        return batch.pin_memory() if torch.cuda.is_available() else batch


def share(batch: Batch) -> Batch | CopiedBatch:
    """The batch in shared memory, or as bytes where there is no room for it.

    Called in loader processes: torch moves tensors to shared memory when they are sent, in a thread whose failure
    is not reported, so that training would wait forever for the batch.
    """
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_TMPDIR:
        return _copied(batch, "the path of TMPDIR is too long for sockets; set a shorter one")
    try:
        for tensor in (*batch.inputs.values(), batch.mask, *batch.labels.values(), batch.index):
            tensor.share_memory_()
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rpartition(": ")[2]  # before it, the name of a file that changes
        return _copied(
            batch, f"no shared memory ({reason}); give /dev/shm more room (docker run --shm-size), or use fewer workers"
        )
    return batch


def _copied(batch: Batch, reason: str) -> CopiedBatch:
    return CopiedBatch((_arrays(batch.inputs), batch.mask.numpy(), _arrays(batch.labels), batch.index.numpy()), reason)


def _arrays(tensors: Inputs) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@functools.cache
def explain_copies(reason: str) -> None:
    """Logs once for each reason that batches are copied, which is slower."""
    log.info("loader processes copy their batches, which is slower than sharing them: %s", reason)
