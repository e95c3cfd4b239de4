"""An epoch that a run has left after some of its steps, to go on with it elsewhere: nothing of it is lost.

H trained heads, W workers, G bytes of a worker's random generators.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hearai.training.runtime import Runtime


@dataclass(frozen=True)
class Begun:
    """What the steps so far came to, over all workers."""

    steps: int
    sums_2H: Tensor
    """Loss sums and sums of label weights."""
    generators_WG: Tensor
    """uint8: where dropout and the like go on."""

    @classmethod
    def gathered(cls, steps: int, sums_2H: Tensor, runtime: Runtime) -> "Begun":
        """Called by all workers at the same step."""
        own = _generators(runtime)
        rows = torch.zeros(runtime.world, len(own), dtype=torch.int64)
        rows[runtime.rank] = own.long()
        return cls(steps, runtime.sum(sums_2H).cpu(), runtime.sum(rows).to(torch.uint8))

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        return {"steps": self.steps, "sums_2H": self.sums_2H, "generators_WG": self.generators_WG}

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> "Begun | None":
        """The other way round."""
        return cls(**state) if state else None

    def own_sums(self, runtime: Runtime) -> Tensor:
        """The sums to go on from: worker 0 takes all of them."""
        sums_2H = self.sums_2H.to(runtime.device, copy=True)
        return sums_2H if runtime.rank == 0 else torch.zeros_like(sums_2H)

    def restore_generators(self, runtime: Runtime) -> None:
        """Sets this worker's. On another kind of device they mean nothing, and those of the epoch's start are kept."""
        if self.generators_WG.shape != (runtime.world, len(_generators(runtime))):
            return
        row, size = self.generators_WG[runtime.rank], len(torch.get_rng_state())
        torch.set_rng_state(row[:size].clone())
        if runtime.device.type == "cuda":
            torch.cuda.set_rng_state(row[size:].clone(), runtime.device)


def _generators(runtime: Runtime) -> Tensor:
    """State (G,) uint8 of this worker's generators: the CPU's, and its GPU's if it has one."""
    states = [torch.get_rng_state()]
    if runtime.device.type == "cuda":
        states.append(torch.cuda.get_rng_state(runtime.device).cpu())
    return torch.cat(states)
