"""What a view of a search shows after its events."""

import pytest

from hearai.cli.progress import events
from hearai.cli.progress.events import EpochEnded, PhaseStarted, SlotsKnown, StudyOpened, TrialEnded, TrialStarted
from hearai.cli.progress.snapshot import ACTIVE, DONE, WAITING, Snapshot
from hearai.cli.progress.state import SearchState

LR, NAME = "train_parameters.lr", "transformer.name"


def study(**fields: object) -> StudyOpened:
    known = {"trials": 10, "phases": events.PHASES[:7], "max_epochs": 4, "final_runs": 6}
    return StudyOpened("mine", "runs/mine", "macro-F1", **{**known, "base": {LR: 0.1, NAME: "lstm"}, **fields})


def run(state: SearchState, label: str, start: float, end: float, objective: float, *, how: str = "complete") -> None:
    """A trial from its start to its end, in seconds."""
    params = {LR: objective, NAME: "lstm"}
    state.apply(TrialStarted(label, params), start)
    state.apply(EpochEnded(label, 4, 4, objective), end)
    state.apply(TrialEnded(label, how, 4, objective, end - start, params), end)


def searching(**fields: object) -> SearchState:
    state = SearchState(0)
    state.apply(PhaseStarted(events.DATA), 0)
    state.apply(study(**fields), 1)
    state.apply(SlotsKnown(2, "1 CPU"), 2)
    state.apply(PhaseStarted(events.SEARCH), 10)
    return state


def phase(snapshot: Snapshot, name: str) -> object:
    return next(one for one in snapshot.phases if one.name == name)


def test_phases_wait_run_and_end() -> None:
    snapshot = searching().snapshot(15)
    assert [one.name for one in snapshot.phases] == list(events.PHASES[:7])
    states = {one.name: one.state for one in snapshot.phases}
    assert (states["data"], states["search"], states["finals"]) == (DONE, ACTIVE, WAITING)
    assert phase(snapshot, "data").seconds == 10 and phase(snapshot, "search").seconds == 5


def test_trials_are_counted_by_state() -> None:
    state = searching()
    run(state, "0000", 10, 20, 0.1)
    run(state, "0001", 10, 20, 0.2, how="stopped")
    run(state, "0002", 20, 30, 0.2, how="paused")
    state.apply(TrialEnded("0003", "failed", reason="out of memory"), 31)
    state.apply(TrialStarted("0004"), 32)
    snapshot = state.snapshot(40)
    assert snapshot.counts == {"running": 1, "paused": 1, "complete": 1, "stopped": 1, "failed": 1}
    assert [one.label for one in snapshot.latest] == ["0003", "0002", "0001", "0000"]
    assert snapshot.busy == 1


def test_a_paused_trial_that_trains_on_counts_once() -> None:
    state = searching(epochs=40)
    run(state, "0000", 10, 20, 0.1, how="paused")
    state.apply(TrialStarted("0000"), 30)
    assert state.snapshot(31).counts["paused"] == 0 and state.snapshot(31).running[0].epoch == 4
    state.apply(TrialEnded("0000", "complete", 6, 0.3, 9.0), 40)
    snapshot = state.snapshot(41)
    assert {budget.unit: budget.used for budget in snapshot.budgets} == {"trials": 1, "epochs": 6}


def test_the_best_trial_is_compared_with_the_base_config() -> None:
    state = searching()
    run(state, "0000", 10, 20, 0.1)
    run(state, "0001", 10, 20, 0.5)
    run(state, "0002", 10, 20, 0.3)
    run(state, "0003", 10, 20, 0.9, how="stopped")
    snapshot = state.snapshot(21)
    assert snapshot.best == "0001" and snapshot.best_so_far == (0.1, 0.5, 0.5)
    assert snapshot.differences == (("lr", 0.1, 0.5),)


