"""The journal: what is proposed, what is remembered, and what a search that died finds when it comes back."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import Trial, TrialState

from hearai.config.study import Request, Study, load_study
from hearai.config.study_schema import Sampler
from hearai.errors import UserError
from hearai.search.sampling.samplers import SAMPLERS, build_sampler, suggest
from hearai.search.storage.trial_store import DUPLICATE, SEARCH, Proposal, TrialStore, open_journal

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
    """A space with every kind of domain and a condition; the base config's warm-up is outside of it."""
    (tmp_path / "small.yaml").write_text(SPACE)
    return load_study(Request(str(tmp_path / "small.yaml")))


@contextmanager
def ledger_in(folder: Path, *, sampler: str = "random", seed: int = 0, unique: bool = True) -> Iterator[TrialStore]:
    """The search's ledger, for as long as the journal is ours."""
    with open_journal(folder) as storage:
        yield TrialStore(storage, SEARCH, build_sampler(Sampler(name=sampler, startup_trials=3), seed), unique=unique)


def one_of_three(trial: Trial) -> dict:
    return {"x": trial.suggest_categorical("x", [1, 2, 3])}


def two_numbers(trial: Trial) -> dict:
    return {"x": trial.suggest_float("x", 0, 1), "y": trial.suggest_int("y", 0, 100)}


def run_whole(store: TrialStore, choose: Callable[[Trial], dict], value: float) -> Proposal:
    """A trial of two epochs that is complete."""
    proposal = store.propose(choose)
    store.observe(proposal.number, 1, value / 2)
    store.observe(proposal.number, 2, value)
    store.finish(proposal.number, TrialState.COMPLETE, value)
    return proposal


# -- proposals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_the_same_seed_gives_the_same_suggestions_and_another_seed_others(
    study: Study, tmp_path: Path, sampler: str
) -> None:
    drawn = []
    for run, seed in enumerate([5, 5, 6]):
        with ledger_in(tmp_path / str(run), sampler=sampler, seed=seed) as store:
            runs = [run_whole(store, lambda trial: suggest(trial, study), i / 10) for i in range(6)]
            drawn.append([proposal.params for proposal in runs])
    assert drawn[0] == drawn[1] != drawn[2]


def test_suggestions_are_points_of_the_space_and_the_journal_has_them(study: Study, tmp_path: Path) -> None:
    with ledger_in(tmp_path / "s") as store:
        for _ in range(15):
            proposal = run_whole(store, lambda trial: suggest(trial, study), 0.5)
            assert all(study.space.domains[path].contains(value) for path, value in proposal.params.items())
            assert (LIMIT in proposal.params) == proposal.params[BLUR]
            assert store[proposal.number].params == proposal.params
            assert study.config_of(proposal.params).transformer.num_encoder_layers == proposal.params[LAYERS]


def test_the_base_configs_trial_has_its_own_values_and_no_others(study: Study, tmp_path: Path) -> None:
    with ledger_in(tmp_path / "s") as store:
        store.enqueue(study.base_params(), {"kind": "base"})
        proposal = store.propose(lambda trial: suggest(trial, study))
    assert proposal.number == 0 and proposal.notes["kind"] == "base"
    assert proposal.params == {LR: 2e-3, LAYERS: 2, BLUR: False}
    assert study.config_of(proposal.params) == study.base


def test_a_point_is_tried_once_and_asked_again_elsewhere(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store:
        found = [store.propose(one_of_three) for _ in range(3)]
        assert {proposal.params["x"] for proposal in found} == {1, 2, 3}
        assert store.propose(one_of_three) is None, "nothing untried is left"
        assert [trial.number for trial in store.trials()] == [proposal.number for proposal in found]
        again = [trial for trial in store.optuna.trials if DUPLICATE in trial.user_attrs]
        assert len(again) >= 10 and {trial.state for trial in again} == {TrialState.FAIL}


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE])
def test_a_point_that_was_tried_before_the_search_died_is_not_tried_again(tmp_path: Path, state: TrialState) -> None:
    with ledger_in(tmp_path) as store:
        first = store.propose(one_of_three)
        store.finish(first.number, state, 0.5 if state == TrialState.COMPLETE else None)
    with ledger_in(tmp_path, seed=1) as store:
        rest = [store.propose(one_of_three).params["x"] for _ in range(2)]
        assert {first.params["x"], *rest} == {1, 2, 3}


