"""Neptune and MLflow record every epoch once, and cannot fail a run."""

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.config import Config
from hearai.training.fit import fit
from hearai.training.outputs.tracker import TrackedRun
from hearai.training.outputs.trackers import Trackers
from tests.helpers.tracked_runs import TrialRuntime, fit_interrupted, metric_lines

pytestmark = pytest.mark.training


@pytest.fixture(autouse=True)
def no_neptune_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEPTUNE_API_TOKEN", "NEPTUNE_PROJECT_NAME", "NEPTUNE_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def test_an_absent_mlflow_server_delays_a_run_by_seconds(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        trackers = Trackers(TrackedRun(tmp_path), mlflow="http://127.0.0.1:9")
        trackers.log({"epoch": 1, "epochs": 2}, 1)
        trackers.close()
    assert "MLflow failed and is disabled" in caplog.text and time.monotonic() - started < 20
    assert len(metric_lines(tmp_path)) == 1


def neptune_operations(folder: Path) -> list:
    """The operations that Neptune's reader finds in one offline run."""
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


def test_neptune_without_a_token_records_each_epoch_on_disk(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    from neptune.internal.operation import AddStrings, AssignFloat, AssignString, LogFloats

    config = make_config(tiny_dataset, {"train_parameters.epochs": 4, "general_parameters.neptune": True})
    reports = fit_interrupted(config, tmp_path / "0007")
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


def test_all_attempts_have_one_neptune_id_and_project(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The server joins attempts by the id; another run has another one."""
    import neptune

    given: list[dict] = []
    real = neptune.init_run
    monkeypatch.setattr(neptune, "init_run", lambda **values: given.append(values) or real(**values))
    monkeypatch.setenv("NEPTUNE_PROJECT_NAME", "team/signs")
    config = make_config(tiny_dataset, {"train_parameters.epochs": 4, "general_parameters.neptune": True})
    fit_interrupted(config, tmp_path / "a")
    fit(config, TrialRuntime(tmp_path / "b"))
    ids = [values["custom_run_id"] for values in given]
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) <= 36, "Neptune drops longer ones"
    assert {values["project"] for values in given} == {"team/signs"}


def test_an_absent_neptune_server_delays_a_run_by_seconds(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """In a subprocess: Neptune reads its timeouts once."""
    script = (
        "import base64, json, logging, os, sys, time; from pathlib import Path\n"
        "logging.basicConfig(level=logging.WARNING, stream=sys.stdout)\n"
        "address = 'http://127.0.0.1:9'; token = json.dumps({'api_address': address, 'api_url': address})\n"
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
    assert "Neptune failed and is disabled: The connection to the Neptune server was lost" in done.stdout
    assert float(done.stdout.split()[-1]) < 30
    assert metric_lines(tmp_path) == [{"epoch": 1}]


def mlflow_values(client, run_id: str, name: str) -> dict[int, float]:
    history = client.get_metric_history(run_id, name)
    assert len({at.step for at in history}) == len(history), "an epoch is recorded twice"
    return {at.step: at.value for at in history}


def test_mlflow_holds_each_epoch_of_a_resumed_run_once(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    from mlflow import MlflowClient

    config = make_config(tiny_dataset, {"train_parameters.epochs": 4, "general_parameters.mlflow": True})
    reports = fit_interrupted(config, tmp_path / "trials" / "0007")
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


def test_epochs_missing_in_mlflow_are_added_on_resuming(tmp_path: Path):
    from mlflow import MlflowClient

    reports = [{"epoch": epoch, "epochs": 3, "val/loss": 1 / epoch} for epoch in (1, 2, 3)]
    run = TrackedRun(tmp_path / "run")
    run.folder.mkdir()
    first = Trackers(run, mlflow=True)
    first.log(reports[0], 1)  # epoch 2 was saved, but not logged
    second = Trackers(TrackedRun(run.folder, id=run.id, history=reports[:2]), mlflow=True)
    second.log(reports[2], 3)
    second.close()
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("run").experiment_id])
    assert mlflow_values(client, found.info.run_id, "val/loss") == pytest.approx({1: 1, 2: 1 / 2, 3: 1 / 3})


def test_a_stopped_run_is_killed_in_a_given_mlflow_store(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'own.db'}"
    config = make_config(tiny_dataset, {"train_parameters.epochs": 4, "general_parameters.mlflow": uri})
    with pytest.raises(KeyboardInterrupt):
        fit(config, TrialRuntime(tmp_path / "trials" / "0001", stop_after=1))
    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("my-study").experiment_id])
    assert run.info.status == "KILLED" and not (tmp_path / "trials" / "mlflow.db").exists()


def _track_run(folder: Path) -> None:
    folder.mkdir(parents=True)
    trackers = Trackers(TrackedRun(folder, study="together"), mlflow=True)
    for epoch in (1, 2, 3):
        trackers.log({"epoch": epoch, "epochs": 3}, epoch)
    trackers.close()


@pytest.mark.slow
def test_trials_that_start_together_share_one_mlflow_store(tmp_path: Path):
    from mlflow import MlflowClient

    context = multiprocessing.get_context("spawn")
    trials = [context.Process(target=_track_run, args=(tmp_path / name,)) for name in ("0000", "0001")]
    for trial in trials:
        trial.start()
    for trial in trials:
        trial.join()
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("together").experiment_id])
    assert {run.info.run_name: run.info.status for run in runs} == {"0000": "FINISHED", "0001": "FINISHED"}
    assert all(len(client.get_metric_history(run.info.run_id, "epoch")) == 3 for run in runs)
