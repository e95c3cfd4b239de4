"""Batches from loader processes: through shared memory, or copied where there is no room for it."""

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config
from hearai.data import batch as batch_module
from hearai.data.annotations.load import load_data
from hearai.data.batch import Batch, CopiedBatch, share
from hearai.data.dataset import build_dataset, build_loader


@contextmanager
def full_shared_memory(_: Path) -> Iterator[None]:
    """No file can be larger than 1 kB, which shared memory reports like a full /dev/shm."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def long_tmpdir(folder: Path) -> Iterator[None]:
    """torch sends shared memory over sockets in this folder."""
    (folder / ("a" * 90)).mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder / ("a" * 90))
    try:
        yield
    finally:
        tempfile.tempdir = before


def batches(config: Config, workers: int) -> list[Batch]:
    dataset = build_dataset(config, load_data(config).clips, train=False)
    return list(build_loader(dataset, batch_size=4, shuffle_seed=0, workers=workers))


@pytest.mark.heavy
@pytest.mark.parametrize("limit", [full_shared_memory, long_tmpdir])
def test_batches_are_the_same_without_shared_memory(
    tiny_config: Config, tmp_path: Path, limit: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    batch_module.explain_copies.cache_clear()
    expected = batches(tiny_config, workers=0)
    with limit(tmp_path), caplog.at_level("INFO", logger="hearai"):
        found = batches(tiny_config, workers=2)
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.inputs["frames"], other.inputs["frames"]) and torch.equal(one.mask, other.mask)
        assert torch.equal(one.labels["gloss"], other.labels["gloss"]) and torch.equal(one.index, other.index)
    assert caplog.text.count("copy their batches") == 1


def test_a_batch_is_shared_where_there_is_room(tiny_config: Config) -> None:
    (batch, *_) = batches(tiny_config, workers=0)
    shared = share(batch)
    assert isinstance(shared, Batch) and shared.inputs["frames"].is_shared() and shared.index.is_shared()
    with full_shared_memory(Path(os.devnull)):
        copied = share(batches(tiny_config, workers=0)[1])
    assert isinstance(copied, CopiedBatch) and "shared memory" in copied.reason
