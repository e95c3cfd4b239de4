"""The simulated clock and the incumbents of a search."""

import math

import pytest

from hearai.benchmarks.simulation import START_SECONDS, Run, simulate


class Task:
    """Run with params["x"] = X rises to X in four epochs of one second."""

    epochs = 4

    def curve(self, params: dict, seed: int) -> list[float]:
        return [params["x"] * share for share in (0.25, 0.5, 0.75, 1.0)]

    def true_value(self, params: dict) -> float:
        return params["x"]

    def epoch_seconds(self, params: dict) -> float:
        return 1.0


class FixedEngine:
    """Runs the given values of x one after another; stops those below 0.5 after their first epoch."""

    def __init__(self, *xs: float):
        self._xs = list(xs)
        self.reports: list[tuple[str, int]] = []

    def ask(self) -> Run | None:
        return Run(str(len(self._xs)), {"x": self._xs.pop(0)}) if self._xs else None

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        self.reports.append((key, epoch))
        return value * 4 / epoch >= 0.5


def test_clock_counts_starts_and_epochs_of_two_workers() -> None:
    engine = FixedEngine(0.9, 0.8, 0.7)
    incumbents = list(simulate(engine, Task(), workers=2, epoch_budget=100))
    assert engine.reports[:4] == [("3", 1), ("2", 1), ("3", 2), ("2", 2)] and len(incumbents) == 12
    assert incumbents[-1].seconds == pytest.approx(2 * (START_SECONDS + 4)), "two runs one after another on one worker"
    assert [incumbent.epochs for incumbent in incumbents] == list(range(1, 13))


def test_stopped_runs_cost_their_epochs_only() -> None:
    incumbents = list(simulate(FixedEngine(0.4, 0.9, 0.3), Task(), workers=1, epoch_budget=100))
    assert len(incumbents) == 1 + 4 + 1
    assert [incumbent.true_value for incumbent in incumbents] == [0.4, 0.9, 0.9, 0.9, 0.9, 0.9]


def test_budget_ends_a_simulation_in_the_middle_of_a_run() -> None:
    assert len(list(simulate(FixedEngine(0.9, 0.9), Task(), workers=1, epoch_budget=3))) == 3


class PausingEngine:
    """Pauses both runs after their second epoch, then lets the second one finish."""

    def __init__(self) -> None:
        self._asked = [Run("a", {"x": 0.4}), Run("b", {"x": 0.8}), Run("b", {"x": 0.8})]
        self.reports: list[tuple[str, int]] = []

    def ask(self) -> Run | None:
        return self._asked.pop(0) if self._asked else None

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        self.reports.append((key, epoch))
        return epoch != 2


def test_paused_run_goes_on_after_its_last_epoch() -> None:
    engine = PausingEngine()
    incumbents = list(simulate(engine, Task(), workers=1, epoch_budget=100))
    assert engine.reports == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3), ("b", 4)]
    assert incumbents[-1].seconds == pytest.approx(3 * START_SECONDS + 6), "resuming costs a start"


class DivergingTask(Task):
    """Runs diverge in their third epoch."""

    def curve(self, params: dict, seed: int) -> list[float]:
        return [-0.5, -0.4, math.nan, math.nan]


def test_diverged_run_ends_and_keeps_what_it_had_reached() -> None:
    engine = FixedEngine(0.9, 0.8)
    told: list[tuple[float, bool]] = []

    def tell(key: str, epoch: int, value: float, last: bool) -> bool:
        told.append((value, last))
        return True

    engine.tell = tell
    incumbents = list(simulate(engine, DivergingTask(), workers=1, epoch_budget=100))
    assert len(incumbents) == 6 and told[:2] == [(-0.5, False), (-0.4, False)]
    assert math.isnan(told[2][0]) and told[2][1]
    assert [incumbent.true_value for incumbent in incumbents] == [0.9] * 6, "values below 0 count, too"
