"""Importance: parameters that matter are found, and none is reported where none matters."""

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution

from hearai.config.search_space.domains import Value
from hearai.config.study import Study
from hearai.reporting.study_report.findings.importance import importance_of
from tests.helpers.simulated_search import noise, simulate_search, study_of

LR, DROPOUT = "train_parameters.lr", "transformer.dropout_rate"
BLUR, LIMIT = "augmentations_parameters.apply_blur", "augmentations_parameters.blur_limit"
SPACE = {
    LR: {"float": [1.0e-4, 1.0e-2], "log": True},
    DROPOUT: {"float": [0.0, 0.5]},
    "train_parameters.batch_size": {"choice": [16, 32, 64]},
    "transformer.num_encoder_layers": {"int": [1, 4]},
    BLUR: {"choice": [True, False]},
    LIMIT: {"int": [1, 9], "when": {BLUR: True}},
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return study_of(SPACE, tmp_path)


def by_lr(params: Mapping[str, Value]) -> float:
    return math.log(params[LR])


@pytest.mark.heavy
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_decisive_parameter_comes_first_for_each_sampler(study: Study, sampler: str) -> None:
    found = importance_of(simulate_search(study, by_lr, 60, sampler=sampler).trials)
    assert next(iter(found.shares)) == LR and found.shares[LR] > 0.5 and not found.note
    assert sum(found.shares.values()) == pytest.approx(1.0, abs=1e-3)
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)


@pytest.mark.heavy
def test_importance_is_deterministic(study: Study) -> None:
    trials = simulate_search(study, by_lr, 60).trials
    assert list(importance_of(trials).shares.items()) == list(importance_of(trials).shares.items())


@pytest.mark.heavy
def test_a_parameter_that_gets_trials_stopped_is_important(study: Study) -> None:
    rng = random.Random(0)

    def learns_or_not(params: Mapping[str, Value]) -> float:
        return rng.random() + (1 if params[LR] > 3e-3 else 0)

    trials = simulate_search(study, learns_or_not, 120, stopped=0.75).trials
    survivors = [trial for trial in trials if trial.state == "COMPLETE"]
    assert all(trial.params[LR] > 3e-3 for trial in survivors)
    assert next(iter(importance_of(trials).shares)) == LR


@pytest.mark.heavy
def test_scores_of_stopped_trials_are_not_used(study: Study) -> None:
    trials = simulate_search(study, by_lr, 60, stopped=0.5).trials
    lucky = [replace(trial, value=99.0) if trial.state == "PRUNED" else trial for trial in trials]
    assert importance_of(lucky) == importance_of(trials)


@pytest.mark.heavy
def test_conditional_parameters_are_judged_by_trials_having_them(study: Study) -> None:
    found = importance_of(simulate_search(study, lambda params: params.get(LIMIT, 5), 120).trials)
    assert next(iter(found.shares)) == LIMIT


@pytest.mark.heavy
def test_a_tied_choice_is_judged_by_its_labels(study: Study) -> None:
    labels = CategoricalDistribution(("small", "large"))
    trials = [
        replace(
            trial,
            value=trial.value + trial.number % 2,
            params={**trial.params, "size": labels.choices[trial.number % 2]},
            distributions={**trial.distributions, "size": labels},
        )
        for trial in simulate_search(study, noise(1), 60).trials
    ]
    assert next(iter(importance_of(trials).shares)) == "size"


def test_too_few_complete_trials_give_a_note(study: Study) -> None:
    trials = simulate_search(study, by_lr, 30, stopped=0.7).trials
    found = importance_of(trials)
    assert found.shares == {} and found.note == "too few complete trials (9; 10 are needed)"
    assert importance_of([]).note == "too few complete trials (0; 10 are needed)"


@pytest.mark.heavy
def test_irrelevant_parameters_are_rarely_important(study: Study) -> None:
    found = [importance_of(simulate_search(study, noise(seed), 40, seed=seed).trials) for seed in range(20)]
    claims = [one for one in found if one.shares]
    assert len(claims) <= 3  # 5 % of 20 by chance
    assert any("no parameter stands out from chance" in one.note for one in found)


@pytest.mark.heavy
def test_a_sample_of_a_long_search_is_enough(study: Study) -> None:
    found = importance_of(simulate_search(study, by_lr, 1500, stopped=0.6).trials)
    assert next(iter(found.shares)) == LR and found.shares[LR] > 0.5
