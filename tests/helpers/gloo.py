"""A group of workers that communicate over gloo (or NCCL), without Ray."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from hearai.training.runtime import LocalRuntime


@contextmanager
def gloo_group(rendezvous: Path, rank: int, world: int = 2, backend: str = "gloo") -> Iterator[None]:
    """Joins the group of all processes that give the same `rendezvous`, a file that does not exist yet."""
    torch.set_num_threads(1)
    dist.init_process_group(backend, init_method=f"file://{rendezvous}", rank=rank, world_size=world)
    yield
    dist.destroy_process_group()


class GlooRuntime(LocalRuntime):
    """The runtime of one worker of a worker group."""

    def __init__(self, folder, rank, world):
        super().__init__("cpu", folder)
        self.rank, self.world, self.wraps, self.reports = rank, world, 0, []

    def wrap(self, model):
        self.wraps += 1
        return DistributedDataParallel(model)

    def sum(self, values):
        total = values.clone()
        dist.all_reduce(total)
        return total

    def report(self, metrics, checkpoint):
        assert (checkpoint is not None) == (self.rank == 0)
        self.reports.append({key: value for key, value in metrics.items() if key != "seconds"})
