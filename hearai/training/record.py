"""The folder of a run: config.yaml, metrics.jsonl, tensorboard/, last/ and best/. Worker 0 alone writes."""

from collections.abc import Mapping
from pathlib import Path

from hearai.config import Config, to_dict, to_yaml
from hearai.data.folders import Data
from hearai.training.checkpoint import BEST, LAST, save_checkpoint
from hearai.training.learner import Learner
from hearai.training.leaving import Superseded
from hearai.training.progress import Progress
from hearai.training.runtime import Runtime
from hearai.training.tracked import TrackedRun
from hearai.training.trackers import Trackers
from hearai.training.trained import facts_of


class Record:
    """Writes what a run leaves behind."""

    def __init__(self, config: Config, data: Data, runtime: Runtime, progress: Progress):
        self._config, self._folder, self._check_in = config, runtime.folder, runtime.check_in
        self._facts = facts_of(data) if runtime.rank == 0 else {}
        self._trackers: Trackers | None = None
        if runtime.rank == 0:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
            run = TrackedRun(self._folder, to_dict(config), runtime.study, progress.run_id, tuple(progress.history))
            general = config.general_parameters
            self._trackers = Trackers(run, neptune=general.neptune, mlflow=general.mlflow)

    def save(self, learner: Learner, progress: Progress) -> Path | None:
        """Writes `last/`, from where the run can go on; its folder (None for the other workers).

        Raises:
            Superseded: the run goes on in another process; nothing was written, and nothing will be.
        """
        if not self._writes():
            return None
        return save_checkpoint(self._folder / LAST, {**learner.state(), "progress": progress.state()})

    def log(self, metrics: Mapping[str, float]) -> None:
        """Hands the report of an epoch to the trackers."""
        if self._trackers is not None:
            self._trackers.log(metrics, int(metrics["epoch"]))

    def close(self, learner: Learner, progress: Progress) -> None:
        """Writes `best/`: all weights and all that is needed to use them; `last/` alone has it until now.

        Raises:
            Superseded: as `save`.
        """
        if not self._writes():
            return
        self._trackers.show(progress.best_confusions, progress.epoch)
        self._trackers.close()
        if progress.best_epoch:
            state = {
                "model": {**learner.model.state_dict(), **progress.best_weights},
                "config": to_dict(self._config),
                **self._facts,
                "epoch": progress.best_epoch,
                "metrics": progress.history[progress.best_epoch - 1],
            }
            save_checkpoint(self._folder / BEST, state)

    def _writes(self) -> bool:
        if self._trackers is None:
            return False
        try:
            self._check_in()
        except Superseded:
            self._trackers = None
            raise
        return True
