"""Trackers that are external services, each imported only when used: Neptune and MLflow."""

import logging
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from PIL import Image

from hearai.config.overrides import leaves
from hearai.threads import file_lock
from hearai.training.outputs.layout import MLFLOW_STORE, NEPTUNE
from hearai.training.outputs.tracker import TrackedRun, environment

HTTP_TIMEOUT_S = "5"
"""Approximate time in seconds for which an unresponsive service may delay a run, per request."""

PARAMS_PER_REQUEST = 100
"""MLflow's limit."""


class Neptune:
    """neptune.ai, project NEPTUNE_PROJECT_NAME: online where NEPTUNE_API_TOKEN is set, else files in `neptune/`.

    Trials are tagged with the name of their study. All attempts at a run are one run on the server. Offline, each
    attempt leaves a folder with the epochs since the previous one; all have the same `run_id`, and `neptune sync`
    uploads them.
    """

    def __init__(self, run: TrackedRun):
        folder = str(run.folder / NEPTUNE)
        with environment(NEPTUNE_DATA_DIRECTORY=folder, NEPTUNE_RETRIES_TIMEOUT=HTTP_TIMEOUT_S):
            import neptune  # 1 to 3 s; an optional package, whose cloud service has closed
            from neptune.utils import stringify_unsupported

            self._run = neptune.init_run(
                project=os.environ.get("NEPTUNE_PROJECT_NAME"),
                mode="async" if os.environ.get("NEPTUNE_API_TOKEN") else "offline",
                custom_run_id=run.id,
                name=run.folder.name,
                tags=[run.study] if run.study else [],
                capture_stdout=False,
                capture_stderr=False,
                capture_traceback=False,
                capture_hardware_metrics=False,
                git_ref=False,
                source_files=[],
            )
        self._run["run_id"] = run.id
        self._run["config"] = stringify_unsupported(dict(run.config))

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        for name, value in metrics.items():
            self._run[name].append(value, step=epoch)

    def log_images(self, images: Mapping[str, Image.Image], epoch: int) -> None:
        from neptune.types import File

        for name, image in images.items():
            self._run[name].upload(File.as_image(image))

    def close(self) -> None:
        self._run.stop(seconds=60)


class MLflow:
    """MLflow: an experiment per study (or per run outside a study), a run per trial.

    Args:
        uri: of the store; None = `mlflow.db` (SQLite) beside the run's folder.
    """

    def __init__(self, run: TrackedRun, uri: str | None = None):
        parent = run.folder.absolute().parent
        uri = uri or f"sqlite:///{parent / MLFLOW_STORE}"
        is_file = uri.startswith("sqlite:")
        with _short_timeouts():
            from mlflow import MlflowClient  # 1.2 s; an optional package

            logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # logs each table that it creates
            with file_lock(parent / ".mlflow.lock") if is_file else nullcontext():  # trials start at the same time
                self._client = MlflowClient(uri)
                artifacts = (parent / "mlflow-artifacts").as_uri() if is_file else None
                experiment = self._experiment(run.study or run.folder.name, artifacts)
            self._run, done = self._find_or_create(experiment, run)
            self._complete = False
            for epoch, metrics in enumerate(run.history, 1):
                if epoch > done:
                    self.log(metrics, epoch)

    def _experiment(self, name: str, artifacts: str | None) -> str:
        known = self._client.get_experiment_by_name(name)
        return known.experiment_id if known else self._client.create_experiment(name, artifact_location=artifacts)

    def _find_or_create(self, experiment: str, run: TrackedRun) -> tuple[str, int]:
        """The run of an earlier attempt and its number of epochs, or a new one with the config as its parameters."""
        from mlflow.entities import Param

        if known := self._client.search_runs([experiment], f"tags.`hearai.run` = '{run.id}'"):
            run_id = known[0].info.run_id
            self._client.update_run(run_id, status="RUNNING")
            return run_id, max((at.step for at in self._client.get_metric_history(run_id, "epoch")), default=0)
        tags = {"hearai.run": run.id, "hearai.folder": str(run.folder.absolute())}
        tags |= {"study": run.study} if run.study else {}
        new = self._client.create_run(experiment, run_name=run.folder.name, tags=tags).info.run_id
        params = [Param(path, str(value)) for path, value in leaves(run.config)]
        for first in range(0, len(params), PARAMS_PER_REQUEST):
            self._client.log_batch(new, params=params[first : first + PARAMS_PER_REQUEST])
        return new, 0

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with _short_timeouts():
            self._client.log_batch(self._run, [Metric(name, value, now, epoch) for name, value in metrics.items()])
        self._complete = metrics["epoch"] == metrics["epochs"]

    def log_images(self, images: Mapping[str, Image.Image], epoch: int) -> None:
        with _short_timeouts():
            for name, image in images.items():
                self._client.log_image(self._run, image, f"{name}.png")

    def close(self) -> None:
        with _short_timeouts():
            self._client.set_terminated(self._run, "FINISHED" if self._complete else "KILLED")


def _short_timeouts() -> AbstractContextManager:
    """By default MLflow retries an unreachable server for minutes."""
    return environment(
        MLFLOW_HTTP_REQUEST_TIMEOUT=HTTP_TIMEOUT_S, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1", MLFLOW_DISABLE_TELEMETRY="true"
    )
