"""The trial store: proposals, how trials end, and how a search continues after its process died."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState

from hearai.config.study import Request, Study, load_study
from hearai.config.study_schema import Sampler
from hearai.search.sampling.samplers import SAMPLERS, build_sampler, suggest_params
from hearai.search.storage.attributes import DUPLICATE_OF
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import SEARCH, Proposal, Suggest, TrialStore, primary_value
from tests.helpers.suggestions import run_trial, suggest_x_and_y

LR, LAYERS, BLUR = "train_parameters.lr", "transformer.num_encoder_layers", "augmentations_parameters.apply_blur"
LIMIT = "augmentations_parameters.blur_limit"
SPACE = f"""
config: {{train_parameters: {{lr: 2.0e-3, warmup_steps: 0.1}}}}
space:
  {LR}: {{float: [1.0e-4, 1.0e-1], log: true}}
  {LAYERS}: {{int: [1, 3]}}
  {BLUR}: {{choice: [true, false]}}
  {LIMIT}: {{int: [1, 9], step: 2, when: {{{BLUR}: true}}}}
  train_parameters.warmup_steps: {{float: [0.5, 0.9], step: 0.1}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A space with all kinds of domains and a condition; the base config's warm-up is outside of it."""
    (tmp_path / "small.yaml").write_text(SPACE)
    return load_study(Request(str(tmp_path / "small.yaml")))


@pytest.fixture
def open_here(open_store: Callable, tmp_path: Path) -> Callable:
    """open_here(seed, ...): opens the same store again, within a with block."""
    return lambda seed=0, **options: open_store(tmp_path, RandomSampler(seed), **options)


def suggest_one_of_three(trial: Trial) -> dict:
    return {"x": trial.suggest_categorical("x", [1, 2, 3])}


def complete_trial(store: TrialStore, suggest: Suggest, value: float) -> Proposal:
    """A complete trial of two epochs."""
    proposal = store.propose(suggest)
    store.observe(proposal.number, 1, value / 2)
    store.observe(proposal.number, 2, value)
    store.finish(proposal.number, TrialState.COMPLETE, value)
    return proposal


# -- proposals ------------------------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_the_seed_determines_the_suggestions(open_store: Callable, study: Study, tmp_path: Path, sampler: str) -> None:
    drawn = []
    for run, seed in enumerate([5, 5, 6]):
        with open_store(tmp_path / str(run), build_sampler(Sampler(name=sampler, startup_trials=3), seed)) as store:
            runs = [complete_trial(store, lambda trial: suggest_params(trial, study), i / 10) for i in range(6)]
            drawn.append([proposal.params for proposal in runs])
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.heavy
def test_suggestions_are_points_of_the_space_and_are_stored(open_here: Callable, study: Study) -> None:
    with open_here() as store:
        for _ in range(15):
            proposal = complete_trial(store, lambda trial: suggest_params(trial, study), 0.5)
            assert all(study.space.domains[path].contains(value) for path, value in proposal.params.items())
            assert (LIMIT in proposal.params) == proposal.params[BLUR]
            assert store[proposal.number].params == proposal.params
            assert study.config_of(proposal.params).transformer.num_encoder_layers == proposal.params[LAYERS]


def test_the_base_trial_has_the_values_of_the_base_config(open_here: Callable, study: Study) -> None:
    with open_here() as store:
        store.enqueue(study.base_params(), {"kind": "base"})
        proposal = store.propose(lambda trial: suggest_params(trial, study))
    assert proposal.number == 0 and proposal.user_attrs["kind"] == "base"
    assert proposal.params == {LR: 2e-3, LAYERS: 2, BLUR: False}
    assert study.config_of(proposal.params) == study.base


def test_each_point_is_tried_once(open_here: Callable) -> None:
    with open_here() as store:
        found = [store.propose(suggest_one_of_three) for _ in range(3)]
        assert {proposal.params["x"] for proposal in found} == {1, 2, 3}
        assert store.propose(suggest_one_of_three) is None, "every point was tried"
        assert [trial.number for trial in store.trials()] == [proposal.number for proposal in found]
        rejected = [trial for trial in store.optuna_study.trials if DUPLICATE_OF in trial.user_attrs]
        assert len(rejected) >= 10 and {trial.state for trial in rejected} == {TrialState.FAIL}


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE])
def test_points_tried_by_an_earlier_process_are_not_repeated(open_here: Callable, state: TrialState) -> None:
    with open_here() as store:
        first = store.propose(suggest_one_of_three)
        store.finish(first.number, state, 0.5 if state == TrialState.COMPLETE else None)
    with open_here(seed=1) as store:
        rest = [store.propose(suggest_one_of_three).params["x"] for _ in range(2)]
        assert {first.params["x"], *rest} == {1, 2, 3}


