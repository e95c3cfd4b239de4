"""Utilisation of a cluster's slots, computed from the start and end times of trials. Independent of Ray."""

from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[float, float]
"""(start, end) in seconds, on one clock; the end is not before the start."""


def busy_seconds(spans: Sequence[Span], window: Span) -> float:
    """Seconds of the spans inside the window, summed over all spans."""
    return sum(max(0.0, min(end, window[1]) - max(start, window[0])) for start, end in spans)


def utilisation(spans: Sequence[Span], slots: int, window: Span) -> float:
    """Busy slot-seconds over all slot-seconds of the window: 0..1.

    Raises:
        ValueError: the window is empty.
    """
    if window[1] <= window[0]:
        raise ValueError(f"window {window}: ends before it starts")
    return busy_seconds(spans, window) / (slots * (window[1] - window[0]))


def first_full(spans: Sequence[Span], slots: int) -> float | None:
    """When `slots` spans overlap for the first time; None if never. Spans that only touch do not overlap."""
    events = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    running = 0
    for time, change in events:
        running += change
        if running >= slots:
            return time
    return None


@dataclass(frozen=True)
class Phases:
    """The three phases of a search, in seconds."""

    first_trial: float
    """From the cluster being ready to the start of the first trial."""
    ramp_up: float
    """From the cluster being ready to all slots being busy for the first time."""
    steady: float
    """From the end of the ramp-up to the start of the last trial."""
    drain: float
    """From the start of the last trial until all trials have ended."""
    occupied: float
    """Share of the slot-seconds of the steady state in which a slot had a trial: 0..1."""
    training: float
    """Share in which that trial was training, neither waiting for the search nor late: 0..1."""


def phases_of(trials: Sequence[Span], epochs: Sequence[Span], slots: int, ready: float) -> Phases | None:
    """The phases; None if the slots were never all busy before the last trial started.

    trials, epochs: spans of all trials and of all their epochs. ready: when trials could have started.
    """
    full, last = first_full(trials, slots), max((start for start, _ in trials), default=ready)
    if full is None or full >= last:
        return None
    window = (full, last)
    return Phases(
        first_trial=min(start for start, _ in trials) - ready,
        ramp_up=full - ready,
        steady=last - full,
        drain=max(end for _, end in trials) - last,
        occupied=utilisation(trials, slots, window),
        training=utilisation(epochs, slots, window),
    )
