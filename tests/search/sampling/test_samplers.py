"""Samplers by name: each proposes points of a space with conditions, whatever became of the trials before."""

from pathlib import Path
from typing import get_args

import pytest
from optuna.trial import TrialState

from hearai.config.grid import grid_points
from hearai.config.study import Request, Study, load_study
from hearai.config.study_schema import Sampler
from hearai.errors import ConfigError
from hearai.search.sampling.samplers import (
    SAMPLERS,
    WEAK_IN_CONDITIONS,
    build_sampler,
    random_points,
    sampler_note,
    suggest,
)
from hearai.search.storage.trial_store import SEARCH, TrialStore, open_journal

NAME, HEADS, LAYERS = "transformer.name", "transformer.num_attention_heads", "transformer.num_encoder_layers"
WARMUP = "train_parameters.warmup_steps"
SPACE = f"""
config: {{train_parameters: {{classification_mode: gloss}}}}
space:
  {NAME}: {{choice: [sign_language_transformer, lstm, fake_transformer]}}
  {HEADS}: {{choice: [2, 4], when: {{{NAME}: sign_language_transformer}}}}
  {LAYERS}: {{int: [1, 3], when: {{{NAME}: [sign_language_transformer, lstm]}}}}
  {WARMUP}: {{float: [0.0, 0.2], step: 0.1}}
"""
POINTS = 3 * (2 * 3 + 3 + 1)


def study_of(folder: Path, space: str = SPACE, **settings: object) -> Study:
    (folder / "small.yaml").write_text(space)
    return load_study(Request(str(folder / "small.yaml"), settings=settings))


def ledger_of(storage: object, study: Study) -> TrialStore:
    settings = study.settings.sampler
    points = grid_points(study.space, study.base, study.settings.seed) if settings.name == "grid" else None
    sampler = build_sampler(settings, study.settings.seed, conditional=True)
    return TrialStore(storage, SEARCH, sampler, unique=True, points=points, spare=random_points(study))


def test_every_name_that_a_study_may_give_has_a_sampler() -> None:
    assert set(get_args(Sampler.model_fields["name"].annotation)) == SAMPLERS.keys()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_points_of_a_space_with_conditions_whatever_became_of_those_before(name: str, tmp_path: Path) -> None:
    study = study_of(tmp_path, sampler={"name": name, "startup_trials": 3})
    states, seen = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL], []
    with open_journal(tmp_path) as storage:
        store = ledger_of(storage, study)
        for i in range(POINTS):
            proposal, state = store.propose(lambda trial: suggest(trial, study)), states[i % 3]
            assert proposal.params not in seen, "a point is tried once"
            seen.append(proposal.params)
            assert all(study.space.domains[path].contains(value) for path, value in proposal.params.items())
            active = {
                p for p, d in study.space.domains.items() if study.space.is_active(d, proposal.params, study.base)
            }
            assert proposal.params.keys() == active
            store.observe(proposal.number, 1, i / 30)
            store.finish(proposal.number, state, i / 20 if state == TrialState.COMPLETE else None)
        assert store.propose(lambda trial: suggest(trial, study)) is None, "nothing untried is left"


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_who_handles_conditions_badly_says_so_and_only_then(name: str, tmp_path: Path) -> None:
    note = sampler_note(study_of(tmp_path, sampler={"name": name}))
    assert (note is not None) == (name in WEAK_IN_CONDITIONS) == (name not in ("tpe", "random", "grid"))
    if note:
        assert "2 of 4 parameters are conditional" in note and len(note) < 160
    plain = SPACE.replace(f", when: {{{NAME}: sign_language_transformer}}", "").replace("lstm, ", "")
    plain = plain.replace(f", when: {{{NAME}: [sign_language_transformer, lstm]}}", "")
    assert sampler_note(study_of(tmp_path, plain, sampler={"name": name})) is None


# -- grid -----------------------------------------------------------------------------------------


def propose_all(study: Study, folder: Path, at_most: int = 1000) -> list[dict]:
    with open_journal(folder) as storage:
        store, found = ledger_of(storage, study), []
        while len(found) < at_most and (proposal := store.propose(lambda trial: suggest(trial, study))):
            found.append(dict(proposal.params))
            store.finish(proposal.number, TrialState.COMPLETE, 0.5)
        return found


def test_the_grid_is_every_point_once_and_then_ends(tmp_path: Path) -> None:
    study = study_of(tmp_path, sampler={"name": "grid"})
    found = propose_all(study, tmp_path)
    assert len(found) == POINTS == len({repr(point) for point in found})
    assert propose_all(study, tmp_path) == [], "nothing is left, and nothing is done twice"
    assert len({point[NAME] for point in found[:15]}) == 3, "the first few already cover the space"


@pytest.mark.parametrize("seed", [0, 1])
def test_a_grid_that_is_continued_goes_on_where_it_stopped(tmp_path: Path, seed: int) -> None:
    study = study_of(tmp_path, sampler={"name": "grid"}, seed=seed)
    (tmp_path / "whole").mkdir(), (tmp_path / "parts").mkdir()
    parts = [point for _ in range(5) for point in propose_all(study, tmp_path / "parts", at_most=7)]
    assert parts == propose_all(study, tmp_path / "whole")


def test_a_grid_point_left_in_the_queue_by_a_kill_is_the_next(tmp_path: Path) -> None:
    study = study_of(tmp_path, sampler={"name": "grid"})
    with open_journal(tmp_path) as storage:
        store = ledger_of(storage, study)
        store.enqueue(next(grid_points(study.space, study.base, 0)), {})
        (waiting,) = store.trials(TrialState.WAITING)
    with open_journal(tmp_path) as storage:
        proposal = ledger_of(storage, study).propose(lambda trial: suggest(trial, study))
    assert proposal.number == waiting.number == 0
    assert len(propose_all(study, tmp_path)) == POINTS, "what was left running is taken up, and the rest"


def test_a_float_without_steps_is_no_grid(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"warmup_steps: the sampler grid needs steps here; give `step"):
        study_of(tmp_path, SPACE.replace(", step: 0.1", ""), sampler={"name": "grid"})


def test_a_grid_that_nobody_can_finish_is_refused(tmp_path: Path) -> None:
    wide = SPACE.replace("step: 0.1", "step: 0.000001")
    with pytest.raises(ConfigError, match="the grid would have more than 100,000 points"):
        study_of(tmp_path, wide, sampler={"name": "grid"})