def test_finals_may_repeat_a_point(open_here: Callable) -> None:
    with open_here(unique=False) as store:
        for seed in (1, 2):
            store.enqueue({}, {"source": 7, "seed": seed})
        found = [store.propose(lambda _: {}) for _ in range(2)]
    assert [proposal.user_attrs["seed"] for proposal in found] == [1, 2]


def test_a_trial_is_queued_once(open_here: Callable) -> None:
    attributes = {"kind": "final", "source": 3, "seed": 1}
    with open_here(unique=False) as store:
        store.enqueue({}, attributes)
        store.enqueue({}, attributes)
        store.enqueue({}, {**attributes, "seed": 2})
        assert len(store.trials()) == 2
        store.finish(store.propose(lambda _: {}).number, TrialState.COMPLETE, 0.5)
    with open_here(unique=False) as store:
        store.enqueue({}, attributes)
        assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE, TrialState.WAITING]


# -- how trials end -------------------------------------------------------------------------------


def test_each_state_has_its_value(open_here: Callable) -> None:
    with open_here() as store:
        complete, pruned, failed, bare = (store.propose(suggest_x_and_y).number for _ in range(4))
        for number in (complete, pruned, failed):
            store.observe(number, 1, 0.3)
            store.observe(number, 2, 0.4)
        store.finish(complete, TrialState.COMPLETE, 0.45)
        store.finish(pruned, TrialState.PRUNED)
        store.finish(failed, TrialState.FAIL)
        store.finish(bare, TrialState.PRUNED)
    with open_here() as store:
        trials = {trial.number: trial for trial in store.trials()}
        assert (trials[complete].state, trials[complete].value) == (TrialState.COMPLETE, 0.45)
        assert (trials[pruned].state, trials[pruned].value) == (TrialState.PRUNED, 0.4)
        assert (trials[failed].state, trials[failed].value) == (TrialState.FAIL, None)
        assert (trials[bare].state, trials[bare].value) == (TrialState.PRUNED, None)
        assert trials[failed].intermediate_values == {1: 0.3, 2: 0.4}


def test_all_metrics_of_a_complete_trial_are_stored(open_store: Callable, tmp_path: Path) -> None:
    metrics = ("objective", "seconds_per_clip")
    with open_store(tmp_path, metrics=metrics) as store:
        run_trial(store, TrialState.COMPLETE, 0.7, 0.03)
        run_trial(store, TrialState.PRUNED, 0.4)
        run_trial(store, TrialState.FAIL, 0.3)
        store.propose(suggest_x_and_y)
    with open_store(tmp_path, metrics=metrics) as store:
        complete, pruned, failed, running = store.trials()
        assert complete.values == [0.7, 0.03] and complete.intermediate_values == {1: 0.7, 2: 0.7}
        assert pruned.values is None and pruned.intermediate_values == {1: 0.4, 2: 0.4}
        assert [primary_value(trial) for trial in (complete, pruned, failed, running)] == [0.7, 0.4, None, None]
    snapshot = read_journal(tmp_path / "journal.log")[SEARCH]
    assert [trial.state.name for trial in snapshot.trials] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]


def test_with_one_metric_the_primary_value_is_the_value(store: TrialStore) -> None:
    run_trial(store, TrialState.COMPLETE, 0.7)
    run_trial(store, TrialState.PRUNED, 0.4)
    assert [primary_value(trial) for trial in store.trials()] == [trial.value for trial in store.trials()] == [0.7, 0.4]


def test_a_finished_trial_does_not_change(open_here: Callable) -> None:
    with open_here() as store:
        number = complete_trial(store, suggest_x_and_y, 0.5).number
        store.finish(number, TrialState.FAIL)
        assert (store[number].state, store[number].value) == (TrialState.COMPLETE, 0.5)


