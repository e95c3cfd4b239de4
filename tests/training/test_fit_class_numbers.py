"""Runs whose class numbers have gaps: 0, 5 and 70000 need no more memory than three classes and a wide classifier."""

import csv
import json
import logging
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from hearai.config.config import Config, to_yaml
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint
from hearai.training.outputs.confusion import Confusion
from hearai.training.scores import accuracy
from tests.helpers.tracked_runs import fit_interrupted, metric_lines

pytestmark = pytest.mark.training

NUMBERS = (0, 5, 70_000)
EXTRA_MEMORY = 4 * 2**30
"""Bytes: a matrix of 70,001 x 70,001 takes 4.9 GB with one byte for each cell."""


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """No test may reserve EXTRA_MEMORY more than its process has: it fails instead of using up the machine."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + EXTRA_MEMORY, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.fixture
def with_gaps(make_dataset: Callable[..., Path]) -> Path:
    """24 clips of the glosses 0, 5 and 70000."""
    folder = make_dataset(clips=24)
    rows = [line.split() for line in (folder / "test_gloss.txt").read_text().splitlines()]
    lines = [" ".join([*row[:3], str(NUMBERS[int(row[3])])]) for row in rows]
    (folder / "test_gloss.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def run(make_config: Callable[..., Config], with_gaps: Path, tmp_path: Path) -> Path:
    """The folder of a run of four epochs that was interrupted and resumed."""
    fit_interrupted(make_config(with_gaps, {"train_parameters.epochs": 4}), tmp_path / "run")
    return tmp_path / "run"


def test_a_resumed_run_saves_only_pairs_that_occur(run: Path) -> None:
    progress = load_checkpoint(run / "last")["progress"]
    confusion = Confusion.of_matrix(progress["best_confusions"]["gloss"])
    best = metric_lines(run)[progress["best_epoch"] - 1]
    assert confusion.num_class == 70_001 and len(confusion.counts_P) <= confusion.clips
    assert set(confusion.true_P.tolist()) <= set(NUMBERS)
    assert accuracy(confusion) == best["val/gloss/accuracy"]


def test_a_trained_model_is_evaluated_and_predicts(call: Callable, run: Path, with_gaps: Path, tmp_path: Path) -> None:
    code, out, _ = call("evaluate", "--checkpoint", run, "--gpu", -1, "--out", tmp_path / "out")
    assert code == 0 and "majority" in out
    gloss = json.loads((tmp_path / "out" / "evaluation.json").read_text())["heads"]["gloss"]
    pairs = gloss["confusion_pairs"]
    assert "confusion" not in gloss and {true for true, _, _ in pairs} <= set(NUMBERS)
    assert sum(clips for *_, clips in pairs) == gloss["clips"]
    assert sum(clips for true, predicted, clips in pairs if true == predicted) / gloss["clips"] == pytest.approx(
        gloss["accuracy"]
    )
    assert gloss["floor"]["class"] in NUMBERS
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == gloss["clips"] and {int(row["true"]) for row in rows} <= set(NUMBERS)
    assert all((row["rank"] == "1") == (row["true"] == row["predicted"]) for row in rows)
    assert Image.open(tmp_path / "out" / "gloss.png").width < 2000
    code, out, _ = call("predict", "--checkpoint", run, with_gaps / "c0", "--top", 2, "--json")
    assert code == 0 and len(json.loads(out)[0]["heads"]["gloss"]) == 2


def test_training_remarks_once_that_most_numbers_are_not_used(
    call: Callable,
    make_config: Callable[..., Config],
    with_gaps: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    values = {"general_parameters.path_to_save": str(tmp_path / "run"), "train_parameters.epochs": 1}
    (tmp_path / "run.yml").write_text(to_yaml(make_config(with_gaps, values)))
    with caplog.at_level(logging.INFO):
        assert call("train", "--config", tmp_path / "run.yml", "--threads", 1)[0] == 0
    remarks = [text for text in caplog.messages if text.startswith("head gloss: 3 of 70,001 class numbers are used")]
    assert len(remarks) == 1 and "number the classes from 0 without gaps" in remarks[0]


def test_a_dense_matrix_of_an_older_version_is_resumed(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_dataset, {"train_parameters.epochs": 4})
    fit_interrupted(config, tmp_path / "new")

    def save_dense(last: Path) -> None:
        state = load_checkpoint(last)
        matrix = state["progress"]["best_confusions"]["gloss"]
        state["progress"]["best_confusions"] = {"gloss": matrix.to_dense().int()}
        save_checkpoint(last, state)

    fit_interrupted(config, tmp_path / "old", between=save_dense)
    new, old = (load_checkpoint(tmp_path / name / "last")["progress"] for name in ("new", "old"))
    assert new["best_epoch"] == old["best_epoch"] and old["epoch"] == 4
    counts = [Confusion.of_matrix(one["best_confusions"]["gloss"]).dense() for one in (new, old)]
    assert torch.equal(*counts)
