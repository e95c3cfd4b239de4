"""Studies on disk: parameters, trials and the winner's model."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearai.api.arguments import one_path
from hearai.api.model import Model, load_model
from hearai.config.config import Config
from hearai.errors import ConfigError

if TYPE_CHECKING:
    import pandas

    from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord


@dataclass(frozen=True)
class SavedStudy:
    """A study on disk. It is read once: call `load_study` again to see what a running search has added."""

    folder: Path

    @cached_property
    def record(self) -> "StudyRecord":
        """Everything that the report knows of it."""
        from hearai.reporting.study_report.study_record import read_record  # Optuna

        return read_record(self.folder)

    @property
    def finished(self) -> bool:
        """Whether the winner was chosen and the test clips were scored."""
        return self.record.finished

    @property
    def best_params(self) -> dict[str, Any]:
        """{dotted path, or name of a tied choice: value} of the winner; before it is chosen, of the best trial so far.

        Raises:
            ConfigError: no trial is complete.
        """
        return dict(self._best.params)

    @property
    def best_config(self) -> Config:
        """The complete config of that trial.

        Raises:
            ConfigError: no trial is complete.
        """
        return self.record.study.config_of(self._best.params)

    @property
    def _best(self) -> "TrialRecord":
        if self.record.winner is None:
            raise ConfigError(f"{self.folder}: no trial is complete; wait, or run the search again to continue it")
        return self.record.winner

    def trials(self) -> "pandas.DataFrame | list[dict[str, Any]]":
        """One row per trial: number, kind, state, objective, epochs, best_epoch, seconds, diverged, failure; costs;
        the parameters by their dotted paths (None = not a parameter of this trial); macro-F1 of each head at the best
        epoch, `val/HEAD/macro_f1`. All scores are of validation clips, in [0, 1].

        A DataFrame where pandas is installed, else a list of dicts.
        """
        rows = self._rows()
        try:
            import pandas
        except ImportError:
            return rows
        return pandas.DataFrame(rows)

    def _rows(self) -> list[dict[str, Any]]:
        trials, study = self.record.trials, self.record.study
        heads = dict.fromkeys(head for trial in trials for head in trial.head_scores)
        return [
            {
                **{key: getattr(trial, key) for key in ("number", "kind", "state")},
                "objective": trial.value,
                **{key: getattr(trial, key) for key in ("epochs", "best_epoch", "seconds", "diverged", "failure")},
                **{metric: trial.costs.get(metric) for metric in study.settings.metric[1:]},
                **{path: trial.params.get(path) for path in study.space.domains},
                **{f"val/{head}/macro_f1": trial.head_scores.get(head) for head in heads},
            }
            for trial in trials
        ]

    def curves(self) -> dict[int, dict[int, float]]:
        """{trial: {epoch: the objective in this epoch}}, on validation clips."""
        return {trial.number: dict(trial.curve) for trial in self.record.trials}

    def best_model(self, *, gpu: int = 0, code: str | Path | None = None) -> Model:
        """The winner's model, in the study's `best` folder; arguments: as of `load_model`.

        Raises:
            ConfigError: the search is not finished.
        """
        return load_model(self.folder, gpu=gpu, code=code)


def load_study(folder: str | Path) -> SavedStudy:
    """The study in a folder such as runs/hamnosys, finished or not; nothing is changed in it.

    Raises:
        UserError: it is not a study folder, or one of its files is broken.
    """
    study = SavedStudy(one_path("load_study: folder", folder))
    _ = study.record
    return study
