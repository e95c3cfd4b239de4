"""A freeze-thaw search from the journal's side: what is paused, resumed, trained to its end and closed."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hearai.config.study import Study
from hearai.config.study_schema import Budget
from hearai.errors import UserError
from hearai.search.budget import BudgetTracker
from hearai.search.sampling.freeze_thaw.pausing import PAUSED_PER_SLOT, Pausing
from hearai.search.sampling.policies import build_policy, modelled_gain, policy_note
from hearai.search.sampling.policy import UNDECIDED, Undecided, Verdict
from hearai.search.sampling.samplers import build_finals_store, build_search_store, suggest_params
from hearai.search.stage import Stage
from hearai.search.storage.attributes import BASE_KIND, KIND, PAUSED, SEED, SOURCE
from hearai.search.storage.journal_backend import Journal, open_journal
from hearai.search.storage.trial_store import Proposal, TrialStore, is_paused
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.searcher import JournalSearcher
from tests.helpers.fault_injection import fill_disk, small_disk

EPOCHS = 20
LR, LAYERS = "train_parameters.lr", "transformer.num_encoder_layers"


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.from_dict(
        {
            "sampler": {"name": "freeze_thaw", "startup_trials": 4},
            "finalists": {"count": 2, "seeds": 1},
            "config": {"train_parameters": {"epochs": EPOCHS, "lr": 1.0e-3}},
            "space": {LR: {"float": [1.0e-4, 1.0e-1], "log": True}, LAYERS: {"int": [1, 4]}},
        },
        "test",
    )


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with open_journal(tmp_path) as journal:
        yield journal


def objective(params: dict, epoch: int) -> float:
    """Rises with the epoch; the best learning rate is 0.01, the best number of layers 2."""
    distance = abs(params[LR] / 0.01 - 1) / (1 + params[LR] / 0.01) + 0.2 * abs(params.get(LAYERS, 2) - 2)
    return (0.9 - 0.4 * distance) * (1 - 0.7 ** (epoch + 1))


class Search:
    """Drives a stage as Tune does, in one process, with curves in place of training."""

    def __init__(self, study: Study, journal: Journal, *, slots: int = 2, trials: int = 100, epochs: int = 80):
        self.store = build_search_store(journal, study)
        self.store.enqueue(study.base_params(), {KIND: BASE_KIND})
        self.policy = build_policy(study, self.store, slots)
        self.stage = Stage(
            self.store,
            lambda trial: suggest_params(trial, study),
            lambda _: study.base,
            limit=trials,
            slots=slots,
            budget_tracker=BudgetTracker(Budget(trials=trials, epochs=epochs), self.store),
            drain=False,
            policy=self.policy,
        )
        self.is_closed = False
        self.before_pause: Callable[[], object] = lambda: None
        self.slots, self.running, self.events = slots, dict[int, int](), list[tuple[str, int, int]]()
        """running: {number: last epoch}; events: (what, number, epoch)."""

    def propose(self) -> Proposal | None:
        """As the searcher does, which closes a stage that has nothing to propose and does not wait for trials."""
        if self.is_closed:
            return None
        while (proposal := self.stage.propose()) is UNDECIDED:
            time.sleep(0.001)
        if proposal is None and not (self.running and self.stage.must_drain):
            self.stage.close()
            self.is_closed = True
        return proposal

    def verdict(self, number: int, epoch: int, value: float) -> Verdict:
        verdict: Verdict | Undecided = self.stage.judge(number, epoch, value)
        while not isinstance(verdict, Verdict):
            time.sleep(0.001)
            verdict = self.stage.verdicts().get(number, verdict)
        return verdict

    def start(self) -> bool:
        """Fills a free slot; whether there was something to train."""
        proposal = self.propose()
        if proposal is not None:
            last = max(self.store[proposal.number].intermediate_values, default=0)
            self.running[proposal.number] = last
            self.events.append(("start", proposal.number, last))
        return proposal is not None

    def step(self) -> bool:
        """One epoch of the trial that has trained least; False once nothing is left to train."""
        while len(self.running) < self.slots and self.start():
            pass
        if not self.running:
            return False
        number = min(self.running, key=lambda number: (self.running[number], number))
        epoch = self.running[number] + 1
        verdict = self.verdict(number, epoch, objective(dict(self.store[number].params), epoch))
        self.running[number] = epoch
        if epoch == EPOCHS:
            self.store.finish(number, TrialState.COMPLETE, self.store[number].intermediate_values[epoch])
        elif verdict is Verdict.PAUSE:
            self.before_pause()
            self.store.pause(number, epoch)
        elif verdict is Verdict.STOP:
            self.store.finish(number, TrialState.PRUNED)
        if epoch == EPOCHS or verdict is not Verdict.CONTINUE:
            self.events.append((verdict.value, number, epoch))
            del self.running[number]
        return True

    def run(self) -> None:
        while self.step():
            pass
        self.stage.close()


@pytest.fixture(scope="module")
def finished(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    """A search that has ended."""
    with open_journal(tmp_path_factory.mktemp("finished")) as journal:
        search = Search(study, journal)
        search.run()
        yield search


@pytest.mark.heavy
def test_trials_pause_at_levels_and_train_on_where_they_paused(finished: Search) -> None:
    search = finished
    resumed = [(number, epoch) for what, number, epoch in search.events if what == "start" and epoch]
    paused = [(number, epoch) for what, number, epoch in search.events if what == "pause"]
    assert resumed and set(resumed) <= set(paused), "each continues after the epoch at which it was paused"
    for trial in search.store.trials():
        epochs = sorted(trial.intermediate_values)
        assert epochs == list(range(1, len(epochs) + 1)), "no epoch is trained twice or left out"


@pytest.mark.heavy
def test_the_base_config_is_first_and_complete_in_the_end(finished: Search) -> None:
    search = finished
    assert search.events[0] == ("start", 0, 0) and search.store[0].state is TrialState.COMPLETE
    best = search.policy.finalists(2)
    assert len(best) == 2 and 0 not in best
    assert all(search.store[number].state is TrialState.COMPLETE for number in best)
    assert set(best) <= {t.number for t in search.store.trials(TrialState.COMPLETE)}


def test_what_is_still_paused_is_closed_as_stopped_early(finished: Search) -> None:
    states = {trial.state for trial in finished.store.trials()}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED} and not any(map(is_paused, finished.store.trials()))


@pytest.mark.heavy
def test_after_the_budget_the_best_and_the_base_train_on(study: Study, journal: Journal) -> None:
    search = Search(study, journal, epochs=30)
    while search.step() and search.stage.budget_tracker.spent is None:
        pass
    known = set(search.running) | {trial.number for trial in search.store.trials()}
    before = len(search.events)
    search.run()
    started = {number for what, number, _ in search.events[before:] if what == "start"}
    assert started <= known, "no new trial"
    assert len(started) <= 2 + 1 + search.slots
    assert search.stage.ended_by == "trial-epoch budget (30) used up"


@pytest.mark.heavy
def test_without_new_trials_those_that_were_started_train_on(study: Study, journal: Journal) -> None:
    search = Search(study, journal, trials=6, epochs=1000)
    search.run()
    assert len(search.store.trials()) == 6
    assert all(trial.state is TrialState.COMPLETE for trial in search.store.trials())
    assert search.stage.ended_by == "trial budget (6) used up"


@pytest.mark.heavy
def test_few_trials_stay_paused(study: Study, journal: Journal) -> None:
    search = Search(study, journal, slots=1, epochs=90)
    most = 0
    while search.step():
        most = max(most, sum(map(is_paused, search.store.trials())))
    assert 0 < most <= PAUSED_PER_SLOT + 2


@pytest.mark.heavy
@pytest.mark.parametrize("steps", [1, 17, 40])
def test_a_killed_search_continues_with_its_paused_trials(study: Study, tmp_path: Path, steps: int) -> None:
    with open_journal(tmp_path) as journal:
        search = Search(study, journal)
        for _ in range(steps):
            search.step()
        paused = {trial.number for trial in search.store.trials() if is_paused(trial)}
        running = {trial.number for trial in search.store.trials(TrialState.RUNNING)} - paused
    with open_journal(tmp_path) as journal:  # nothing but the journal is left
        search = Search(study, journal)
        assert {trial.number for trial in search.store.trials() if is_paused(trial)} == paused
        for _ in running:
            assert search.start()
        assert set(search.running) == running, "those that were running come first, with no room for others"
        search.run()
        for trial in search.store.trials():
            epochs = sorted(trial.intermediate_values)
            assert epochs == list(range(1, len(epochs) + 1))
        assert not any(map(is_paused, search.store.trials()))


@pytest.mark.heavy
def test_trials_running_when_the_budget_ended_are_closed(study: Study, tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        search = Search(study, journal)
        while search.stage.budget_tracker.epochs < 20:
            search.step()
        assert search.running
    with open_journal(tmp_path) as journal:
        search = Search(study, journal, epochs=20)
        search.run()
        states = {trial.state for trial in search.store.trials()}
        assert states == {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.heavy
def test_a_disk_that_is_full_at_a_pause_loses_nothing(study: Study, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m"):
        folder = tmp_path / "disk" / "study"
        with open_journal(folder) as journal:
            search = Search(study, journal)
            search.before_pause = lambda: fill_disk(tmp_path / "disk")
            with pytest.raises(UserError, match="cannot be written"):
                search.run()
            known = sum(len(trial.intermediate_values) for trial in search.store.trials())
        (tmp_path / "disk" / "filler").unlink()
        with open_journal(folder) as journal:
            search = Search(study, journal)
            found = sum(len(trial.intermediate_values) for trial in search.store.trials())
            assert found in (known, known - 1), "all but the report that could not be written"
            search.run()
            for trial in search.store.trials():
                assert sorted(trial.intermediate_values) == list(range(1, len(trial.intermediate_values) + 1))
            assert {trial.state for trial in search.store.trials()} == {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.heavy
@pytest.mark.parametrize("trials", [1, 7])
def test_no_trial_beyond_the_limit_starts_and_none_is_stopped(study: Study, journal: Journal, trials: int) -> None:
    search = Search(study, journal, slots=6, trials=trials, epochs=1000)
    search.run()
    assert [trial.state for trial in search.store.trials()] == [TrialState.COMPLETE] * trials
    assert not [event for event in search.events if event[0] == "stop"]


def test_an_answer_from_before_the_budget_ended_does_not_count(study: Study, journal: Journal) -> None:
    search = Search(study, journal)
    assert search.start(), "the base config's"
    assert search.policy.propose(room=9, closing=False) is UNDECIDED
    assert search.policy.depends_on_running
    while (answer := search.policy.propose(room=9, closing=True)) is UNDECIDED:
        time.sleep(0.001)
    assert answer is None and not search.policy.depends_on_running
    assert search.policy.judge(0, 1, 0.1, over_budget=True) is Verdict.CONTINUE, "it trains to its end"


def test_the_next_stage_waits_for_trials_that_may_be_paused(study: Study, journal: Journal) -> None:
    search = Search(study, journal, trials=1)
    finals = Stage(build_finals_store(journal), lambda _: {}, lambda _: study.base, limit=1, slots=1)

    def make_spec(proposal: Proposal, _: Stage) -> TrialSpec:
        return TrialSpec(proposal.number, "unused", config={})

    searcher = JournalSearcher(iter([search.stage, finals]), make_spec)
    assert searcher.suggest("a") is not None
    while (second := searcher.suggest("b")) is None and searcher.is_undecided:
        time.sleep(0.001)
    assert second is None and searcher.stage is search.stage


@pytest.mark.heavy
def test_one_slot_and_the_same_seed_give_the_same_search(study: Study, tmp_path: Path) -> None:
    def run(name: str) -> list:
        (tmp_path / name).mkdir()
        with open_journal(tmp_path / name) as journal:
            search = Search(study, journal, slots=1, epochs=60)
            search.run()
            return [search.events, [trial.params for trial in search.store.trials()]]

    assert run("first") == run("second")


def test_a_resumed_trial_is_not_judged_twice_at_the_same_level(study: Study, journal: Journal) -> None:
    search = Search(study, journal)
    while not any(what == "start" and epoch for what, _, epoch in search.events):
        assert search.step()
    number, epoch = next((number, epoch) for what, number, epoch in search.events if what == "start" and epoch)
    assert search.store[number].user_attrs[PAUSED] == 0
    value = search.store[number].intermediate_values[epoch]
    assert search.stage.judge(number, epoch, value) is Verdict.CONTINUE, "a resumed run reports its last epoch again"


def test_trials_may_all_diverge(study: Study, journal: Journal) -> None:
    search = Search(study, journal, trials=8)
    for _ in range(8):
        proposal = search.propose()
        assert proposal is not None
        search.stage.observe(proposal.number, 1, 0.0)
        search.store.set_user_attrs(proposal.number, {"diverged": True})
        search.store.finish(proposal.number, TrialState.PRUNED)
    assert search.propose() is None and search.policy.finalists(2) == []


def test_a_space_with_one_point_ends(study: Study, journal: Journal, make_one_point: Callable[[Study], Study]) -> None:
    search = Search(make_one_point(study), journal)
    search.run()
    assert [trial.state for trial in search.store.trials()] == [TrialState.COMPLETE]


@pytest.fixture
def make_one_point() -> Callable[[Study], Study]:
    def make(study: Study) -> Study:
        return Study.from_dict(
            {
                "sampler": {"name": "freeze_thaw"},
                "config": {"train_parameters": {"epochs": EPOCHS}},
                "space": {LR: 0.001},
            },
            "one point",
        )

    return make


def test_a_note_says_where_it_decides_and_what_limits_it(study: Study) -> None:
    note = policy_note(study)
    assert (
        note == "freeze-thaw: decides after epoch 1, 3, 6, 12, 20; trial-epoch budget 240; early_stopping is not used"
    )


def test_the_policy_of_a_study_with_this_sampler(study: Study, journal: Journal) -> None:
    store: TrialStore = build_search_store(journal, study)
    assert isinstance(build_policy(study, store, 2), Pausing)


def test_finals_tell_a_continued_search_what_a_seed_changes(study: Study, journal: Journal) -> None:
    search = Search(study, journal)
    search.run()
    finals = build_finals_store(journal)
    before = modelled_gain(study, search.store, finals)
    for seed, value in enumerate((0.2, 0.9, 0.2, 0.9)):
        finals.enqueue({}, {SOURCE: 0, SEED: seed})
        finals.finish(finals.propose(lambda _: {}).number, TrialState.COMPLETE, value)
    after = modelled_gain(study, search.store, finals)
    assert before and after and before(10) != after(10)
