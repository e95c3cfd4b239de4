"""The Python API: configs, runs, searches, studies and trained models. `import hearai` has all of it; see docs/api.md.

Every function raises `hearai.errors.UserError` for input that the user must fix: `problems` lists all of them, each
with where it is, what was found, what is allowed and what to do. The scripts print these and exit with code 2.
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hearai.config.config import Config, build_config, load_config
from hearai.config.model_parts.code_folder import use_code
from hearai.config.overrides import override
from hearai.config.study import Request
from hearai.config.study import load_study as build_study
from hearai.errors import ConfigError
from hearai.files import require_writable_folder
from hearai.training.outputs.layout import BEST

if TYPE_CHECKING:
    import numpy as np
    import pandas

    from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord
    from hearai.training.fit import FitResult
    from hearai.training.inference.trained_model import TrainedModel

__all__ = ["Model", "SavedStudy", "fit", "load_config", "load_model", "load_study", "search"]

log = logging.getLogger(__name__)
DataPaths = str | Path | Sequence[str | Path] | None
"""Dataset folders; None = those of the config, or the demo data."""


def fit(
    config: Config | Mapping[str, Any] | str | Path,
    folder: str | Path,
    *,
    data: DataPaths = None,
    values: Mapping[str, Any] | None = None,
    resume: bool = False,
    code: str | Path | None = None,
) -> "FitResult":
    """Trains one config in this process, as `train.py` does.

    Args:
        config: a config, its sections as a mapping, or its YAML file.
        folder: of the run: config.yaml, metrics.jsonl, checkpoints.
        data: dataset folders, in place of the config's.
        values: {dotted path: value}, over the config.
        resume: continue the run that the folder holds, after its last saved epoch.
        code: folder with parts of your own, which the config names as `module:Class`.

    Returns:
        The best validation score in [0, 1], its epoch, and its metrics.

    Raises:
        UserError: invalid config or data, or the folder holds a run and `resume` is False; nothing was trained.
    """
    use_code(code)
    if isinstance(config, str | Path):
        config = load_config(config)
    elif not isinstance(config, Config):
        config = build_config(config)
    own: dict[str, Any] = {"general_parameters.path_to_save": str(folder)}
    own |= {"general_parameters.data_path": paths} if (paths := _paths(data)) else {}
    config = override(config, {**own, **(values or {})})
    if config.train_parameters.pre_training:
        raise ConfigError("train_parameters.pre_training: true writes a backbone and no run; use experiments/train.py")
    require_writable_folder(Path(folder), "folder")
    from hearai.training.inference.measure_reliability import add_reliability  # torch: once the options are checked
    from hearai.training.runtime import choose_device
    from hearai.training.setup.single_run import prepare_run, run_single

    config, _ = prepare_run(config, Path(folder), resume=resume)
    result = run_single(config, Path(folder), resume=resume)
    add_reliability(Path(folder) / BEST, choose_device(config.general_parameters.gpu))
    return result


def search(
    space: str | Path | Mapping[str, Any],
    *,
    data: DataPaths = None,
    trials: int | None = None,
    name: str | None = None,
    storage: str | Path = "runs",
    config: str | Path | None = None,
    values: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    address: str | None = None,
    max_concurrent: int | None = None,
    code: str | Path | None = None,
) -> "SavedStudy":
    """Runs a search, as `tune.py` does; called again with the same arguments, it continues or returns at once.

    Progress goes to the log (`logging`, logger `hearai.api`, level INFO).

    Args:
        space: name of a shipped space, a YAML file, or the content of one: a mapping with the key `space`.
        data: dataset folders; None = the demo data, unless the space or the config names some.
        trials: number of trials, with the base config.
        name: of the study; by default that of the space. A mapping needs one.
        storage: folder of the studies.
        config: YAML file merged into the base config.
        values: {dotted path into the config: value}, as `--set`.
        settings: {section of the study: {key: value}}, such as {"objective": {"metric": "top1"}}.
        address: of a Ray cluster; None = this machine.
        max_concurrent: most trials that run at once.
        code: folder with parts of your own, as in `fit`.

    Raises:
        UserError: invalid input, of which nothing was written; or the search cannot continue.
    """
    use_code(code)
    merged = _checked_settings(settings or {})
    if trials is not None:
        merged["budget"] = {**(merged.get("budget") or {}), "trials": trials}
    if max_concurrent is not None:
        _check_positive("search: max_concurrent", max_concurrent)
    with tempfile.TemporaryDirectory(prefix="hearai-") as temporary:
        if isinstance(space, Mapping):
            if name is None:
                raise ConfigError("search: a space given as a mapping has no name; give name=, that of the study")
            space = _write_space(Path(temporary) / "space.yaml", space)
        paths = tuple(_paths(data))
        study = build_study(Request(str(space), name, str(config) if config else None, paths, values, merged))
    require_writable_folder(Path(storage) / study.name, "storage")
    from hearai.reporting.live.page_writer import page_is_written  # Ray, torch: only once the options are checked
    from hearai.reporting.study_report.page import write_results
    from hearai.search.run import Options, run_study

    options = Options(Path(storage), address, max_concurrent=max_concurrent)
    with page_is_written(options.storage / study.name):
        outcome = run_study(study, options, log.info)
    log.info("%s", write_results(outcome.folder))
    return SavedStudy(outcome.folder)


def load_study(folder: str | Path) -> "SavedStudy":
    """The study in a folder such as runs/hamnosys, finished or not; nothing is changed in it.

    Raises:
        UserError: it is not a study folder, or one of its files is broken.
    """
    study = SavedStudy(Path(folder))
    _ = study.record
    return study


def load_model(folder: str | Path, *, gpu: int = 0, code: str | Path | None = None) -> "Model":
    """The trained model of a run, of its `best` folder, or of a study.

    Args:
        gpu: which GPU; -1 = CPU. Without a GPU it is the CPU.
        code: folder with parts of your own, as in `fit`.

    Raises:
        UserError: there is no model, or an unreadable one.
    """
    use_code(code)
    from hearai.training.inference.trained_model import find_best, load_trained  # torch
    from hearai.training.runtime import choose_device

    return Model(load_trained(find_best(folder), choose_device(gpu)))


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

    def best_model(self, *, gpu: int = 0) -> "Model":
        """The winner's model, in the study's `best` folder; gpu: as in `load_model`.

        Raises:
            ConfigError: the search is not finished.
        """
        return load_model(self.folder, gpu=gpu)


@dataclass(frozen=True)
class Model:
    """A trained model, on its device."""

    trained: "TrainedModel"

    @property
    def config(self) -> Config:
        """Of the run that trained it."""
        return self.trained.config

    @property
    def class_names(self) -> dict[str, dict[int, str]]:
        """{head: {class: name}}, as far as lists name them."""
        return {head: dict(names) for head, names in self.trained.class_names.items()}

    def predict(
        self,
        clips: str | Path | Sequence[str | Path],
        *,
        top: int = 3,
        dictionary: str | Path | None = None,
        **reading: Any,
    ) -> list[dict[str, Any]]:
        """The likeliest classes of clips: frame folders (NAME/NAME_0.jpg ...) and video files.

        Args:
            top: classes listed per head, and clips of the dictionary.
            dictionary: a dataset folder, whose most similar clips are listed, too; their signs need not be classes.
            reading: as in `clips_of_paths`: frame_pattern, keep_damaged, landmark_models.

        Returns:
            [{"clip", "heads": {head: [{"class", "name", "symbol", "confidence"}, ...]}, "uncertain": [head, ...],
            "unlike_training": {"distance", "limit", "unlike"}}, ...], as `predict.py --json`; with a dictionary also
            "dictionary": [{"clip", "word", "distance"}, ...]. See `prediction_rows`.

        Raises:
            UserError: every path that is not a usable clip, and why; or a dictionary that cannot be read.
        """
        from hearai.reporting.prediction import predict_rows

        _check_positive("predict: top", top)
        paths, words = [Path(path) for path in _paths(clips)], Path(dictionary) if dictionary is not None else None
        return [] if not paths else predict_rows(self.trained, paths, top=top, dictionary=words, **reading)

    def probabilities(self, clips: str | Path | Sequence[str | Path], **reading: Any) -> "dict[str, np.ndarray]":
        """{head: calibrated (N, K) float32} of N clips, K classes; arguments and errors as of `predict`."""
        import numpy as np

        from hearai.training.inference.predict import predict_paths

        paths = [Path(path) for path in _paths(clips)]
        if not paths:
            return {head: np.zeros((0, size), np.float32) for head, size in self.trained.num_class.items()}
        found = predict_paths(self.trained, paths, **reading)
        return {head: p_NK.numpy() for head, p_NK in found.items()}


def _check_positive(name: str, value: Any) -> None:
    if not (isinstance(value, int) and value > 0):
        raise ConfigError(f"{name}: got {value!r}; must be an integer of at least 1")


def _checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Raises ConfigError if they, or the space in them, are no mapping; the rest is checked with the study."""
    if not isinstance(settings, Mapping):
        raise ConfigError(f"search: settings: got {settings!r:.150}; must be a mapping, or None")
    space = settings.get("space")
    if not isinstance(space, Mapping | None):
        raise ConfigError(f"search: settings: space: got {space!r:.150}; must be a mapping, or None")
    return dict(settings)


def _write_space(path: Path, space: Mapping[str, Any]) -> Path:
    try:
        path.write_text(yaml.safe_dump(dict(space), sort_keys=False), encoding="utf-8")
    except yaml.representer.RepresenterError as error:
        found = " ".join(str(part) for part in error.args)
        raise ConfigError(f"search: space: {found:.150}; give plain values: numbers, texts, lists and dicts") from None
    return path


def _paths(paths: DataPaths) -> list[str]:
    if paths is None:
        return []
    return [str(paths)] if isinstance(paths, str | Path) else [str(path) for path in paths]
