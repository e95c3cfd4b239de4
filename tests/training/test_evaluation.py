"""Counts of several workers are added exactly, however many pairs each of them holds."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from hearai.sign.hamnosys import MISSING
from hearai.training.evaluation import sum_over_workers
from hearai.training.outputs.confusion import Confusion
from hearai.training.runtime import LocalRuntime

SIZES = {"small": 7, "large": 70_001, "without labels": 9}
Pairs = dict[str, tuple[Tensor, Tensor]]


class Group:
    """What workers that are threads share: one value of each, and a meeting point."""

    def __init__(self, world: int):
        self.world, self.values, self.barrier = world, [torch.zeros(0)] * world, threading.Barrier(world, timeout=60)


class ThreadRuntime(LocalRuntime):
    """One worker of a group of threads. (That processes agree is tested in test_fit_two_workers.)"""

    def __init__(self, folder: Path, rank: int, group: Group):
        super().__init__("cpu", folder)
        self.rank, self.world, self._group = rank, group.world, group

    def sum(self, values: Tensor) -> Tensor:
        self._group.values[self.rank] = values
        self._group.barrier.wait()
        total = torch.stack(self._group.values).sum(0)
        self._group.barrier.wait()
        return total


def random_pairs(clips: int, seed: int) -> Pairs:
    """{head: (predicted, labels)}; the class numbers are the highest ones of each head."""
    generator, found = torch.Generator().manual_seed(seed), {}
    for head, size in SIZES.items():
        predicted, labels = (torch.randint(size - n, size, (clips,), generator=generator) for n in (5, 3))
        found[head] = predicted, torch.full_like(labels, MISSING) if head == "without labels" else labels
    return found


def count(pairs: Pairs) -> dict[str, Confusion]:
    return {head: Confusion.count(*pairs[head], size) for head, size in SIZES.items()}


def test_two_workers_count_what_one_worker_counts(tmp_path: Path) -> None:
    parts = [random_pairs(43, seed=0), random_pairs(7, seed=1)]
    parts[1]["large"][1].fill_(MISSING)
    group = Group(2)
    with ThreadPoolExecutor(2) as threads:
        work = [threads.submit(sum_over_workers, count(parts[i]), ThreadRuntime(tmp_path, i, group)) for i in (0, 1)]
        summed = [one.result() for one in work]
    alone = count({head: tuple(torch.cat([part[head][i] for part in parts]) for i in (0, 1)) for head in SIZES})
    for found in summed:
        assert list(found) == list(SIZES)
        for head, expected in alone.items():
            assert found[head].num_class == expected.num_class
            assert torch.equal(found[head].cells_P, expected.cells_P), head
            assert torch.equal(found[head].counts_P, expected.counts_P), head
    assert alone["without labels"].clips == 0 and alone["large"].clips == 43


def test_one_worker_keeps_its_counts(tmp_path: Path) -> None:
    own = count(random_pairs(20, seed=0))
    assert sum_over_workers(own, LocalRuntime("cpu", tmp_path)) == own
