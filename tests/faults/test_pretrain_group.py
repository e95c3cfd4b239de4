"""Pre-training by a group on the nodes of a cluster equals that by one worker, also if a node dies."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from hearai.config.study import Request, load_study
from hearai.data.annotations.load import load_data
from hearai.training.setup.backbone_cache import ensure_backbone
from tests.helpers import ROOT
from tests.helpers.local_cluster import LocalCluster, Node
from tests.helpers.search_process import report_fault

pytestmark = pytest.mark.slow
EPOCHS = 30
START_S = 300


@pytest.fixture
def many_clips(make_dataset: Callable[..., Path]) -> Path:
    """Enough clips that two workers get 16 frames of a batch each."""
    return make_dataset(clips=80)


def runs_worker(node: Node) -> bool:
    """Whether a worker of a group runs on the node."""
    try:
        return any("RayTrainWorker" in " ".join(process.cmdline()) for process in node.processes())
    except psutil.NoSuchProcess:
        return False


def test_a_group_resumes_on_other_nodes_when_one_dies(
    space: Path, many_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = space.read_text().replace("test_efficientnet", "test_vit")
    space.write_text(text.replace("pretrain: false", f"pretrain: {{epochs: {EPOCHS}, patience: 0, lr: 1.0e-4}}"))
    folder = tmp_path / "runs" / "tiny"
    with LocalCluster(tmp_path / "cluster", head_cpus=0) as cluster:
        nodes = [cluster.add_node(name, gpus=gpus) for name, gpus in {"one": 2, "two": 1, "three": 0}.items()]
        command = [sys.executable, "-m", "tests.helpers.pretrain_driver", space, many_clips, folder.parent]
        driver = subprocess.Popen(
            [*map(str, command), cluster.address],
            env={**os.environ, **cluster.environment(), "RAY_AUTH_MODE": "token"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        line, deadline = folder / "pretraining" / "backbone" / "line.txt", time.monotonic() + START_S
        while not (line.exists() and "epoch 3 of" in line.read_text()):
            assert driver.poll() is None and time.monotonic() < deadline, driver.stdout.read()
            time.sleep(0.05)
        next(node for node in reversed(nodes) if runs_worker(node)).kill()
        output, _ = driver.communicate(timeout=START_S)
        assert driver.returncode == 0, output
    assert "0 GPUs: 1 workers" in output and "0.5 GPUs: 2 workers" in output and "1 GPUs: 2 workers" in output
    assert "pre-training test_vit by 2 workers" in output and "pre-trained in " in output
    two = torch.load(folder / "backbone.pt", weights_only=True)
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    study = load_study(Request(str(space), data_paths=(str(many_clips),)))
    ensure_backbone(study.base, load_data(study.base), study.settings.pretrain, tmp_path / "one.pt")
    one = torch.load(tmp_path / "one.pt", weights_only=True)
    for alone, together in zip(one["curve"], two["curve"], strict=True):
        assert together == pytest.approx({**alone, "seconds": together["seconds"]}, abs=0.02)
    assert not (folder / "pretraining").exists()
    report_fault(
        "node of one of two workers that pre-train dies",
        "a new group resumes on other nodes after the last complete epoch",
        exit_code=0,
    )
