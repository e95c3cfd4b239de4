"""Samplers by name: each proposes valid points of a conditional space, however earlier trials ended."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from optuna.trial import TrialState
from pydantic import ValidationError

from hearai.config.search_space.grid import grid_points
from hearai.config.study import Request, Study, load_study
from hearai.config.study_schema import SINGLE_OBJECTIVE_SAMPLERS, Sampler, StudySettings
from hearai.errors import ConfigError
from hearai.search.sampling.samplers import (
    SAMPLERS,
    WEAK_IN_CONDITIONS,
    build_sampler,
    random_points,
    sampler_note,
    suggest_params,
)
from hearai.search.storage.journal_backend import Journal, open_journal
from hearai.search.storage.trial_store import SEARCH, TrialStore
from tests.helpers.suggestions import run_trial, suggest_x, suggest_x_and_y

NAME, HEADS, LAYERS = "transformer.name", "transformer.num_attention_heads", "transformer.num_encoder_layers"
WARMUP = "train_parameters.warmup_steps"
SPACE = f"""
config: {{train_parameters: {{classification_mode: gloss}}}}
space:
  {NAME}: {{choice: [sign_language_transformer, lstm, fake_transformer]}}
  {HEADS}: {{choice: [2, 4], when: {{{NAME}: sign_language_transformer}}}}
  {LAYERS}: {{int: [1, 3], when: {{{NAME}: [sign_language_transformer, lstm]}}}}
  {WARMUP}: {{float: [0.0, 0.1], step: 0.1}}
