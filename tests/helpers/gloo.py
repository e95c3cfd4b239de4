"""A real group of workers over gloo, without Ray."""

import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from hearai.training.runtime import LocalRuntime


class GlooRuntime(LocalRuntime):
    """One of several workers of a run, as a search would start them."""

    def __init__(self, folder, rank, world):
        super().__init__("cpu", folder)
        self.rank, self.world, self.wraps, self.seen = rank, world, 0, []

    def wrap(self, model):
        self.wraps += 1
        return DistributedDataParallel(model)

    def sum(self, values):
        total = values.clone()
        dist.all_reduce(total)
        return total

    def report(self, metrics, checkpoint):
        assert (checkpoint is not None) == (self.rank == 0)
        self.seen.append({key: value for key, value in metrics.items() if key != "seconds"})
