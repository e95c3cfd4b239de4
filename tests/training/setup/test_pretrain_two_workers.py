"""Two workers pre-train what one worker pre-trains: a group of two processes over gloo."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch.multiprocessing.spawn import ProcessExitedException

from hearai.config.config import Config, load_config, to_yaml
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.pretrain import pretrain
from hearai.training.setup.stills import read_stills
from tests.helpers.gloo import GlooRuntime, gloo_group

pytestmark = pytest.mark.training
SETTINGS = Pretrain(epochs=3, batch_size=7, patience=0)
"""Shares of four frames and of three."""


class DrawingRuntime(GlooRuntime):
    """The model draws random numbers for each of its frames, as dropout does, and does not use them."""

    def __init__(self, folder: Path, rank: int):
        super().__init__(folder / f"node{rank}", rank, 2)
        self.drawn: list[float] = []

    def wrap(self, model):
        wrapped = super().wrap(model)
        wrapped.register_forward_pre_hook(lambda _, inputs: self.drawn.append(float(torch.rand(len(inputs[1])).sum())))
        return wrapped


class KilledBeforeSaving(GlooRuntime):
    """The process is killed when it has trained its third epoch, before that is saved."""

    left = 3

    def ensure_current_attempt(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def work(rank: int, folder: Path, kind: Callable[..., GlooRuntime]) -> None:
    """One worker, whose folder is not that of the other, as on another node."""
    with gloo_group(folder / f"rendezvous-{kind.__name__}", rank):
        runtime = DrawingRuntime(folder, rank) if kind is DrawingRuntime else kind(folder / f"node{rank}", rank, 2)
        out = folder / f"node{rank}" / f"{kind.__name__}.pt"
        pretrain(load_config(folder / "config.yaml"), runtime, out, SETTINGS, key="k")
    if kind is DrawingRuntime:
        torch.save(runtime.drawn, folder / f"drawn{rank}.pt")


@pytest.fixture
def config(make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path) -> Config:
    """A backbone without batch norms; also as a file for the workers."""
    config = make_config(tiny_dataset, {"feature_extractor.model_path": "test_vit"})
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    return config


def test_two_workers_equal_one(config: Config, tmp_path: Path) -> None:
    one = torch.load(pretrain(config, LocalRuntime("cpu", tmp_path), tmp_path / "one.pt", SETTINGS))
    mp.spawn(work, (tmp_path, DrawingRuntime), nprocs=2)
    two = torch.load(tmp_path / "node0" / "DrawingRuntime.pt", weights_only=True)
    assert not list((tmp_path / "node1").glob("*")), "only the first worker writes"
    for alone, together in zip(one["curve"], two["curve"], strict=True):
        assert together == pytest.approx({**alone, "seconds": together["seconds"]}, abs=1e-4)
    assert one["backbone"].keys() == two["backbone"].keys()
    for name in one["backbone"]:
        if not name.endswith("qkv.bias"):  # attention ignores the keys' bias: Adam magnifies its rounding noise
            assert torch.allclose(one["backbone"][name], two["backbone"][name], atol=1e-4), name
    first, second = (torch.load(tmp_path / f"drawn{rank}.pt") for rank in (0, 1))
    assert len(first) == len(second) and not set(first) & set(second), "each worker has its own dropout"
    assert len(set(first)) == len(first), "and another one in each step"


def test_killed_workers_resume_with_equal_results(config: Config, tmp_path: Path) -> None:
    """The folder of the second worker holds nothing, as on a node that has replaced another one."""
    mp.spawn(work, (tmp_path, GlooRuntime), nprocs=2)
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        mp.spawn(work, (tmp_path, KilledBeforeSaving), nprocs=2)
    assert (tmp_path / "node0" / "last").is_dir() and not list((tmp_path / "node1").glob("*"))
    mp.spawn(work, (tmp_path, DrawingRuntime), nprocs=2)
    unbroken, resumed = (
        torch.load(tmp_path / "node0" / f"{kind}.pt", weights_only=True) for kind in ("GlooRuntime", "DrawingRuntime")
    )
    for row, again in zip(unbroken["curve"], resumed["curve"], strict=True):
        assert {**row, "seconds": 0} == {**again, "seconds": 0}
    assert all(torch.equal(unbroken["backbone"][name], resumed["backbone"][name]) for name in unbroken["backbone"])
    frames = len(read_stills(config, load_data(config).split.train).inputs_N)
    assert len(torch.load(tmp_path / "drawn0.pt")) == frames // 7, "only the third epoch was repeated"


class Interrupted(LocalRuntime):
    """One worker that is interrupted when it has trained its second epoch, before that is saved."""

    left = 2

    def ensure_current_attempt(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_two_workers_resume_what_one_began(config: Config, tmp_path: Path) -> None:
    whole = torch.load(pretrain(config, LocalRuntime("cpu", tmp_path), tmp_path / "one.pt", SETTINGS))
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, Interrupted("cpu", tmp_path / "node0"), tmp_path / "two.pt", SETTINGS, key="k")
    mp.spawn(work, (tmp_path, GlooRuntime), nprocs=2)
    resumed = torch.load(tmp_path / "node0" / "GlooRuntime.pt", weights_only=True)
    assert resumed["curve"][0]["loss"] == whole["curve"][0]["loss"]
    for alone, row in zip(whole["curve"], resumed["curve"], strict=True):
        assert row == pytest.approx({**alone, "seconds": row["seconds"]}, abs=1e-4)


def test_batch_norms_are_not_trained_by_two_workers_on_cpus(tiny_config: Config, tmp_path: Path) -> None:
    runtime = LocalRuntime("cpu", tmp_path)
    runtime.world = 2
    with pytest.raises(AssertionError, match="group_size"):
        pretrain(tiny_config, runtime, tmp_path / "backbone.pt", SETTINGS)
