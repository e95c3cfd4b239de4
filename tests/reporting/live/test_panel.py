"""The panel of the live view."""

from collections.abc import Sequence

import pytest

from hearai.cli.progress import events
from hearai.cli.progress.events import EpochEnded, PhaseStarted, SlotsKnown, StudyOpened, TrialEnded, TrialStarted
from hearai.cli.progress.state import SearchState
from hearai.reporting.live.panel import ASCII, bar, clock, panel_lines, sparkline

LR, NAME = "train_parameters.lr", "transformer.name"


def searched(trials: int = 12, running: int = 2) -> SearchState:
    state = SearchState(0)
    state.apply(PhaseStarted(events.DATA), 0)
    phases, base = events.PHASES[:7], {LR: 0.1, NAME: "vanilla"}
    state.apply(StudyOpened("mine", "runs/mine", "macro-F1", 40, 400, 3600, phases=phases, final_runs=6, base=base), 1)
    state.apply(SlotsKnown(running, "1 CPU"), 2)
    state.apply(PhaseStarted(events.SEARCH), 5)
    for number in range(trials):
        label, params = f"{number:04d}", {LR: 0.01 * number, NAME: "lstm"}
        state.apply(TrialStarted(label, params), 5 + number)
        state.apply(TrialEnded(label, "complete", 10, 0.3 + 0.02 * number, 9.0, params), 6 + number)
    for number in range(trials, trials + running):
        state.apply(TrialStarted(f"{number:04d}", {LR: 0.5, NAME: "lstm\x1b[31m" * 20}), 20)
        state.apply(EpochEnded(f"{number:04d}", 3, 10, 0.2), 21)
    return state


def text_of(state: SearchState, width: int, height: int = 40, extra: Sequence[str] = (), **more: object) -> list[str]:
    return [line.plain for line in panel_lines(state.snapshot(22), width, height, extra=extra, **more)]


@pytest.mark.parametrize("width", [20, 40, 80, 129, 130, 160, 300])
@pytest.mark.parametrize("height", [1, 3, 10, 24, 60])
@pytest.mark.parametrize("running", [0, 2, 100])
def test_the_panel_fits_the_terminal(width: int, height: int, running: int) -> None:
    lines = panel_lines(searched(running=running).snapshot(22), width, height, extra=["x" * 500])
    assert len(lines) <= height and max(line.cell_len for line in lines) <= width


@pytest.mark.parametrize("width", [80, 160])
def test_the_panel_says_what_is_happening(width: int) -> None:
    text = "\n".join(text_of(searched(trials=24), width))
    for part in (
        "mine",
        "data ✓",
        "about",
        "2 running  0 paused  24 complete  0 stopped  0 failed",
        "24 of 40 trials",
        "0:17 of 1:00:00",
        "0.760 macro-F1, trial 0023",
        "lr 0.1 → 0.23, name vanilla → lstm",
        "2 of 2 busy",
        "3/10",
        "promising     lr 0.18 .. 0.23",
    ):
        assert part in text, f"{part}\n{text}"


def test_escape_sequences_of_names_are_not_obeyed() -> None:
    assert not [line for line in text_of(searched(), 160) if "\x1b" in line]


def test_hidden_trials_are_counted() -> None:
    lines = text_of(searched(running=100), 80, 22)
    shown = sum(" epoch   3/10" in line for line in lines)
    assert 0 < shown < 20 and any(line.strip() == f"and {100 - shown} more" for line in lines)


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert "\n".join(text_of(searched(), 80, glyphs=ASCII)).isascii()


def test_an_interruption_is_the_last_line_whatever_the_height() -> None:
    state = searched()
    state.apply(events.Interrupted("saving"), 22)
    assert text_of(state, 80, 5)[-1] == "saving"


def test_clock_counts_hours() -> None:
    assert [clock(seconds) for seconds in (7.9, 750, 11_100)] == ["0:07", "12:30", "3:05:00"]


def test_sparkline_shows_ends_and_fits() -> None:
    assert sparkline([0, 0.5, 1], 10) == "▁▅█" and sparkline([], 10) == "" and sparkline([0.3], 10) == "█"
    assert len(sparkline(range(1000), 32)) == 32 and sparkline(range(1000), 32)[-1] == "█"


def test_bar_is_full_only_at_the_end() -> None:
    assert bar(0, 4) == "────" and bar(0.99, 4) == "━━━─" and bar(1, 4) == "━━━━"
