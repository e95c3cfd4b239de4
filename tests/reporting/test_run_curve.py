"""The learning curve of a run: drawn from its metrics file, whatever that holds."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hearai.errors import UserError
from hearai.metrics import DIVERGED_LOSS
from hearai.reporting.run_curve import write_learning_curve

pytestmark = pytest.mark.heavy


def write_rows(folder: Path, *rows: dict[str, float]) -> None:
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def row(epoch: int, loss: float = 1.0, score: float = 0.5, **others: float) -> dict[str, float]:
    return {"epoch": epoch, "train/loss": loss, "val/loss": loss, "val/macro_f1": score, **others}


def test_losses_and_scores_are_drawn(tmp_path: Path) -> None:
    heads = {f"val/head{number}/macro_f1": 0.1 * number for number in range(3)}
    write_rows(tmp_path, *(row(epoch, 1 / epoch, 0.1 * epoch, **heads) for epoch in range(1, 6)))
    path = write_learning_curve(tmp_path, "macro-F1")
    assert path == tmp_path / "learning_curve.png"
    image = np.asarray(Image.open(path).convert("RGB"))
    assert image.shape[1] > 1000 and [p.name for p in tmp_path.glob("*png")] == ["learning_curve.png"]
    write_rows(tmp_path, *(row(epoch, 1 / epoch, 0.1 * epoch) for epoch in range(1, 6)))
    write_learning_curve(tmp_path, "macro-F1")
    assert not np.array_equal(image, np.asarray(Image.open(path).convert("RGB"))), "without the curves of heads"


def test_a_run_without_epochs_has_no_curve(tmp_path: Path) -> None:
    assert write_learning_curve(tmp_path, "macro-F1") is None and not list(tmp_path.iterdir())


def test_one_epoch_and_a_diverged_run_are_drawn(tmp_path: Path) -> None:
    write_rows(tmp_path, row(1, DIVERGED_LOSS))
    assert write_learning_curve(tmp_path, "macro-F1 of $a$") is not None


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("{\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl: has a line that is not JSON"):
        write_learning_curve(tmp_path, "macro-F1")
