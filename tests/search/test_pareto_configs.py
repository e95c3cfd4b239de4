"""The Pareto front of a search, and the configs of its trials."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import Trial, TrialState

from hearai.config.config import load_config
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.search.pareto_configs import pareto_trials, write_pareto_configs
from hearai.search.storage.trial_store import TrialStore
from hearai.training.outputs.layout import BACKBONE_FILE
from tests.helpers.suggestions import run_trial, suggest_x_and_y

LR = "train_parameters.lr"


def suggest_lr(trial: Trial) -> dict:
    return {LR: trial.suggest_float(LR, 1e-4, 0.1)}


def test_configs_of_the_front_can_be_run(
    make_study: Callable[..., Study], open_store: Callable, tmp_path: Path
) -> None:
    metrics = ("objective", "seconds_per_clip")
    study = make_study({"metric": list(metrics)})
    folder = tmp_path / "study"
    (folder / "pareto").mkdir(parents=True)
    (folder / "pareto" / "0009.yaml").write_text("of an earlier front")
    (folder / BACKBONE_FILE).write_bytes(b"weights")
    checkpoint = {"feature_extractor.checkpoint": str(folder / BACKBONE_FILE)}
    study = Study(study.name, study.space_name, study.settings, override(study.base, checkpoint), study.space)
    with open_store(folder, metrics=metrics) as store:
        for score, seconds in ((0.5, 0.01), (0.9, 0.09), (0.4, 0.02)):
            run_trial(store, TrialState.COMPLETE, score, seconds, suggest=suggest_lr)
        run_trial(store, TrialState.PRUNED, 0.99, suggest=suggest_lr)
        assert pareto_trials(store) == [1, 0]
        write_pareto_configs(study, store, folder)
        drawn = {number: store[number].params[LR] for number in (0, 1)}
    assert sorted(path.name for path in (folder / "pareto").iterdir()) == ["0000.yaml", "0001.yaml"]
    for number, value in drawn.items():
        config = load_config(folder / "pareto" / f"{number:04d}.yaml")
        assert config.train_parameters.lr == value and config.general_parameters.seed == study.settings.seed
        assert Path(config.feature_extractor.checkpoint).resolve() == (folder / BACKBONE_FILE).resolve()


@pytest.mark.parametrize(("hidden", "front"), [([], [1, 0]), ([1], [2, 0]), ([0, 1, 2], [0])])
def test_open_stopped_and_hidden_trials_are_not_on_the_front(
    open_store: Callable, tmp_path: Path, hidden: list[int], front: list[int]
) -> None:
    """Trial 0, the base config's, always counts."""
    metrics = ("objective", "seconds_per_clip")
    with open_store(tmp_path, metrics=metrics, is_hidden=lambda trial: trial.number in hidden) as store:
        for score, seconds in ((0.5, 0.01), (0.9, 0.02), (0.8, 0.03)):
            run_trial(store, TrialState.COMPLETE, score, seconds)
        run_trial(store, TrialState.PRUNED, 0.99)
        run_trial(store, TrialState.FAIL, 0.99)
        paused = store.propose(suggest_x_and_y).number
        store.observe(paused, 1, 0.99)
        store.pause(paused, 1)
        store.observe(store.propose(suggest_x_and_y).number, 1, 0.99)
        assert pareto_trials(store) == front


def test_with_one_metric_there_is_no_front(store: TrialStore) -> None:
    run_trial(store, TrialState.COMPLETE, 0.5)
    assert pareto_trials(store) == []
