"""Where the time of a search went: slot-seconds, its wall time multiplied by the trials that could run at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hearai.cli.progress.events import DATA, FEATURES, PRETRAINING, RAY, RETRAINING, TEST
from hearai.reporting.study_report.study_record import FinalRecord, StudyRecord, TrialRecord
from hearai.search.storage import attributes

Run = TrialRecord | FinalRecord
TRAINING, TRAINING_FINALS = "training, search", "training, finals"
FAILED, IN_TRIALS, IDLE = "failed trials", "trials outside of training", "idle slots"
NOT_TRAINING = "trials outside of training, and idle slots"
REST = "everything else"
OTHER_PHASES = {DATA: "reading the data", RAY: "start of Ray", TEST: "scoring the test clips", RETRAINING: "retraining"}
PREPARATION = "pre-training and features"
BUSY = (TRAINING, TRAINING_FINALS, FAILED, IN_TRIALS)
"""Parts in which a slot has a trial."""
NEGLIGIBLE = 1e-4
"""Share of all slot-seconds below which a part is left out: rounding leaves such rests."""
CLOCK_ERROR = 0.02
"""Share of the slots' time by which spans of trials may exceed it: they are measured by another process."""


@dataclass(frozen=True)
class CostPart:
    """One use of the slots."""

    name: str
    slot_seconds: float
    share: float
    """Of all slot-seconds, in [0, 1]."""


@dataclass(frozen=True)
class Cost:
    """All slot-seconds of a search, divided into parts that add up to them."""

    slots: float
    """Trials that could run at once; the mean where it differed between calls."""
    wall: float
    """Seconds of all calls."""
    is_complete: bool
    """Whether the time before and after the trials is known: it is recorded when a call ends."""
    parts: Sequence[CostPart]
    """In the order of time, without negligible ones."""

    @property
    def total(self) -> float:
        """Slot-seconds."""
        return self.slots * self.wall

    @property
    def busy(self) -> float | None:
        """Share of the slot-seconds of the trials' phase in which a slot had a trial; None = unknown."""
        return self._share_of_trials(BUSY) if self._seconds([NOT_TRAINING]) == 0 else None

    @property
    def training(self) -> float:
        """Share of the slot-seconds of the trials' phase in which a slot trained."""
        return self._share_of_trials((TRAINING, TRAINING_FINALS))

    def _share_of_trials(self, names: Sequence[str]) -> float:
        phase = self._seconds([*BUSY, IDLE, NOT_TRAINING])
        return self._seconds(names) / phase if phase else 0.0

    def _seconds(self, names: Sequence[str]) -> float:
        return sum(part.slot_seconds for part in self.parts if part.name in names)


def cost_of(record: StudyRecord) -> Cost | None:
    """The parts of a search's time; None before the first trial's time is recorded.

    What comes before and after the trials counts for all slots: none of them can train then.
    """
    wall_of_trials, capacity = (record.notes.get(key) for key in (attributes.WALL_SECONDS, attributes.SLOT_SECONDS))
    if not wall_of_trials or not capacity:
        return None
    slots, phases = capacity / wall_of_trials, record.notes.get(attributes.PHASE_SECONDS, {})
    before, after = _before(record, phases), _phases(phases, (TEST, RETRAINING))
    around = sum(before.values()) + sum(after.values())
    total = record.notes.get(attributes.TOTAL_SECONDS)
    wall = max(total or 0.0, wall_of_trials + around)
    seconds = {
        **{name: one * slots for name, one in before.items()},
        **_trial_parts(record, capacity),
        **{name: one * slots for name, one in after.items()},
        REST: (wall - wall_of_trials - around) * slots,
    }
    sum_ = sum(seconds.values())
    parts = [CostPart(name, one, one / sum_) for name, one in seconds.items() if one > NEGLIGIBLE * sum_]
    return Cost(slots, wall, total is not None, parts)


def _before(record: StudyRecord, phases: Mapping[str, float]) -> dict[str, float]:
    """{what comes before the trials: wall seconds}; older searches know pre-training and features together."""
    known = _phases(phases, (DATA, RAY, PRETRAINING, FEATURES))
    if known or not (seconds := record.notes.get(attributes.PRETRAINING_SECONDS)):
        return known
    return {PREPARATION: seconds}


def _phases(phases: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    return {OTHER_PHASES.get(name, name): phases[name] for name in names if name in phases}


def _trial_parts(record: StudyRecord, capacity: float) -> dict[str, float]:
    """{use of the slots: slot-seconds} between the start of the first and the end of the last trial.

    Where a trial does not occupy its slot from its start to its end (it paused, or the search was interrupted), what is
    not training is one part.
    """
    training = {
        TRAINING: sum(trial.seconds or 0.0 for trial in record.trials),
        TRAINING_FINALS: sum(final.seconds or 0.0 for final in record.finals),
    }
    everything: list[Run] = [*record.trials, *record.finals]
    runs = [run for run in everything if run.state != "WAITING"]
    spans = [_span(run) for run in runs]
    known = [span for span in spans if span is not None]
    rest = max(0.0, capacity - sum(training.values()))
    if len(known) < len(spans) or sum(known) > capacity * (1 + CLOCK_ERROR):
        return {**training, NOT_TRAINING: rest}
    failed = sum(span for run, span in zip(runs, known, strict=True) if run.state == "FAIL" and not run.seconds)
    outside = sum(max(0.0, span - run.seconds) for run, span in zip(runs, known, strict=True) if run.seconds)
    outside = min(outside, rest - min(failed, rest))
    return {**training, IN_TRIALS: outside, FAILED: min(failed, rest), IDLE: max(0.0, rest - failed - outside)}


def _span(run: Run) -> float | None:
    """Seconds for which a run that has ended occupied its slot; None = unknown."""
    if run.started_at is None or run.ended_at is None or (isinstance(run, TrialRecord) and run.was_paused):
        return None
    return max(0.0, run.ended_at - run.started_at)