"""
POINTS = 2 * (2 * 3 + 3 + 1)


TWO_METRICS = ("objective", "seconds_per_clip")


def study_of(folder: Path, space: str = SPACE, **settings: object) -> Study:
    (folder / "small.yaml").write_text(space)
    return load_study(Request(str(folder / "small.yaml"), settings=settings))


def store_of(journal: Journal, study: Study) -> TrialStore:
    settings = study.settings.sampler
    points = grid_points(study.space, study.base, study.settings.seed) if settings.name == "grid" else None
    sampler = build_sampler(settings, study.settings.seed, conditional=True)
    return TrialStore(journal, SEARCH, sampler, unique=True, points=points, fallback=random_points(study))


def test_every_name_in_the_schema_has_a_sampler() -> None:
    assert set(get_args(Sampler.model_fields["name"].annotation)) == SAMPLERS.keys()


@pytest.mark.heavy
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_points_of_a_conditional_space_are_valid_and_unique(name: str, tmp_path: Path) -> None:
    study = study_of(tmp_path, sampler={"name": name, "startup_trials": 3})
    states, seen = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL], []
    with open_journal(tmp_path) as journal:
        store = store_of(journal, study)
        for i in range(POINTS):
            proposal, state = store.propose(lambda trial: suggest_params(trial, study)), states[i % 3]
            assert proposal.params not in seen, "each point is tried once"
            seen.append(proposal.params)
            assert all(study.space.domains[path].contains(value) for path, value in proposal.params.items())
            active = {
                p for p, d in study.space.domains.items() if study.space.is_active(d, proposal.params, study.base)
            }
            assert proposal.params.keys() == active
            store.observe(proposal.number, 1, i / 30)
            store.finish(proposal.number, state, i / 20 if state == TrialState.COMPLETE else None)
        assert store.propose(lambda trial: suggest_params(trial, study)) is None, "every point was tried"


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_samplers_weak_in_conditions_print_a_note(name: str, tmp_path: Path) -> None:
    note = sampler_note(study_of(tmp_path, sampler={"name": name}))
    assert (note is not None) == (name in WEAK_IN_CONDITIONS) == (name not in ("tpe", "freeze_thaw", "random", "grid"))
    if note:
        assert "2 of 4 parameters are conditional" in note and len(note) < 160
    plain = SPACE.replace(f", when: {{{NAME}: sign_language_transformer}}", "").replace("lstm, ", "")
    plain = plain.replace(f", when: {{{NAME}: [sign_language_transformer, lstm]}}", "")
    assert sampler_note(study_of(tmp_path, plain, sampler={"name": name})) is None


# -- grid -----------------------------------------------------------------------------------------


def propose_all(study: Study, folder: Path, at_most: int = 1000) -> list[dict]:
    with open_journal(folder) as journal:
        store, found = store_of(journal, study), []
        while len(found) < at_most and (proposal := store.propose(lambda trial: suggest_params(trial, study))):
            found.append(dict(proposal.params))
            store.finish(proposal.number, TrialState.COMPLETE, 0.5)
        return found


def test_the_grid_proposes_every_point_once(tmp_path: Path) -> None:
    study = study_of(tmp_path, sampler={"name": "grid"})
    found = propose_all(study, tmp_path)
    assert len(found) == POINTS == len({repr(point) for point in found})
    assert propose_all(study, tmp_path) == [], "every point was tried, and none twice"
    assert len({point[NAME] for point in found[:10]}) == 3, "the first points cover the space"


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [0, 1])
def test_a_continued_grid_resumes_where_it_stopped(tmp_path: Path, seed: int) -> None:
    study = study_of(tmp_path, sampler={"name": "grid"}, seed=seed)
    (tmp_path / "whole").mkdir(), (tmp_path / "parts").mkdir()
    parts = [point for _ in range(5) for point in propose_all(study, tmp_path / "parts", at_most=7)]
    assert parts == propose_all(study, tmp_path / "whole")


def test_a_grid_point_queued_before_a_kill_is_the_next(tmp_path: Path) -> None:
    study = study_of(tmp_path, sampler={"name": "grid"})
    with open_journal(tmp_path) as journal:
        store = store_of(journal, study)
        store.enqueue(next(grid_points(study.space, study.base, 0)), {})
        (waiting,) = store.trials(TrialState.WAITING)
    with open_journal(tmp_path) as journal:
        proposal = store_of(journal, study).propose(lambda trial: suggest_params(trial, study))
    assert proposal.number == waiting.number == 0
    assert len(propose_all(study, tmp_path)) == POINTS, "the point left running, and all others"


def test_the_grid_needs_steps_for_floats(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"warmup_steps: the sampler grid needs discrete values; give a `step"):
        study_of(tmp_path, SPACE.replace(", step: 0.1", ""), sampler={"name": "grid"})


@pytest.mark.heavy
def test_a_grid_with_too_many_points_is_refused(tmp_path: Path) -> None:
    wide = SPACE.replace("step: 0.1", "step: 0.000001")
    with pytest.raises(ConfigError, match="the grid has more than 100,000 points"):
        study_of(tmp_path, wide, sampler={"name": "grid"})


# -- several metrics ------------------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "gp" else [])  # 20 s
        for name in sorted(SAMPLERS.keys() - set(SINGLE_OBJECTIVE_SAMPLERS))
    ],
)
def test_samplers_accept_trials_without_values_of_all_metrics(name: str, open_store: Callable, tmp_path: Path) -> None:
    sampler = build_sampler(Sampler(name=name, startup_trials=2), 0)
    fallback = ({"x": i / 1000, "y": 0} for i in range(1000))
    with open_store(tmp_path, sampler, metrics=TWO_METRICS, fallback=fallback) as store:
        for i in range(2):
            run_trial(store, TrialState.COMPLETE, i / 10, 0.01 * i)
            run_trial(store, TrialState.PRUNED, i / 20)
            run_trial(store, TrialState.FAIL, 0.1)
        store.propose(suggest_x_and_y)
        params = [store.propose(suggest_x_and_y).params for _ in range(2)]
    assert all(0 <= point["x"] <= 1 and 0 <= point["y"] <= 100 for point in params)


@pytest.mark.parametrize("name", SINGLE_OBJECTIVE_SAMPLERS)
def test_samplers_of_one_metric_are_refused_for_several(name: str) -> None:
    sampler = Sampler.model_construct(name=name)
    with pytest.raises(ValidationError, match=f"sampler.name: {name} supports one metric only"):
        StudySettings(sampler=sampler, metric=TWO_METRICS, space={})
    assert StudySettings(sampler=sampler, space={}).metric == ("objective",)


@pytest.mark.heavy
def test_tpe_samples_along_the_front_and_avoids_pruned_regions(open_store: Callable, tmp_path: Path) -> None:
    """Score and time both grow with x up to 0.5; above that, trials are pruned."""
    sampler = build_sampler(Sampler(name="tpe", startup_trials=10), 0)
    with open_store(tmp_path, sampler, metrics=TWO_METRICS) as store:
        drawn = []
        for _ in range(50):
            proposal = store.propose(suggest_x)
            x = proposal.params["x"]
            drawn.append(x)
            store.observe(proposal.number, 1, 0.1 if x > 0.5 else x)
            if x > 0.5:
                store.finish(proposal.number, TrialState.PRUNED)
            else:
                store.finish(proposal.number, TrialState.COMPLETE, [x, x])
    late = drawn[25:]
    assert sum(x > 0.5 for x in late) <= 8, "random sampling would be there half of the time"
    assert min(late) < 0.15 and max(x for x in late if x <= 0.5) > 0.35, "all along the front"
