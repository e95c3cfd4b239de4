"""Where the time of a search went: the parts add up, whatever is known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.reporting.study_report.findings.cost import FAILED, IDLE, IN_TRIALS, NOT_TRAINING, REST, Cost, cost_of
from hearai.reporting.study_report.study_record import StudyRecord, read_record
from tests.helpers.report_files import page_of

pytestmark = pytest.mark.heavy


@pytest.fixture
def record(finished: Path) -> StudyRecord:
    """7 s of trials on 2 slots, 30 s in all; every trial occupies its slot for half a second more than it trains."""
    record = read_record(finished)
    trials = [replace(one, started_at=100.0, ended_at=100.5 + (one.seconds or 0.5)) for one in record.trials]
    finals = [replace(one, started_at=100.0, ended_at=100.5 + (one.seconds or 0.0)) for one in record.finals]
    return replace(record, trials=trials, finals=finals)


def seconds_of(cost: Cost) -> dict[str, float]:
    assert sum(part.share for part in cost.parts) == pytest.approx(1)
    assert sum(part.slot_seconds for part in cost.parts) == pytest.approx(cost.total)
    return {part.name: round(part.slot_seconds, 6) for part in cost.parts}


def test_parts_add_up_to_wall_time_times_slots(record: StudyRecord) -> None:
    notes = {**record.notes, "slot_seconds": 20.0, "wall_seconds": 10.0}
    cost = cost_of(replace(record, notes=notes))
    assert (cost.slots, cost.wall, cost.is_complete) == (2, 30, True)
    known = {"training, search": 6.0, "training, finals": 4.0, IN_TRIALS: 4.0, FAILED: 1.0, IDLE: 5.0, REST: 40.0}
    assert seconds_of(cost) == known
    assert cost.busy == pytest.approx(0.75) and cost.training == pytest.approx(0.5)


def test_phases_before_and_after_count_for_all_slots(record: StudyRecord) -> None:
    phases = {"data": 3.0, "Ray's start": 5.0, "pre-training": 7.0, "search": 9.0, "test": 2.0}
    parts = seconds_of(cost_of(replace(record, notes={**record.notes, "phase_seconds": phases})))
    before = {"reading the data": 6, "start of Ray": 10, "pre-training": 14, "scoring the test clips": 4}
    assert before.items() <= parts.items() and parts[REST] == 2 * (30 - 7 - 17)


def test_older_searches_know_the_preparation_as_a_whole(record: StudyRecord) -> None:
    parts = seconds_of(cost_of(replace(record, notes={**record.notes, "pretraining_seconds": 4.0})))
    assert parts["pre-training and features"] == 8


def test_waiting_is_one_part_where_trials_paused(record: StudyRecord) -> None:
    trials = [replace(one, was_paused=one.number == 1) for one in record.trials]
    cost = cost_of(replace(record, trials=trials))
    assert seconds_of(cost)[NOT_TRAINING] == 4 and cost.busy is None


def test_spans_of_interrupted_trials_are_not_used(record: StudyRecord) -> None:
    trials = [replace(one, ended_at=9000.0) for one in record.trials]
    assert seconds_of(cost_of(replace(record, trials=trials)))[NOT_TRAINING] == 4


def test_a_running_search_lacks_the_time_around_its_trials(record: StudyRecord) -> None:
    notes = {key: value for key, value in record.notes.items() if key != "total_seconds"}
    cost = cost_of(replace(record, notes=notes))
    assert not cost.is_complete and cost.wall == 7 and REST not in seconds_of(cost)


def test_the_page_has_the_bar_and_its_table(finished: Path) -> None:
    text = page_of(finished).text
    assert "wall time 30.0 s x 2 slots" in text and "100.0\xa0%" in text


def test_nothing_is_known_before_a_trial_has_run(build_study: Callable) -> None:
    with build_study() as builder:
        record = read_record(builder.folder)
    assert cost_of(record) is None
