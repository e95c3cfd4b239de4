"""Compares a preempted and resumed run with an uninterrupted one."""

import json

import pytest
import torch
import torch.distributed as dist

from hearai.config.config import load_config
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from tests.helpers.gloo import GlooRuntime


def history(folder):
    """The metrics of a run's epochs without durations."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def files(folder):
    """{path: bytes} of a run's files without TensorBoard's, of which each process writes its own."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("tensorboard")}


def assert_same_result(one, other):
    """The runs in two folders have the same metrics and weights."""
    assert history(one) == [pytest.approx(line) for line in history(other)]
    for name in ("last", "best"):
        first, second = (load_checkpoint(run / name)["model"] for run in (one, other))
        assert all(torch.equal(first[key], second[key]) for key in second)


def run_uninterrupted(rank, folder):
    """Worker `rank` of 2, for `mp.spawn`: trains `folder / config.yaml` into `folder / uninterrupted`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    fit(load_config(folder / "config.yaml"), GlooRuntime(folder / "uninterrupted", rank, 2))
    dist.destroy_process_group()
