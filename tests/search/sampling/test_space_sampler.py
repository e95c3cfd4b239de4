"""Searches that continue in a wider or narrower space: every sampler sees earlier trials as points of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from hearai.config.study import Request, Study, load_study
from hearai.config.study_schema import EarlierSpace
from hearai.search.finals import winner
from hearai.search.sampling.policy import Stopping
from hearai.search.sampling.samplers import (
    SAMPLERS,
    build_finals_store,
    build_search_store,
    hidden_note,
    suggest_params,
)
from hearai.search.sampling.space_sampler import SpaceSampler, distribution_of
from hearai.search.storage.attributes import BASE_KIND, KIND, POINT, SEARCH_KIND, SEED, SOURCE
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.layout import JOURNAL
from hearai.search.storage.trial_store import SEARCH, Proposal, TrialStore

LR, NAME, LAYERS = "train_parameters.lr", "transformer.name", "transformer.num_encoder_layers"
DROPOUT = "transformer.dropout_rate"
HEADS = "transformer.num_attention_heads"
SPACE: dict[str, Any] = {
    LR: {"float": [1e-3, 1e-2], "log": True},
    DROPOUT: {"float": [0.0, 0.2], "step": 0.1},
    NAME: {"choice": ["lstm", "sign_language_transformer"]},
    LAYERS: {"int": [1, 2]},
    HEADS: {"choice": [2, 4], "when": {NAME: "sign_language_transformer"}},
    "size": {"choice": {"small": {"transformer.output_size": 32}, "large": {"transformer.output_size": 64}}},
}
WIDER: dict[str, Any] = {
    "size": {"choice": {"huge": {"transformer.output_size": 128}, **SPACE["size"]["choice"]}},
    LR: {"float": [1e-3, 1e-1], "log": True},
    DROPOUT: {"float": [0.0, 0.5], "step": 0.1},
    NAME: {"choice": ["fake_transformer", "sign_language_transformer", "lstm"]},
    LAYERS: {"int": [1, 4]},
    HEADS: {"choice": [2, 4, 8], "when": {NAME: "sign_language_transformer"}},
}
BASE = {
    "train_parameters": {"classification_mode": "gloss", "lr": 0.005},
    "transformer": {"name": "lstm", "num_encoder_layers": 1, "output_size": 32, "dropout_rate": 0.1},
}


def finalists(store: TrialStore, count: int) -> list[int]:
    """Numbers of the best complete trials, without the base config's."""
    return Stopping(store, lambda _: {}, protected=0).finalists(count)


def study_of(folder: Path, space: dict[str, Any], sampler: str = "random", **config: Any) -> Study:
    raw = {"config": BASE | config, "space": space, "sampler": {"name": sampler, "startup_trials": 4}}
    (folder / "made.yaml").write_text(yaml.safe_dump(raw))
    return load_study(Request(str(folder / "made.yaml"), data_paths=("nowhere",)))


@contextmanager
def opened(folder: Path, study: Study) -> Iterator[TrialStore]:
    """The search's store, with the base config queued, as a search opens it."""
    with open_journal(folder) as journal:
        store = build_search_store(journal, study)
        store.enqueue(study.base_params(), {KIND: BASE_KIND})
        yield store


def propose(store: TrialStore, study: Study) -> Proposal:
    proposal = store.propose(lambda trial: suggest_params(trial, study))
    assert proposal is not None
    return proposal


def run(store: TrialStore, study: Study, trials: int) -> list[Proposal]:
    """Runs trials: better with a higher learning rate."""
    proposals = []
    for _ in range(trials):
        proposal = propose(store, study)
        value = min(1.0, 0.1 + 10 * float(proposal.params.get(LR, 0)))
        store.observe(proposal.number, 1, value)
        store.finish(proposal.number, TrialState.COMPLETE, value)
        proposals.append(proposal)
    return proposals


def shown_by(store: TrialStore, study: Study) -> dict[int, dict]:
    """{number: parameters} of the trials that the sampler sees; checks their distributions."""
    sampler = store.optuna_study.sampler
    assert isinstance(sampler, SpaceSampler)
    shown = sampler.show(store.optuna_study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))
    for trial in shown:
        assert trial.distributions == {name: distribution_of(study.space.domains[name]) for name in trial.params}
    return {trial.number: trial.params for trial in shown}


GRID = {name: domain for name, domain in SPACE.items() if name not in (LR, DROPOUT)}
WIDER_GRID = {name: WIDER[name] for name in GRID}


