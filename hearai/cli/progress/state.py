"""`SearchState`: adds up the events of a search to a snapshot. It knows neither Ray nor Optuna, nor the clock."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod
from typing import Any

from hearai.cli.progress import events
from hearai.cli.progress.names import short_names
from hearai.cli.progress.phases import Phases
from hearai.cli.progress.promising import promising_values
from hearai.cli.progress.snapshot import ACTIVE, WAITING, Budget, Ended, Phase, Running, Snapshot
from hearai.cli.progress.time_left import finals_time_left, search_time_left

LATEST = 8
"""Ended trials that are kept as the latest."""


@dataclass
class _Started:
    event: events.TrialStarted
    at: float
    epoch: int = 0
    epochs: int | None = None
    objective: float | None = None


@dataclass
class _Totals:
    """What the search has used."""

    epochs: dict[str, int] = field(default_factory=dict)
    """{label: last epoch} of the trials of the search."""
    epochs_before: int = 0
    ended_now: int = 0
    """Trials that ended in this call."""
    first_start: float | None = None


class SearchState:
    """The events of a search so far. `apply` takes the next one, `snapshot` says what they mean at a time."""

    def __init__(self, at: float) -> None:
        """at: now, in seconds; the same clock as everywhere here."""
        self._began = at
        self._opened = events.StudyOpened("", "", "score", 0)
        self._slots = events.SlotsKnown(0, "")
        self._phases = Phases()
        self._running: dict[str, _Started] = {}
        self._ended: dict[str, events.TrialEnded] = {}
        """{label: how it ended last} of trials and finals, in their order."""
        self._totals = _Totals()
        self._note = self._interrupted = ""

    @singledispatchmethod
    def apply(self, event: events.Event, at: float) -> None:
        """Adds an event that happened at a time."""
        raise TypeError(f"not an event: {event!r}")

    @apply.register
    def _(self, event: events.Note, at: float) -> None:
        if not event.is_trial:
            self._note = event.text.strip().splitlines()[-1] if event.text.strip() else ""

    @apply.register
    def _(self, event: events.StudyOpened, at: float) -> None:
        self._opened = event
        for trial in event.earlier:
            self._keep(trial)
        self._totals.epochs_before = sum(self._totals.epochs.values())

    @apply.register
    def _(self, event: events.PhaseStarted, at: float) -> None:
        self._phases.start(event.phase, at)
        self._note = ""

    @apply.register
    def _(self, event: events.PhaseProgress, at: float) -> None:
        self._phases.progress(event, at)

    @apply.register
    def _(self, event: events.SlotsKnown, at: float) -> None:
        self._slots = event

    @apply.register
    def _(self, event: events.TrialStarted, at: float) -> None:
        known = self._ended.pop(event.label, None)  # a paused one, which trains on
        self._running[event.label] = _Started(event, at, epoch=known.epoch if known else 0)
        if not event.is_final and self._totals.first_start is None:
            self._totals.first_start = at

    @apply.register
    def _(self, event: events.TrialRequeued, at: float) -> None:
        self._running.pop(event.label, None)

    @apply.register
    def _(self, event: events.EpochEnded, at: float) -> None:
        if trial := self._running.get(event.label):
            trial.epoch, trial.epochs, trial.objective = event.epoch, event.epochs, event.objective
            if not trial.event.is_final:
                self._count_epochs(event.label, event.epoch)

    @apply.register
    def _(self, event: events.TrialEnded, at: float) -> None:
        self._running.pop(event.label, None)
        self._keep(event)
        if not event.is_final and event.state != events.PAUSED:
            self._totals.ended_now += 1

    @apply.register
    def _(self, event: events.Interrupted, at: float) -> None:
        self._interrupted = event.text

    def _keep(self, trial: events.TrialEnded) -> None:
        self._ended.pop(trial.label, None)
        self._ended[trial.label] = trial
        if not trial.is_final:
            self._count_epochs(trial.label, trial.epoch)

    def _count_epochs(self, label: str, epoch: int) -> None:
        self._totals.epochs[label] = max(epoch, self._totals.epochs.get(label, 0))

    def snapshot(self, at: float) -> Snapshot:
        """What is happening at a time, which is not before the last event."""
        opened, searched = self._opened, [trial for trial in self._ended.values() if not trial.is_final]
        finals_done, budgets = sum(trial.is_final for trial in self._ended.values()), self._budgets(searched, at)
        search_left, finals_left = self._search_left(budgets, at), self._finals_left(finals_done)
        best_so_far, best = _best(searched)
        return Snapshot(
            study=opened.study,
            folder=opened.folder,
            score=opened.score,
            phases=(
                *self._phases.before_trials(opened.phases, at),
                *self._trial_phases(budgets, finals_done, search_left, finals_left, at),
                *self._phases.after_trials(opened.phases, at),
            ),
            counts=self._counts(searched),
            finals_done=finals_done,
            finals_total=opened.final_runs,
            budgets=budgets,
            search_seconds_left=search_left,
            finals_seconds_left=finals_left,
            pace_trials=self._totals.ended_now,
            may_end_early=opened.may_end_early,
            best_so_far=best_so_far,
            best=best.label if best else None,
            differences=self._differences(best) if best else (),
            running=tuple(_running(trial, at) for trial in self._running.values()),
            latest=tuple(_ended(trial) for trial in list(self._ended.values())[: -LATEST - 1 : -1]),
            slots=self._slots.slots,
            resources=self._slots.resources,
            gpus=self._slots.gpus,
            promising=self._promising(searched),
            note=self._note,
            interrupted=self._interrupted,
            seconds=at - self._began,
        )

    def _counts(self, searched: list[events.TrialEnded]) -> dict[str, int]:
        counts = Counter(trial.state for trial in searched)
        counts[events.RUNNING] = sum(not trial.event.is_final for trial in self._running.values())
        return {state: counts[state] for state in events.STATES}

    def _differences(self, best: events.TrialEnded) -> tuple[tuple[str, Any, Any], ...]:
        """Where the best trial is not the base config, by short names."""
        base, names = self._opened.base, short_names([*self._opened.base, *best.params])
        return tuple(
            (names[path], base.get(path), value) for path, value in best.params.items() if base.get(path) != value
        )

    def _promising(self, searched: list[events.TrialEnded]) -> tuple[str, ...]:
        names = short_names(dict.fromkeys(path for trial in searched for path in trial.params))
        scored = [
            (trial.objective, {names[path]: value for path, value in trial.params.items()})
            for trial in searched
            if trial.objective is not None and trial.params
        ]
        return promising_values(scored)

    def _trial_phases(
        self,
        budgets: Sequence[Budget],
        finals_done: int,
        search_left: float | None,
        finals_left: float | None,
        at: float,
    ) -> list[Phase]:
        """Search and finals overlap, so their trials say how far they are."""
        found = []
        if search := self._phases.one(events.SEARCH, self._opened.phases, at):
            shares = [budget.used / budget.limit for budget in budgets if budget.limit]
            is_on = any(not trial.event.is_final for trial in self._running.values())
            share, state = min(max(shares, default=0.0), 1.0), ACTIVE if is_on else search.state
            started = search.state != WAITING
            found.append(replace(search, state=state, share=share, seconds_left=search_left) if started else search)
        if finals := self._phases.one(events.FINALS, self._opened.phases, at):
            share = min(finals_done / max(self._opened.final_runs, 1), 1.0)
            found.append(replace(finals, share=share, seconds_left=finals_left))
        return found

    def _used_seconds(self, at: float) -> float:
        """Wall time of the trials, over all calls."""
        since = 0.0 if self._totals.first_start is None else at - self._totals.first_start
        return self._opened.used_seconds + since

    def _budgets(self, searched: list[events.TrialEnded], at: float) -> tuple[Budget, ...]:
        opened, epochs = self._opened, sum(self._totals.epochs.values())
        ended = sum(trial.state != events.PAUSED for trial in searched)
        found = [Budget("trials", ended, opened.trials)] if opened.trials else []
        found += [Budget("epochs", epochs, opened.epochs)] if opened.epochs is not None else []
        found += [Budget("seconds", self._used_seconds(at), opened.seconds)] if opened.seconds is not None else []
        return tuple(found)

    def _search_left(self, budgets: Sequence[Budget], at: float) -> float | None:
        totals, left = self._totals, {budget.unit: budget.limit - budget.used for budget in budgets}
        return search_time_left(
            elapsed=at - totals.first_start if totals.first_start is not None else 0.0,
            ended=totals.ended_now,
            slots=self._slots.slots,
            trials_left=int(left.get("trials", 0)),
            epochs=sum(totals.epochs.values()) - totals.epochs_before,
            epochs_left=left.get("epochs", math.inf),
            seconds_left=left.get("seconds", math.inf),
        )

    def _finals_left(self, finals_done: int) -> float | None:
        complete = [trial for trial in self._ended.values() if trial.state == events.COMPLETE]
        per_epoch = [trial.seconds / trial.epoch for trial in complete if trial.seconds and trial.epoch]
        runs = max(self._opened.final_runs - finals_done, 0)
        return finals_time_left(per_epoch, self._opened.max_epochs, runs, self._slots.slots)


def _best(searched: list[events.TrialEnded]) -> tuple[tuple[float, ...], events.TrialEnded | None]:
    """(the best objective after each complete trial, the best complete trial)."""
    curve: list[float] = []
    best = None
    for trial in searched:
        if trial.state == events.COMPLETE and trial.objective is not None:
            if best is None or best.objective is None or trial.objective > best.objective:
                best = trial
            curve.append(best.objective if best.objective is not None else trial.objective)
    return tuple(curve), best


def _running(trial: _Started, at: float) -> Running:
    event = trial.event
    return Running(event.label, trial.epoch, trial.epochs, trial.objective, at - trial.at, event.params, event.is_final)


def _ended(trial: events.TrialEnded) -> Ended:
    return Ended(trial.label, trial.state, trial.epoch, trial.objective, trial.seconds, trial.reason)
