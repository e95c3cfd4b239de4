"""The seconds of each phase of a search."""

from hearai.cli.progress.events import DATA, SEARCH, Event, Note, PhaseStarted
from hearai.cli.progress.phase_clock import PhaseClock


def test_events_are_passed_on() -> None:
    seen: list[Event] = []
    clock = PhaseClock(seen.append)
    clock(PhaseStarted(DATA))
    clock(Note("a line"))
    assert seen == [PhaseStarted(DATA), Note("a line")]


def test_seconds_add_up_to_the_time_since_the_first_phase() -> None:
    time = [0.0]
    clock = PhaseClock(lambda _: None, lambda: time[0])
    for phase, at in ((DATA, 1.0), (SEARCH, 4.0), (SEARCH, 5.0), (DATA, 9.0)):
        time[0] = at
        clock(PhaseStarted(phase))
    time[0] = 11.0
    assert clock.seconds() == {DATA: 5.0, SEARCH: 5.0}
    time[0] = 12.0
    assert clock.seconds() == {DATA: 6.0, SEARCH: 5.0}