@pytest.mark.heavy
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_continues_in_a_wider_space(sampler: str, tmp_path: Path) -> None:
    before, after = (GRID, WIDER_GRID) if sampler == "grid" else (SPACE, WIDER)
    old, new = study_of(tmp_path, before, sampler), study_of(tmp_path, after, sampler)
    with opened(tmp_path, old) as store:
        first = run(store, old, 10)
    journal = (tmp_path / JOURNAL).read_bytes()
    with opened(tmp_path, new) as store:
        assert shown_by(store, new) == {p.number: p.params for p in first}
        later = run(store, new, 25)
        assert all(new.space.domains[n].contains(v) for p in later for n, v in p.params.items())
        assert any(not old.space.domains[n].contains(v) for p in later for n, v in p.params.items())
        assert len({repr(sorted(p.params.items())) for p in [*first, *later]}) == 35, "no point is tried twice"
    assert (tmp_path / JOURNAL).read_bytes().startswith(journal), "the journal is only appended to"
    found = {trial.number: trial.params for trial in read_journal(tmp_path / JOURNAL)[SEARCH].trials}
    assert found == {p.number: p.params for p in [*first, *later]}, "a report reads all parameters"
    with opened(tmp_path, new) as store:
        run(store, new, 2)


@pytest.mark.heavy
@pytest.mark.parametrize("sampler", sorted(SAMPLERS.keys() - {"random", "grid", "freeze_thaw"}))
def test_samplers_propose_together_what_was_widened(sampler: str, tmp_path: Path) -> None:
    """With the distributions in the journal, Optuna leaves widened parameters out, or keeps to the first range."""
    names = (LR, LAYERS, NAME)
    old = study_of(tmp_path, {name: SPACE[name] for name in names}, sampler)
    new = study_of(tmp_path, {name: WIDER[name] for name in names}, sampler)
    with opened(tmp_path, old) as store:
        first = run(store, old, 5)
    with opened(tmp_path, new) as store:
        run(store, new, 1)
        study = store.optuna_study
        together = study.sampler.infer_relative_search_space(study, store[0])
        expected = {name: distribution_of(new.space.domains[name]) for name in names}
        assert together == {n: d for n, d in expected.items() if sampler != "cmaes" or n != NAME}
    with opened(tmp_path, new) as store:
        assert isinstance(store.optuna_study.sampler, SpaceSampler)
        best = max(store.trials(), key=lambda trial: trial.values[0])
        assert store.optuna_study.sampler.best_of_earlier_spaces(store.trials()) == best.params
        assert [trial.params for trial in store.trials()][:5] == [p.params for p in first]


@pytest.mark.heavy
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_continues_in_a_narrower_space(sampler: str, tmp_path: Path) -> None:
    before, after = (WIDER_GRID, GRID) if sampler == "grid" else (WIDER, SPACE)
    old, new = study_of(tmp_path, before, sampler), study_of(tmp_path, after, sampler)
    with opened(tmp_path, old) as store:
        first = run(store, old, 15)
    inside = {p.number for p in first if all(new.space.domains[n].contains(v) for n, v in p.params.items())}
    with opened(tmp_path, new) as store:
        assert shown_by(store, new).keys() == inside
        assert hidden_note(store) == (
            f"{15 - len(inside)} of 15 trials are outside of the narrowed space: hidden from the sampler and the finals"
        )
        later = run(store, new, 12 - len(inside))  # the grid has 12 points
        assert all(new.space.domains[n].contains(v) for p in later for n, v in p.params.items())
        assert len(store.trials()) == 27 - len(inside), "hidden trials stay in the journal"
        assert set(finalists(store, 99)) == (inside | {p.number for p in later}) - {0}


def test_the_winner_lies_inside_a_narrowed_space(tmp_path: Path) -> None:
    wide = study_of(tmp_path, {LR: WIDER[LR]})
    narrow = study_of(tmp_path, {LR: SPACE[LR]})
    with opened(tmp_path, wide) as store:
        store.enqueue({LR: 0.09}, {KIND: SEARCH_KIND})
        store.enqueue({LR: 0.008}, {KIND: SEARCH_KIND, POINT: "second"})
        run(store, wide, 3)
        assert finalists(store, 1) == [1]
    with open_journal(tmp_path) as journal:
        search, finals = build_search_store(journal, narrow), build_finals_store(journal)
        assert finalists(search, 1) == [2] and winner(search, finals) == 2
        for source, score in ((1, 0.9), (0, 0.3), (2, 0.5)):  # the finals of an earlier call are kept
            finals.enqueue({}, {SOURCE: source, SEED: 1})
            proposal = finals.propose(lambda _: {})
            assert proposal is not None
            finals.finish(proposal.number, TrialState.COMPLETE, score)
        assert winner(search, finals) == 2
        assert winner(build_search_store(journal, wide), finals) == 1, "widened again, it counts again"