def test_time_left_is_unknown_before_the_pace_is() -> None:
    state = searching()
    run(state, "0000", 10, 20, 0.1)
    run(state, "0001", 10, 20, 0.1)
    assert state.snapshot(20).search_seconds_left is None
    run(state, "0002", 20, 30, 0.1)
    run(state, "0003", 20, 30, 0.1)
    snapshot = state.snapshot(30)
    assert snapshot.search_seconds_left == pytest.approx(6 * 20 / 4) and snapshot.pace_trials == 4
    assert snapshot.finals_seconds_left == pytest.approx(3 * 10)


def test_earlier_calls_count_but_do_not_set_the_pace() -> None:
    earlier = tuple(TrialEnded(f"{i:04d}", "complete", 4, 0.1 * i, 5.0) for i in range(8))
    state = searching(earlier=earlier, used_seconds=100.0, seconds=130.0)
    snapshot = state.snapshot(12)
    assert snapshot.counts["complete"] == 8 and snapshot.pace_trials == 0
    state.apply(TrialStarted("0008"), 12)
    budgets = {budget.unit: budget.used for budget in state.snapshot(22).budgets}
    assert budgets == {"trials": 8, "seconds": 110}
    assert state.snapshot(22).search_seconds_left == 20, "the time budget is known to the second"


def test_finals_overlap_the_search() -> None:
    state = searching(trials=2)
    run(state, "0000", 10, 20, 0.1)
    state.apply(TrialStarted("0001"), 20)
    state.apply(PhaseStarted(events.FINALS), 21)
    state.apply(TrialStarted("0000-seed1", is_final=True), 21)
    snapshot = state.snapshot(22)
    assert phase(snapshot, "search").state == ACTIVE and phase(snapshot, "finals").state == ACTIVE
    state.apply(TrialEnded("0001", "complete", 4, 0.2, 5.0), 25)
    state.apply(TrialEnded("0000-seed1", "complete", 4, 0.2, 5.0, is_final=True), 26)
    snapshot = state.snapshot(27)
    assert phase(snapshot, "search").state == DONE and snapshot.finals_done == 1
    assert phase(snapshot, "finals").share == pytest.approx(1 / 6)


def test_a_phase_with_progress_has_a_time_left() -> None:
    state = SearchState(0)
    state.apply(PhaseStarted(events.FEATURES), 0)
    state.apply(events.PhaseProgress(events.FEATURES, 0.25), 10)
    assert phase(state.snapshot(14), "features").seconds_left == 26
    state.apply(events.PhaseProgress(events.FEATURES, 0.5, seconds_left=7), 20)
    assert phase(state.snapshot(22), "features").seconds_left == 5


EVENTS = [
    study(earlier=(TrialEnded("0000", "paused", 1, None, None, {LR: 0.1}),)),
    events.Note("a\nb \x1b[31m ż", is_trial=True),
    PhaseStarted(events.RAY),
    events.PhaseProgress(events.FEATURES, 0.5),
    SlotsKnown(2, "1 CPU"),
    TrialStarted("0001", {LR: 0.1}),
    events.TrialRequeued("0001"),
    EpochEnded("0001", 1, 2, None),
    TrialEnded("0001-seed2", "failed", reason="x", is_final=True),
    events.Interrupted("ends"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_as_a_json_line(event: events.Event) -> None:
    line = events.to_json_line(event, 12.5)
    assert "\n" not in line and line.isascii()
    assert events.from_json_line(line) == (event, 12.5)


def test_numbers_that_json_lacks_become_null() -> None:
    line = events.to_json_line(EpochEnded("0", 1, 2, float("nan")), 1)
    assert events.from_json_line(line) == (EpochEnded("0", 1, 2, None), 1)


@pytest.mark.parametrize("line", ["", "text", '{"event": "x"}', '{"event": "note"', '{"event": "note", "at": 1}'])
def test_other_lines_are_no_events(line: str) -> None:
    assert events.from_json_line(line) is None
