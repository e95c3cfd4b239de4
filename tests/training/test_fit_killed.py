"""A run that is killed goes on from its last checkpoint and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from hearai.config.config import Config, to_yaml
from hearai.training.outputs.checkpoint import load_checkpoint
from tests.helpers import ROOT

TRAIN = ROOT / "experiments" / "train.py"


def start(config: Path, folder: Path, *more: str) -> subprocess.Popen:
    """`train.py` in a process of its own."""
    place = f"general_parameters.path_to_save={folder}"
    return subprocess.Popen(
        [sys.executable, str(TRAIN), "--config", str(config), "--threads", "1", "--set", place, *more],
        env={**os.environ, "PYTHONPATH": str(TRAIN.parents[1]), "HEARAI_CACHE": str(config.parent / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def epochs_of(folder: Path) -> list[int]:
    file = folder / "metrics.jsonl"
    complete = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["epoch"] for line in complete if line.endswith("}")]


def kill_in_the_middle(config: Path, folder: Path, epochs: int) -> None:
    """Starts a run and sends it SIGKILL during the epoch after the given one."""
    process = start(config, folder)
    deadline = time.monotonic() + 120
    while len(epochs_of(folder)) < epochs:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.005)
    time.sleep(0.02)  # some steps further
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def test_a_run_killed_in_the_middle_of_an_epoch_ends_with_the_weights_of_one_that_was_not(
    make_config: Callable[..., Config], make_dataset: Callable[..., Path], tmp_path: Path
):
    """On pictures, whose backbone trains, with dropout, jitter and a thaw on the way."""
    config = make_config(
        make_dataset(clips=20, signers=0),
        {
            "train_parameters.epochs": 12,
            "train_parameters.batch_size": 2,
            "train_parameters.lr_schedule": "one_cycle",
            "transformer.dropout_rate": 0.3,
            "freeze_scheduler.model_params": {"feature_extractor": [True, False]},
            "freeze_scheduler.freeze_pattern_repeats": [3, 99],
        },
    )
    file = tmp_path / "config.yml"
    file.write_text(to_yaml(config))
    whole = start(file, tmp_path / "whole")
    assert whole.wait(300) == 0, whole.communicate()[0]
    whole.stdout.close()
    kill_in_the_middle(file, tmp_path / "killed", 2)
    assert not (tmp_path / "killed" / "best").exists(), "it had no time to end well"
    assert 2 <= load_checkpoint(tmp_path / "killed" / "last")["progress"]["epoch"] < 12
    resumed = start(file, tmp_path / "killed", "--resume")
    output = resumed.communicate(timeout=300)[0]
    assert resumed.returncode == 0, output
    assert "epoch 1:" not in output, "it begins after the last checkpoint"
    assert epochs_of(tmp_path / "killed") == list(range(1, 13))
    for name in ("last", "best"):
        ours, theirs = (load_checkpoint(tmp_path / run / name)["model"] for run in ("killed", "whole"))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_run_that_was_killed_is_not_overwritten_by_mistake(tiny_config: Config, tmp_path: Path):
    (tmp_path / "config.yml").write_text(to_yaml(tiny_config))
    (tmp_path / "run" / "last").mkdir(parents=True)
    process = start(tmp_path / "config.yml", tmp_path / "run")
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 2
    assert f"error: {tmp_path / 'run'}: holds a run already; give --resume" in output
