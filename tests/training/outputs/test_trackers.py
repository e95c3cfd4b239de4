"""Trackers record every epoch once, and none of them can fail a run."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.outputs.confusion import Confusion
from hearai.training.outputs.tracker import TrackedRun
from hearai.training.outputs.trackers import JsonLines, Trackers
from hearai.training.runtime import LocalRuntime
from hearai.training.scores import accuracy
from tests.helpers.tracked_runs import fit_interrupted, metric_lines

pytestmark = pytest.mark.training


def test_an_older_attempt_cannot_write_into_the_newer_file(tmp_path: Path) -> None:
    older = JsonLines(TrackedRun(tmp_path, {}, None, "run", ()))
    older.log({"epoch": 1}, 1)
    newer = JsonLines(TrackedRun(tmp_path, {}, None, "run", ({"epoch": 1},)))
    older.log({"epoch": 2, "who": 1}, 2)
    newer.log({"epoch": 2, "who": 2}, 2)
    older.close(), newer.close()
    assert metric_lines(tmp_path) == [{"epoch": 1}, {"epoch": 2, "who": 2}]


def test_local_trackers_hold_each_epoch_of_a_resumed_run_once(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    reports = fit_interrupted(make_config(tiny_dataset, {"train_parameters.epochs": 4}), folder)
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(reports[0])
    assert {"lr", "frozen/feature_extractor.backbone", "val/gloss/macro_f1"} <= set(reports[0])
    for name in reports[0]:
        values = {event.step: event.value for event in events.Scalars(name)}
        assert len(events.Scalars(name)) == 4
        assert values == pytest.approx({report["epoch"]: report[name] for report in reports}, rel=1e-5), name
    (image,) = events.Images("confusion/gloss")
    assert image.step == 4 and image.width > 400


def test_the_saved_confusion_matrix_is_of_the_best_epoch(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    config = make_config(tiny_dataset, {"train_parameters.epochs": 4})
    reports = fit_interrupted(config, tmp_path / "run")
    progress = load_checkpoint(tmp_path / "run" / "last")["progress"]
    matrix, best = progress["best_confusions"]["gloss"], reports[progress["best_epoch"] - 1]
    assert matrix.shape == (3, 3) and matrix.is_sparse
    assert accuracy(Confusion.of_matrix(matrix)) == pytest.approx(best["val/gloss/accuracy"])


def test_json_lines_refuse_nan(tmp_path: Path):
    tracker = JsonLines(TrackedRun(tmp_path))
    with pytest.raises(ValueError):
        tracker.log({"val/loss": float("inf")}, 1)
    tracker.close()


def test_a_failing_tracker_is_logged_once_and_disabled(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    trackers = Trackers(TrackedRun(tmp_path))
    with caplog.at_level(logging.WARNING):
        trackers.log({"val/loss": float("nan")}, 1)  # JSON has no NaN
        trackers.log({"val/loss": 0.5}, 2)
    trackers.close()
    assert [record.getMessage().split(" failed")[0] for record in caplog.records] == ["JSON lines"]


def test_a_run_finishes_although_all_trackers_fail(
    tiny_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Paths that cannot be written, an invalid token, and a store of an unknown kind."""
    folder = tmp_path / "run"
    (folder / "metrics.jsonl").mkdir(parents=True)
    (folder / "tensorboard").write_text("not a folder")
    monkeypatch.setenv("NEPTUNE_API_TOKEN", "nonsense")
    services = {"general_parameters.neptune": True, "general_parameters.mlflow": "nonsense://store"}
    with caplog.at_level(logging.WARNING):
        result = fit(override(tiny_config, services), LocalRuntime("cpu", folder))
    assert result.epochs == 2 and (folder / "best" / "state.pt").exists()
    failed = [record.getMessage() for record in caplog.records if "failed and is disabled" in record.getMessage()]
    assert [line.split(" failed")[0] for line in failed] == ["JSON lines", "TensorBoard", "Neptune", "MLflow"]
    assert all("\n" not in line and "\x1b" not in line for line in failed)
    assert "API token is invalid" in failed[2] and "nonsense" in failed[3]


def test_external_trackers_are_imported_only_when_used():
    """Importing them takes seconds in each of Ray's processes."""
    packages = ("neptune", "mlflow", "tensorboard", "torch.utils.tensorboard")
    check = f"import sys, hearai.training.fit; print([name for name in {packages} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