@pytest.mark.heavy
def test_a_running_trial_ends_with_its_old_parameters(tmp_path: Path) -> None:
    wide, narrow = study_of(tmp_path, WIDER), study_of(tmp_path, SPACE)
    with opened(tmp_path, wide) as store:
        run(store, wide, 1)
        point = {LR: 0.09, DROPOUT: 0.4, NAME: "sign_language_transformer", LAYERS: 4, HEADS: 8, "size": "huge"}
        store.enqueue(point, {KIND: SEARCH_KIND})
        running = propose(store, wide)
        assert running.params == point
    narrow = narrow.continuing((EarlierSpace(before_trial=2, space=wide.settings.space),))
    with opened(tmp_path, narrow) as store:
        again = propose(store, narrow)
        assert (again.number, dict(again.params)) == (running.number, point)
        assert narrow.config_of(again.params).transformer.output_size == 128, "an option that only it has"
        store.finish(again.number, TrialState.COMPLETE, 0.9)
        assert finalists(store, 9) == [] and run(store, narrow, 1)


@pytest.mark.heavy
@pytest.mark.parametrize("started", [False, True])
def test_an_interrupted_base_config_keeps_its_values(started: bool, tmp_path: Path) -> None:
    """Its learning rate is outside of the old range, so the journal did not have it as a parameter."""
    config = {"train_parameters": {**BASE["train_parameters"], "lr": 0.05}}
    old, new = study_of(tmp_path, SPACE, **config), study_of(tmp_path, WIDER, **config)
    with opened(tmp_path, old) as store:
        if started:
            assert LR not in propose(store, old).params
    with opened(tmp_path, new) as store:
        base = propose(store, new)
        assert base.number == 0 and base.params == new.base_params() and base.params[LR] == 0.05
        assert new.config_of(base.params) == new.base


@pytest.mark.heavy
def test_the_base_config_is_a_point_of_a_space_that_has_it_now(tmp_path: Path) -> None:
    config = {"train_parameters": {**BASE["train_parameters"], "lr": 0.05}}
    old, new = study_of(tmp_path, SPACE, **config), study_of(tmp_path, WIDER, **config)
    with opened(tmp_path, old) as store:
        run(store, old, 2)
    with opened(tmp_path, new) as store:
        assert LR not in store[0].params and shown_by(store, new)[0] == new.base_params()


@pytest.mark.heavy
def test_a_queued_point_outside_of_a_narrowed_space_is_replaced(tmp_path: Path) -> None:
    wide, narrow = study_of(tmp_path, WIDER), study_of(tmp_path, SPACE)
    with opened(tmp_path, wide) as store:
        run(store, wide, 1)
        point = {LR: 0.09, DROPOUT: 0.1, NAME: "fake_transformer", LAYERS: 4, "size": "huge"}
        store.enqueue(point, {KIND: SEARCH_KIND})
    with opened(tmp_path, narrow) as store:
        proposal = propose(store, narrow)
        assert all(narrow.space.domains[n].contains(v) for n, v in proposal.params.items())
        assert proposal.params[DROPOUT] == 0.1


@pytest.mark.heavy
def test_an_unchanged_space_shows_the_trials_of_the_journal(tmp_path: Path) -> None:
    study = study_of(tmp_path, SPACE)
    with opened(tmp_path, study) as store:
        run(store, study, 3)
        trials = store.trials()
        sampler = store.optuna_study.sampler
        assert isinstance(sampler, SpaceSampler)
        assert all(shown is trial for shown, trial in zip(sampler.show(trials), trials, strict=True))
        assert sampler.best_of_earlier_spaces(trials) is None and hidden_note(store) is None


@pytest.mark.heavy
def test_optuna_itself_reads_the_journal_without_widened_choices(tmp_path: Path) -> None:
    """As its dashboard does: later trials lack the parameter whose choices have changed, and nothing else."""
    old, new = study_of(tmp_path, SPACE), study_of(tmp_path, WIDER)
    with opened(tmp_path, old) as store:
        run(store, old, 2)
    with opened(tmp_path, new) as store:
        (later,) = run(store, new, 1)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL)))
    *_, trial = storage.get_all_trials(storage.get_study_id_from_name(SEARCH))
    assert trial.state is TrialState.COMPLETE and trial.number == later.number
    assert trial.params == {name: later.params[name] for name in (LR, DROPOUT, LAYERS)}
