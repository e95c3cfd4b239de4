"""The folder of a run: config.yaml, metrics.jsonl, tensorboard/, last/ and best/. Worker 0 alone writes."""

from collections.abc import Mapping
from pathlib import Path

from hearai.config.config import Config, to_dict, to_yaml
from hearai.data.annotations.load import Data
from hearai.errors import Superseded
from hearai.training.outputs.checkpoint import save_checkpoint
from hearai.training.outputs.layout import BEST, LAST
from hearai.training.outputs.tracker import TrackedRun
from hearai.training.outputs.trackers import Trackers
from hearai.training.run_state import RunState
from hearai.training.runtime import Runtime
from hearai.training.scores import class_counts
from hearai.training.trainer import Trainer


class RunWriter:
    """Writes what a run leaves behind."""

    def __init__(self, config: Config, data: Data, runtime: Runtime, progress: RunState):
        self._config, self._folder, self._check_in = config, runtime.folder, runtime.ensure_current_attempt
        self._facts = facts_of(data) if runtime.rank == 0 else {}
        self._trackers: Trackers | None = None
        if runtime.rank == 0:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
            run = TrackedRun(self._folder, to_dict(config), runtime.study, progress.run_id, tuple(progress.history))
            general = config.general_parameters
            self._trackers = Trackers(run, neptune=general.neptune, mlflow=general.mlflow)

    def save(self, trainer: Trainer, progress: RunState) -> Path | None:
        """Writes `last/`, from where the run can go on; its folder (None for the other workers).

        Raises:
            Superseded: the run goes on in another process; nothing was written, and nothing will be.
        """
        if not self._writes():
            return None
        return save_checkpoint(self._folder / LAST, {**trainer.state(), "progress": progress.state()})

    def log(self, metrics: Mapping[str, float]) -> None:
        """Hands the report of an epoch to the trackers."""
        if self._trackers is not None:
            self._trackers.log(metrics, int(metrics["epoch"]))

    def close(self, trainer: Trainer, progress: RunState) -> None:
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
                "model": {**trainer.model.state_dict(), **progress.best_weights},
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


def facts_of(data: Data) -> dict:
    """What a `best` folder says of the dataset, in plain types; `load_trained` reads it."""
    return {
        "num_class": dict(data.num_class),
        "class_names": {head: dict(names) for head, names in data.class_names.items()},
        "train_counts": {head: class_counts(data.split.train, head, size) for head, size in data.num_class.items()},
        **data.prints.known(),
    }
