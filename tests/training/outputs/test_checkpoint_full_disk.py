"""A checkpoint that does not fit on the disk."""

from pathlib import Path

import pytest
import torch

from hearai.errors import DiskFull
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint, save_tensors
from tests.helpers.fault_injection import fill_disk, small_disk


def temporary_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def test_a_failed_save_keeps_the_previous_checkpoint(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "30m"):
        disk = tmp_path / "disk"
        save_checkpoint(disk / "last", {"epoch": 1, "weights": torch.zeros(100_000)})
        filler = fill_disk(disk, leave=100_000)
        with pytest.raises(DiskFull, match=r"last/state\.pt: cannot be written, its disk is full"):
            save_checkpoint(disk / "last", {"epoch": 2, "weights": torch.zeros(100_000)})
        assert load_checkpoint(disk / "last")["epoch"] == 1 and not temporary_files(disk)
        filler.unlink()
        save_checkpoint(disk / "last", {"epoch": 2, "weights": torch.zeros(100_000)})
        assert load_checkpoint(disk / "last")["epoch"] == 2


def test_weights_that_do_not_fit_leave_no_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m"):
        weights = tmp_path / "disk" / "model.pth"
        with pytest.raises(DiskFull, match=r"model\.pth: cannot be written, its disk is full"):
            save_tensors(weights, {"weights": torch.zeros(1_000_000)})
        assert not weights.exists() and not temporary_files(tmp_path / "disk")