def test_finalists_may_repeat_their_point(tmp_path: Path) -> None:
    with ledger_in(tmp_path, unique=False) as store:
        for seed in (1, 2):
            store.enqueue({}, {"source": 7, "seed": seed})
        found = [store.propose(lambda _: {}) for _ in range(2)]
    assert [proposal.notes["seed"] for proposal in found] == [1, 2]


def test_putting_into_the_queue_twice_is_putting_once(tmp_path: Path) -> None:
    notes = {"kind": "final", "source": 3, "seed": 1}
    with ledger_in(tmp_path, unique=False) as store:
        store.enqueue({}, notes)
        store.enqueue({}, notes)
        store.enqueue({}, {**notes, "seed": 2})
        assert len(store.trials()) == 2
        store.finish(store.propose(lambda _: {}).number, TrialState.COMPLETE, 0.5)
    with ledger_in(tmp_path, unique=False) as store:
        store.enqueue({}, notes)
        assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE, TrialState.WAITING]


# -- how trials end -------------------------------------------------------------------------------


def test_each_state_keeps_the_value_that_belongs_to_it(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store:
        complete, pruned, failed, bare = (store.propose(two_numbers).number for _ in range(4))
        for number in (complete, pruned, failed):
            store.observe(number, 1, 0.3)
            store.observe(number, 2, 0.4)
        store.finish(complete, TrialState.COMPLETE, 0.45)
        store.finish(pruned, TrialState.PRUNED)
        store.finish(failed, TrialState.FAIL)
        store.finish(bare, TrialState.PRUNED)
    with ledger_in(tmp_path) as store:
        trials = {trial.number: trial for trial in store.trials()}
        assert (trials[complete].state, trials[complete].value) == (TrialState.COMPLETE, 0.45)
        assert (trials[pruned].state, trials[pruned].value) == (TrialState.PRUNED, 0.4)
        assert (trials[failed].state, trials[failed].value) == (TrialState.FAIL, None)
        assert (trials[bare].state, trials[bare].value) == (TrialState.PRUNED, None)
        assert trials[failed].intermediate_values == {1: 0.3, 2: 0.4}


def test_a_finished_trial_stays_as_it_is(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store:
        number = run_whole(store, two_numbers, 0.5).number
        store.finish(number, TrialState.FAIL)
        assert (store[number].state, store[number].value) == (TrialState.COMPLETE, 0.5)


def test_an_epoch_told_twice_keeps_its_first_value(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store:
        number = store.propose(two_numbers).number
        store.observe(number, 3, 0.5)
        store.observe(number, 3, 0.6)
        assert store[number].intermediate_values == {3: 0.5}


def test_time_adds_up_over_calls(tmp_path: Path) -> None:
    for seconds in (1.5, 2.0):
        with ledger_in(tmp_path) as store:
            store.add_wall_time(seconds, slots=2)
    with ledger_in(tmp_path) as store:
        assert store.wall_seconds == 3.5 and store.optuna.user_attrs["slot_seconds"] == 7.0


def test_a_ledger_is_full_when_as_many_were_begun(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store:
        store.enqueue({"x": 0.5, "y": 3}, {"kind": "base"})
        assert not store.is_full(1), "waiting is not begun"
        store.propose(two_numbers)
        assert store.is_full(1) and not store.is_full(2)
    with ledger_in(tmp_path) as store:
        assert not store.is_full(1), "what was left running is to be taken up again"
        store.propose(two_numbers)
        assert store.is_full(1)


# -- a search that died ---------------------------------------------------------------------------


def test_trials_left_running_come_first_as_they_were(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store:
        store.enqueue({"x": 0.25, "y": 7}, {"kind": "base"})
        base = store.propose(two_numbers)
        ended = run_whole(store, two_numbers, 0.5)
        running = store.propose(two_numbers)
        store.observe(running.number, 1, 0.1)
    with ledger_in(tmp_path, seed=99) as store:
        found = [store.propose(two_numbers) for _ in range(3)]
        assert [proposal.number for proposal in found] == [base.number, running.number, running.number + 1]
        assert [proposal.params for proposal in found[:2]] == [base.params, running.params]
        assert found[0].notes["kind"] == "base"
        assert ended.number not in [proposal.number for proposal in found]
        assert store[running.number].intermediate_values == {1: 0.1}


def test_a_trial_that_died_while_it_was_asked_keeps_what_it_had_and_gets_the_rest(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store, pytest.raises(InterruptedError):
        store.propose(_die_after_the_first)
    with ledger_in(tmp_path, seed=99) as store:
        x = store[0].params["x"]
        proposal = store.propose(two_numbers)
        assert proposal.number == 0 and proposal.params["x"] == x and 0 <= proposal.params["y"] <= 100


def _die_after_the_first(trial: Trial) -> dict:
    trial.suggest_float("x", 0, 1)
    raise InterruptedError


def test_a_base_trial_that_never_began_is_begun_first(tmp_path: Path) -> None:
    with ledger_in(tmp_path) as store:
        store.enqueue({"x": 0.25, "y": 7}, {"kind": "base"})
    with ledger_in(tmp_path) as store:
        proposal = store.propose(two_numbers)
        assert (proposal.number, proposal.params, proposal.notes["kind"]) == (0, {"x": 0.25, "y": 7}, "base")


@pytest.fixture(scope="module")
def journal_of_two(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal with a complete trial and a running one."""
    folder = tmp_path_factory.mktemp("two")
    with ledger_in(folder) as store:
        run_whole(store, two_numbers, 0.5)
        running = store.propose(two_numbers)
        store.observe(running.number, 1, 0.2)
    return (folder / "journal.log").read_bytes()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1))
def test_a_journal_torn_at_any_byte_goes_on(journal_of_two: bytes, tmp_path: Path, share: float) -> None:
    path = tmp_path / "journal.log"
    torn = journal_of_two[: int(share * len(journal_of_two))]
    path.write_bytes(torn)
    with ledger_in(tmp_path) as store:
        assert path.read_bytes().startswith(torn[: torn.rfind(b"\n") + 1])
        before = {trial.number: trial.params for trial in store.trials() if trial.state.is_finished()}
        proposal = run_whole(store, two_numbers, 0.9)
        assert proposal.number not in before
    with ledger_in(tmp_path) as store:
        assert store[proposal.number].value == 0.9
        assert all(store[number].params == params for number, params in before.items())


def test_a_half_line_is_cut_off_and_all_before_it_stays(tmp_path: Path, journal_of_two: bytes) -> None:
    path = tmp_path / "journal.log"
    path.write_bytes(journal_of_two + b'{"op_code":6,"wor')
    with open_journal(tmp_path):
        assert path.read_bytes() == journal_of_two


HOLD = """
import os, sys
from pathlib import Path
from hearai.search.storage.trial_store import open_journal
with open_journal(Path(sys.argv[1])):
    os.symlink("journal.log", Path(sys.argv[1]) / "journal.log.lock")  # as a writer holds it
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


def test_one_process_searches_in_a_folder_and_one_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        number = other.stdout.readline().strip()
        words = f"is being searched by process {number} on .* since .* min\\): python -c"
        with pytest.raises(UserError, match=words), open_journal(tmp_path):
            pass
        other.kill()
    with ledger_in(tmp_path) as store:  # the dead writer's lock would block for 30 s
        assert store.propose(two_numbers).number == 0
    assert not (tmp_path / "owner.json").exists()