def test_the_first_value_of_an_epoch_is_kept(open_here: Callable) -> None:
    with open_here() as store:
        number = store.propose(suggest_x_and_y).number
        store.observe(number, 3, 0.5)
        store.observe(number, 3, 0.6)
        assert store[number].intermediate_values == {3: 0.5}


def test_wall_time_adds_up_over_calls(open_here: Callable) -> None:
    for seconds in (1.5, 2.0):
        with open_here() as store:
            store.add_wall_time(seconds, slots=2)
    with open_here() as store:
        assert store.wall_seconds == 3.5 and store.optuna_study.user_attrs["slot_seconds"] == 7.0


def test_a_store_is_full_when_the_limit_was_started(open_here: Callable) -> None:
    with open_here() as store:
        store.enqueue({"x": 0.5, "y": 3}, {"kind": "base"})
        assert not store.is_full(1), "a queued trial was not started"
        store.propose(suggest_x_and_y)
        assert store.is_full(1) and not store.is_full(2)
    with open_here() as store:
        assert not store.is_full(1), "the trial left running will be proposed again"
        store.propose(suggest_x_and_y)
        assert store.is_full(1)


# -- after the process died ---------------------------------------------------------------------------


def test_trials_left_running_are_proposed_first(open_here: Callable) -> None:
    with open_here() as store:
        store.enqueue({"x": 0.25, "y": 7}, {"kind": "base"})
        base = store.propose(suggest_x_and_y)
        ended = complete_trial(store, suggest_x_and_y, 0.5)
        running = store.propose(suggest_x_and_y)
        store.observe(running.number, 1, 0.1)
    with open_here(seed=99) as store:
        found = [store.propose(suggest_x_and_y) for _ in range(3)]
        assert [proposal.number for proposal in found] == [base.number, running.number, running.number + 1]
        assert [proposal.params for proposal in found[:2]] == [base.params, running.params]
        assert found[0].user_attrs["kind"] == "base"
        assert ended.number not in [proposal.number for proposal in found]
        assert store[running.number].intermediate_values == {1: 0.1}


def test_missing_parameters_of_an_interrupted_proposal_are_added(open_here: Callable) -> None:
    with open_here() as store, pytest.raises(InterruptedError):
        store.propose(_interrupt_after_x)
    with open_here(seed=99) as store:
        x = store[0].params["x"]
        proposal = store.propose(suggest_x_and_y)
        assert proposal.number == 0 and proposal.params["x"] == x and 0 <= proposal.params["y"] <= 100


def _interrupt_after_x(trial: Trial) -> dict:
    trial.suggest_float("x", 0, 1)
    raise InterruptedError


def test_a_queued_base_trial_comes_first_after_a_restart(open_here: Callable) -> None:
    with open_here() as store:
        store.enqueue({"x": 0.25, "y": 7}, {"kind": "base"})
    with open_here() as store:
        proposal = store.propose(suggest_x_and_y)
        assert (proposal.number, proposal.params, proposal.user_attrs["kind"]) == (0, {"x": 0.25, "y": 7}, "base")


@pytest.fixture(scope="module")
def journal_of_two(open_store: Callable, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal with a complete trial and a running one."""
    folder = tmp_path_factory.mktemp("two")
    with open_store(folder) as store:
        complete_trial(store, suggest_x_and_y, 0.5)
        running = store.propose(suggest_x_and_y)
        store.observe(running.number, 1, 0.2)
    return (folder / "journal.log").read_bytes()


@pytest.mark.heavy
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1))
def test_a_search_continues_from_a_journal_torn_at_any_byte(
    open_here: Callable, journal_of_two: bytes, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "journal.log"
    torn = journal_of_two[: int(share * len(journal_of_two))]
    path.write_bytes(torn)
    with open_here() as store:
        assert path.read_bytes().startswith(torn[: torn.rfind(b"\n") + 1])
        before = {trial.number: trial.params for trial in store.trials() if trial.state.is_finished()}
        proposal = complete_trial(store, suggest_x_and_y, 0.9)
        assert proposal.number not in before
    with open_here() as store:
        assert store[proposal.number].value == 0.9
        assert all(store[number].params == params for number, params in before.items())


def test_a_torn_line_is_cut_off(tmp_path: Path, journal_of_two: bytes) -> None:
    path = tmp_path / "journal.log"
    path.write_bytes(journal_of_two + b'{"op_code":6,"wor')
    with open_journal(tmp_path):
        assert path.read_bytes() == journal_of_two
