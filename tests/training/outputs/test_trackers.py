"""Trackers record every epoch once, and none of them can fail a run."""

import json
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.outputs.confusion_image import EMPTY, FULL, MARGIN, confusion_picture
from hearai.training.outputs.tracker import TrackedRun
from hearai.training.outputs.trackers import JsonLines, Trackers
from hearai.training.runtime import LocalRuntime


class Trial(LocalRuntime):
    """A run of a search; it may be ended from outside after some epochs."""

    study = "my-study"

    def __init__(self, folder: Path, *, stop_after: int = 0, resume: bool = False):
        super().__init__("cpu", folder, resume=resume)
        self._stop_after = stop_after

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        if metrics["epoch"] == self._stop_after:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def trial_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    for name in ("NEPTUNE_API_TOKEN", "NEPTUNE_PROJECT_NAME", "NEPTUNE_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def broken_and_resumed(config: Config, folder: Path) -> list[dict[str, float]]:
    """Runs two epochs, is interrupted, goes on to the end; the reports of all epochs."""
    with pytest.raises(KeyboardInterrupt):
        fit(config, Trial(folder, stop_after=2))
    fit(config, Trial(folder, resume=True))
    reports = lines(folder)
    assert [report["epoch"] for report in reports] == [1, 2, 3, 4]
    return reports


# -- files ---------------------------------------------------------------------------------------


def test_a_process_of_an_older_attempt_that_still_writes_leaves_the_newer_ones_lines_alone(tmp_path: Path) -> None:
    older = JsonLines(TrackedRun(tmp_path, {}, None, "run", ()))
    older.log({"epoch": 1}, 1)
    newer = JsonLines(TrackedRun(tmp_path, {}, None, "run", ({"epoch": 1},)))
    older.log({"epoch": 2, "who": 1}, 2)
    newer.log({"epoch": 2, "who": 2}, 2)
    older.close(), newer.close()
    assert lines(tmp_path) == [{"epoch": 1}, {"epoch": 2, "who": 2}]


def test_json_lines_and_tensorboard_hold_every_epoch_of_a_resumed_run_once(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    reports = broken_and_resumed(make_config(tiny_dataset, {"train_parameters.epochs": 4}), folder)
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(reports[0])
    assert {"lr", "frozen/feature_extractor.backbone", "val/gloss/macro_f1"} <= set(reports[0])
    for name in reports[0]:
        values = {event.step: event.value for event in events.Scalars(name)}
        assert len(events.Scalars(name)) == 4
        assert values == pytest.approx({report["epoch"]: report[name] for report in reports}, rel=1e-5), name
    (picture,) = events.Images("confusion/gloss")
    assert picture.step == 4 and picture.width > 400


def test_the_confusion_matrix_that_is_kept_is_that_of_the_best_epoch(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    config = make_config(tiny_dataset, {"train_parameters.epochs": 4})
    reports = broken_and_resumed(config, tmp_path / "run")
    progress = load_checkpoint(tmp_path / "run" / "last")["progress"]
    matrix, best = progress["best_confusions"]["gloss"], reports[progress["best_epoch"] - 1]
    assert matrix.dtype == torch.int32
    assert float(matrix.diagonal().sum() / matrix.sum()) == pytest.approx(best["val/gloss/accuracy"])


def test_a_confusion_picture_shows_the_shares_of_each_true_class():
    matrix = np.array([[3, 1, 0], [0, 0, 0], [0, 0, 5]])
    picture = confusion_picture(matrix)
    cell = 160

    def colour(true: int, predicted: int) -> list[int]:
        return picture[MARGIN + true * cell + cell // 2, MARGIN + predicted * cell + cell // 2].tolist()

    assert picture.dtype == np.uint8
    assert colour(2, 2) == list(FULL) and colour(2, 0) == [255] * 3
    assert colour(1, 1) == list(EMPTY), "a class without examples"
    assert colour(0, 0) == [round(255 + 0.75 * (full - 255)) for full in FULL]


@pytest.mark.parametrize("classes", [2, 70, 1500])
def test_a_confusion_picture_stays_of_a_size_to_look_at(classes: int):
    height, width, channels = confusion_picture(np.eye(classes, dtype=int)).shape
    assert height == width and channels == 3 and 300 < width < 1600


def test_json_lines_refuse_nan(tmp_path: Path):
    tracker = JsonLines(TrackedRun(tmp_path))
    with pytest.raises(ValueError):
        tracker.log({"val/loss": float("inf")}, 1)
    tracker.close()


# -- what fails is left out ----------------------------------------------------------------------


def test_a_failing_tracker_is_said_once_and_the_others_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    trackers = Trackers(TrackedRun(tmp_path))
    with caplog.at_level(logging.WARNING):
        trackers.log({"val/loss": float("nan")}, 1)  # JSON has no NaN
        trackers.log({"val/loss": 0.5}, 2)
    trackers.close()
    assert [record.getMessage().split(" failed")[0] for record in caplog.records] == ["JSON lines"]


def test_a_run_whose_trackers_all_fail_is_trained_to_its_end(
    tiny_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Places that cannot be written, a token that is none, and a store of no known kind."""
    folder = tmp_path / "run"
    (folder / "metrics.jsonl").mkdir(parents=True)
    (folder / "tensorboard").write_text("in the way")
    monkeypatch.setenv("NEPTUNE_API_TOKEN", "nonsense")
    services = {"general_parameters.neptune": True, "general_parameters.mlflow": "nonsense://store"}
    with caplog.at_level(logging.WARNING):
        result = fit(override(tiny_config, services), LocalRuntime("cpu", folder))
    assert result.epochs == 2 and (folder / "best" / "state.pt").exists()
    failed = [record.getMessage() for record in caplog.records if "left out from here on" in record.getMessage()]
    assert [line.split(" failed")[0] for line in failed] == ["JSON lines", "TensorBoard", "Neptune", "MLflow"]
    assert all("\n" not in line and "\x1b" not in line for line in failed)
    assert "API token is invalid" in failed[2] and "nonsense" in failed[3]


def test_an_mlflow_server_that_is_not_there_holds_a_run_up_for_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        trackers = Trackers(TrackedRun(tmp_path), mlflow="http://127.0.0.1:9")
        trackers.log({"epoch": 1, "epochs": 2}, 1)
        trackers.close()
    assert "MLflow failed and is left out" in caplog.text and time.monotonic() - started < 20
    assert len(lines(tmp_path)) == 1


def test_services_are_imported_only_when_asked_for():
    """They cost seconds in each of Ray's processes."""
    heavy = ("neptune", "mlflow", "tensorboard", "torch.utils.tensorboard")
    check = f"import sys, hearai.training.fit; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- Neptune -------------------------------------------------------------------------------------


def neptune_operations(folder: Path) -> list:
    """What Neptune's own reader finds in one offline run."""
    from neptune.core.components.queue.disk_queue import DiskQueue
    from neptune.internal.operation import Operation

    queue = DiskQueue(folder, lambda operation: operation.to_dict(), Operation.from_dict, threading.RLock())
    operations = []
    while (element := queue.get()) is not None:
        operations.append(element.obj)
    queue.close()
    return operations


def offline_runs(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted((folder / "neptune" / "offline").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_neptune_without_a_token_records_every_epoch_on_disk_once(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    from neptune.internal.operation import AddStrings, AssignFloat, AssignString, LogFloats

    config = make_config(tiny_dataset, {"train_parameters.epochs": 4, "general_parameters.neptune": True})
    reports = broken_and_resumed(config, tmp_path / "0007")
    attempts = [neptune_operations(path) for path in offline_runs(tmp_path / "0007")]
    assert len(attempts) == 2
    found: dict[str, dict[int, float]] = {}
    for operation in [operation for attempt in attempts for operation in attempt]:
        if isinstance(operation, LogFloats):
            for item in operation.values:
                assert int(item.step) not in found.setdefault("/".join(operation.path), {})
                found["/".join(operation.path)][int(item.step)] = item.value
    assert found == {name: {report["epoch"]: report[name] for report in reports} for name in reports[0]}
    ids = set()
    for operations in attempts:
        texts = {"/".join(op.path): op.value for op in operations if isinstance(op, AssignString)}
        tags = [set(op.values) for op in operations if isinstance(op, AddStrings)]
        assert texts["sys/name"] == "0007" and {"my-study"} in tags
        numbers = {"/".join(op.path): op.value for op in operations if isinstance(op, AssignFloat)}
        assert numbers["config/train_parameters/lr"] == config.train_parameters.lr
        ids.add(texts["run_id"])
    assert len(ids) == 1


def test_all_attempts_at_a_run_have_one_id_and_the_project_is_the_published_one(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By it a server joins them; that of another run is another."""
    import neptune

    given: list[dict] = []
    real = neptune.init_run
    monkeypatch.setattr(neptune, "init_run", lambda **values: given.append(values) or real(**values))
    monkeypatch.setenv("NEPTUNE_PROJECT_NAME", "team/signs")
    config = make_config(tiny_dataset, {"train_parameters.epochs": 4, "general_parameters.neptune": True})
    broken_and_resumed(config, tmp_path / "a")
    fit(config, Trial(tmp_path / "b"))
    ids = [values["custom_run_id"] for values in given]
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) <= 36, "Neptune drops longer ones"
    assert {values["project"] for values in given} == {"team/signs"}


def test_a_neptune_server_that_is_not_there_holds_a_run_up_for_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """A process of its own: Neptune reads its patience once."""
    script = (
        "import base64, json, logging, os, sys, time; from pathlib import Path\n"
        "logging.basicConfig(level=logging.WARNING, stream=sys.stdout)\n"
        "place = 'http://127.0.0.1:9'; token = json.dumps({'api_address': place, 'api_url': place})\n"
        "os.environ['NEPTUNE_API_TOKEN'] = base64.b64encode(token.encode()).decode()\n"
        "from hearai.training.outputs.trackers import TrackedRun, Trackers\n"
        "started = time.monotonic()\n"
        "trackers = Trackers(TrackedRun(Path(sys.argv[1])), neptune=True)\n"
        "trackers.log({'epoch': 1}, 1); trackers.close()\n"
        "print('seconds', time.monotonic() - started)\n"
    )
    environment = {**os.environ, "NEPTUNE_PROJECT_NAME": "team/signs"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Neptune failed and is left out from here on: The connection to the Neptune server was lost" in done.stdout
    assert float(done.stdout.split()[-1]) < 30
    assert lines(tmp_path) == [{"epoch": 1}]


# -- MLflow --------------------------------------------------------------------------------------


def mlflow_values(client, run_id: str, name: str) -> dict[int, float]:
    history = client.get_metric_history(run_id, name)
    assert len({at.step for at in history}) == len(history), "an epoch is there twice"
    return {at.step: at.value for at in history}


def test_mlflows_file_store_holds_every_epoch_of_a_resumed_run_once(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    from mlflow import MlflowClient

    config = make_config(tiny_dataset, {"train_parameters.epochs": 4, "general_parameters.mlflow": True})
    reports = broken_and_resumed(config, tmp_path / "trials" / "0007")
    client = MlflowClient(f"sqlite:///{tmp_path / 'trials' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("my-study")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "0007" and run.info.status == "FINISHED" and run.data.tags["study"] == "my-study"
    assert run.data.params["train_parameters.lr"] == str(config.train_parameters.lr)
    for name in reports[0]:
        values = mlflow_values(client, run.info.run_id, name)
        assert values == pytest.approx({report["epoch"]: report[name] for report in reports})
    assert [file.path for file in client.list_artifacts(run.info.run_id, "confusion")] == ["confusion/gloss.png"]
    assert not (Path.cwd() / "mlruns").exists()


def test_an_epoch_that_mlflow_did_not_hear_of_is_told_when_the_run_goes_on(tmp_path: Path):
    from mlflow import MlflowClient

    reports = [{"epoch": epoch, "epochs": 3, "val/loss": 1 / epoch} for epoch in (1, 2, 3)]
    run = TrackedRun(tmp_path / "run")
    run.folder.mkdir()
    first = Trackers(run, mlflow=True)
    first.log(reports[0], 1)  # epoch 2 was checkpointed, then the power went
    second = Trackers(TrackedRun(run.folder, id=run.id, history=reports[:2]), mlflow=True)
    second.log(reports[2], 3)
    second.close()
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("run").experiment_id])
    assert mlflow_values(client, found.info.run_id, "val/loss") == pytest.approx({1: 1, 2: 1 / 2, 3: 1 / 3})


def test_a_run_that_was_stopped_says_so_in_mlflow_and_a_store_of_ones_own_can_be_named(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'own.db'}"
    config = make_config(tiny_dataset, {"train_parameters.epochs": 4, "general_parameters.mlflow": uri})
    with pytest.raises(KeyboardInterrupt):
        fit(config, Trial(tmp_path / "trials" / "0001", stop_after=1))
    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("my-study").experiment_id])
    assert run.info.status == "KILLED" and not (tmp_path / "trials" / "mlflow.db").exists()


def _tracked_alone(folder: Path) -> None:
    folder.mkdir(parents=True)
    trackers = Trackers(TrackedRun(folder, study="together"), mlflow=True)
    for epoch in (1, 2, 3):
        trackers.log({"epoch": epoch, "epochs": 3}, epoch)
    trackers.close()


def test_trials_that_begin_at_the_same_time_share_one_store(tmp_path: Path):
    from mlflow import MlflowClient

    context = multiprocessing.get_context("spawn")
    trials = [context.Process(target=_tracked_alone, args=(tmp_path / name,)) for name in ("0000", "0001")]
    for trial in trials:
        trial.start()
    for trial in trials:
        trial.join()
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("together").experiment_id])
    assert {run.info.run_name: run.info.status for run in runs} == {"0000": "FINISHED", "0001": "FINISHED"}
    assert all(len(client.get_metric_history(run.info.run_id, "epoch")) == 3 for run in runs)
