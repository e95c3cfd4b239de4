"""The folder of a run: its config, what weights it started with, metrics, trackers, last/ and best/.

Worker 0 alone writes.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from hearai.config.config import Config, to_dict, to_yaml
from hearai.config.model_parts.code_folder import code_record
from hearai.config.model_parts.part_names import is_own_name
from hearai.data.annotations.load import Data
from hearai.errors import Superseded
from hearai.models.model import SignModel
from hearai.models.pretrained.clip_table import stating
from hearai.threads import SideThread
from hearai.training.outputs.checkpoint import save_checkpoint
from hearai.training.outputs.layout import BEST, CODE_FILE, CONFIG_FILE, LAST, WEIGHTS_FILE
from hearai.training.outputs.tracker import TrackedRun
from hearai.training.outputs.trackers import Trackers
from hearai.training.outputs.trained_clips import trained_clips
from hearai.training.run_state import RunState
from hearai.training.runtime import Runtime
from hearai.training.scores import class_counts
from hearai.training.trainer import Trainer


class RunWriter:
    """Writes the files of a run."""

    def __init__(self, config: Config, data: Data, runtime: Runtime, progress: RunState, model: SignModel):
        """model: with its initial weights; what it took from a file is written into `weights.yaml`."""
        self._config, self._folder = to_dict(config), runtime.folder  # config.yaml may be edited by people
        self._ensure_current_attempt, self._save_seconds = runtime.ensure_current_attempt, runtime.save_seconds
        self._waits_for_saves = runtime.sends_folder or not runtime.save_seconds
        self._saved_epoch, self._saved_at = -1, -math.inf
        """The epoch after which this attempt began to write `last/`, and when."""
        self._saving = SideThread()
        self._facts = {**_dataset_content(data, model), **_code_facts(config)} if runtime.rank == 0 else {}
        self._trackers: Trackers | None = None
        if runtime.rank == 0:
            if not self._folder.exists():
                self._ensure_current_attempt()  # a study that was moved away must not get a second folder
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / CONFIG_FILE).write_text(to_yaml(config), encoding="utf-8")
            if code := self._facts.get("code"):
                (self._folder / CODE_FILE).write_text(json.dumps(code, indent=1, ensure_ascii=False), encoding="utf-8")
            if model.start is not None:
                text = yaml.safe_dump(model.start.to_dict(), sort_keys=False)
                (self._folder / WEIGHTS_FILE).write_text(text, encoding="utf-8")
            run = TrackedRun(self._folder, self._config, runtime.study, progress.run_id, tuple(progress.history))
            general = config.general_parameters
            self._trackers = Trackers(run, neptune=general.neptune, mlflow=general.mlflow)

    def save(self, trainer: Trainer, progress: RunState) -> Path | None:
        """Begins to write `last/`, from which the run can be resumed; its folder (None for the other workers).

        It is written beside training, at most one at a time, and complete before the next epoch is reported and when
        `close` returns. A process that reads `last/` earlier finds the one before it.

        Raises:
            Superseded: the run continues in another process; nothing was written, and nothing will be.
            DiskFull: the one before could not be written.
        """
        self._saving.wait()  # before the check, which shall not be older than the write by more than a moment
        if self._current_trackers() is None:
            return None
        state = trainer.state(progress.newest_weights)
        state |= {"progress": progress.state(), "config": self._config, **self._facts}
        folder = self._folder / LAST
        self._saving.start(lambda: save_checkpoint(folder, state))
        self._saved_epoch, self._saved_at = progress.epoch, time.monotonic()
        return folder

    def save_if_due(self, trainer: Trainer, progress: RunState, *, is_last: bool) -> Path | None:
        """`save` after the first epoch, after the last one, and when enough time has passed since.

        The first one is complete when this returns, so that a run that has reported can be resumed.
        """
        self._saving.wait()
        folder = None if self._current_trackers() is None else self._folder / LAST
        is_first = self._saved_epoch < 0
        if is_last or time.monotonic() - self._saved_at >= self._save_seconds:
            self.save(trainer, progress)
        if is_first or self._waits_for_saves:
            self._saving.wait()
        return folder

    @contextmanager
    def saving_if_ended(self, trainer: Trainer, progress: RunState) -> Iterator[None]:
        """Within a with block between two epochs: an exception that ends the run does so with this epoch in `last/`.

        (Complete when `close` returns.)
        """
        try:
            yield
        except BaseException:
            if self._saved_epoch != progress.epoch:
                self.save(trainer, progress)
            raise

    def log(self, metrics: Mapping[str, float]) -> None:
        """Passes the metrics of an epoch to the trackers."""
        if self._trackers is not None:
            self._trackers.log(metrics, int(metrics["epoch"]))

    def close(self, trainer: Trainer, progress: RunState) -> None:
        """Writes `best/`: all weights and everything needed to use them, which only `last/` has held so far.

        Raises:
            Superseded, DiskFull: as `save`.
        """
        try:
            self._write_results(trainer, progress)
        finally:
            self._saving.close()

    def _write_results(self, trainer: Trainer, progress: RunState) -> None:
        """What only the end of a run writes."""
        trackers = self._current_trackers()
        if trackers is None:
            return
        trackers.log_confusions(progress.best_confusions, progress.epoch)
        trackers.close()
        if progress.best_epoch:
            state = {
                "model": {**trainer.model.state_dict(), **progress.best_weights},
                "config": self._config,
                **self._facts,
                "epoch": progress.best_epoch,
                "metrics": progress.history[progress.best_epoch - 1],
            }
            save_checkpoint(self._folder / BEST, state)

    def _current_trackers(self) -> Trackers | None:
        """The trackers, after a check that this attempt may still write; None for workers that write nothing."""
        if self._trackers is not None:
            try:
                self._ensure_current_attempt()
            except Superseded:
                self._trackers = None
                raise
        return self._trackers


def _code_facts(config: Config) -> dict[str, Any]:
    """Path and hash of the code that parts of the user's own come from."""
    record = code_record() if any(is_own_name(part.name) for part in config.parts) else None
    return {"code": record} if record else {}


def _dataset_content(data: Data, model: SignModel) -> dict[str, Any]:
    """What `best` and `last` hold about the dataset, see `outputs/saved_state.py`."""
    return {
        "num_class": dict(data.num_class),
        "class_names": {head: dict(names) for head, names in data.class_names.items()},
        "train_counts": {head: class_counts(data.split.train, head, size) for head, size in data.num_class.items()},
        **data.fingerprints.as_dict(),
        **stating(trained_clips(data, model.start_clips)),
    }
