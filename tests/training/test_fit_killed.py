"""A killed run resumes from its last checkpoint and ends with the same weights as an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config, to_yaml
from hearai.errors import ConfigError
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.outputs.run_lock import run_lock
from tests.helpers import ROOT

pytestmark = pytest.mark.training

TRAIN = ROOT / "experiments" / "train.py"


def start(config: Path, folder: Path, *more: str) -> subprocess.Popen:
    """Starts `train.py` as a subprocess."""
    path_to_save = f"general_parameters.path_to_save={folder}"
    return subprocess.Popen(
        [sys.executable, str(TRAIN), "--config", str(config), "--threads", "1", "--set", path_to_save, *more],
        env={**os.environ, "PYTHONPATH": str(TRAIN.parents[1]), "HEARAI_CACHE": str(config.parent / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def epochs_of(folder: Path) -> list[int]:
    file = folder / "metrics.jsonl"
    complete = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["epoch"] for line in complete if line.endswith("}")]


def kill_within_epoch_after(config: Path, folder: Path, epochs: int) -> None:
    """Starts a run and sends it SIGKILL during the epoch after the given one."""
    process = start(config, folder)
    deadline = time.monotonic() + 120
    while len(epochs_of(folder)) < epochs:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.005)
    time.sleep(0.02)  # a few more steps
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def test_a_run_killed_within_an_epoch_ends_with_equal_weights(
    make_config: Callable[..., Config], make_dataset: Callable[..., Path], tmp_path: Path
):
    """On images, with a backbone that is unfrozen during the run, dropout and jitter."""
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
    uninterrupted = start(file, tmp_path / "uninterrupted")
    assert uninterrupted.wait(300) == 0, uninterrupted.communicate()[0]
    uninterrupted.stdout.close()
    kill_within_epoch_after(file, tmp_path / "killed", 2)
    assert not (tmp_path / "killed" / "best").exists(), "it was not closed"
    assert 1 <= load_checkpoint(tmp_path / "killed" / "last")["progress"]["epoch"] < 12
    resumed = start(file, tmp_path / "killed", "--resume")
    output = resumed.communicate(timeout=300)[0]
    assert resumed.returncode == 0, output
    assert "epoch 1: frozen" not in output, "it starts after the last checkpoint"
    assert epochs_of(tmp_path / "killed") == list(range(1, 13))
    for name in ("last", "best"):
        found, expected = (load_checkpoint(tmp_path / run / name)["model"] for run in ("killed", "uninterrupted"))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in found)


def test_only_one_process_trains_in_a_folder(tiny_config: Config, tmp_path: Path):
    (tmp_path / "config.yml").write_text(to_yaml(tiny_config))
    with run_lock(tmp_path / "run"):
        process = start(tmp_path / "config.yml", tmp_path / "run")
        output = process.communicate(timeout=120)[0]
        with pytest.raises(ConfigError, match="another process trains there"), run_lock(tmp_path / "run"):
            pass  # such as in another thread
    assert process.returncode == 2
    assert f"error: {tmp_path / 'run'}: another process trains there" in output
    assert start(tmp_path / "config.yml", tmp_path / "run").wait(120) == 0


def test_a_killed_run_is_not_overwritten_without_resume(tiny_config: Config, tmp_path: Path):
    (tmp_path / "config.yml").write_text(to_yaml(tiny_config))
    (tmp_path / "run" / "last").mkdir(parents=True)
    process = start(tmp_path / "config.yml", tmp_path / "run")
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 2
    assert f"error: {tmp_path / 'run'}: already holds a run; give --resume" in output
