"""What is compared of two runs, one of which left its machine in between."""

import json

import pytest
import torch
import torch.distributed as dist

from hearai.config.config import load_config
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from tests.helpers.gloo import GlooRuntime


def history(folder):
    """The reports of a run, without what a clock says."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def files(folder):
    """{path: bytes} of all that a run has written, but for TensorBoard's files, of which each process has its own."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("tensorboard")}


def same_ending(one, other):
    assert history(one) == [pytest.approx(line) for line in history(other)]
    for name in ("last", "best"):
        ours, theirs = (load_checkpoint(run / name)["model"] for run in (one, other))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def stay(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    fit(load_config(folder / "config.yaml"), GlooRuntime(folder / "whole", rank, 2))
    dist.destroy_process_group()
