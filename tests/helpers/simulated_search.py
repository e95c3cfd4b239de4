"""Records of simulated searches: real spaces and samplers, scores by a formula."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial

from hearai.config.search_space.domains import Value
from hearai.config.study import Request, Study, load_study
from hearai.config.study_schema import Sampler
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord
from hearai.search.sampling.samplers import build_sampler, suggest_params

Score = Callable[[Mapping[str, Value]], float]
CONFIG = {"train_parameters": {"classification_mode": "gloss", "epochs": 9}}


def study_of(space: Mapping[str, Any], folder: Path, config: Mapping[str, Any] | None = None) -> Study:
    """A study with this space."""
    (folder / "made.yaml").write_text(yaml.safe_dump({"config": config or CONFIG, "space": dict(space)}))
    return load_study(Request(str(folder / "made.yaml"), data_paths=("nowhere",)))


def simulate_search(
    study: Study, score: Score, trials: int, *, stopped: float = 0.0, sampler: str = "random", seed: int = 0
):
    """The record of a search in which the worst share `stopped` of the trials was pruned after the first epoch.

    sampler: "random", or "tpe", which learns from the score of every trial.
    """
    proposer = build_sampler(Sampler(name=sampler, startup_trials=10), seed)
    found = optuna.create_study(direction="maximize", sampler=proposer)
    for _ in range(trials):
        trial = found.ask()
        found.tell(trial, score(suggest_params(trial, study)))
    ended = found.get_trials(deepcopy=False)
    threshold = sorted(trial.value for trial in ended)[int(stopped * trials)]
    return record_of(study, [trial_of(trial, trial.value < threshold) for trial in ended])


def record_of(study: Study, trials: list[TrialRecord]) -> StudyRecord:
    """A record with only these trials."""
    return StudyRecord(Path("runs/made"), study, {}, trials, [], {}, None)


def trial_of(trial: FrozenTrial, stopped: bool) -> TrialRecord:
    """A trial as reports read it; a pruned one has a tenth of its score, as after one epoch."""
    return TrialRecord(
        number=trial.number,
        kind="search",
        state="PRUNED" if stopped else "COMPLETE",
        params=trial.params,
        value=trial.value / 10 if stopped else trial.value,
        epochs=1 if stopped else 9,
        best_epoch=1 if stopped else 9,
        seconds=1.0,
        diverged=False,
        curve={1: trial.value / 10} if stopped else {1: trial.value / 10, 9: trial.value},
        head_scores={},
        failure="",
        distributions=trial.distributions,
    )


def noise(seed: int) -> Score:
    """Random scores that do not depend on the parameters."""
    rng = random.Random(seed)
    return lambda params: rng.random()
