"""How busy the slots of a cluster were, from the times at which trials began and ended. Knows no Ray."""

from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[float, float]
"""(start, end) in seconds, on one clock; the end is not before the start."""


def busy_seconds(spans: Sequence[Span], window: Span) -> float:
    """Seconds of the spans that lie in the window, summed over all spans."""
    return sum(max(0.0, min(end, window[1]) - max(start, window[0])) for start, end in spans)


def utilisation(spans: Sequence[Span], slots: int, window: Span) -> float:
    """Busy slot-seconds over all slot-seconds of the window: 0..1.

    Raises:
        ValueError: the window is empty.
    """
    if window[1] <= window[0]:
        raise ValueError(f"window {window}: ends before it begins")
    return busy_seconds(spans, window) / (slots * (window[1] - window[0]))


def first_full(spans: Sequence[Span], slots: int) -> float | None:
    """When so many spans overlap for the first time; None if they never do. One that ends as another begins is over."""
    moments = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    running = 0
    for moment, change in moments:
        running += change
        if running >= slots:
            return moment
    return None


@dataclass(frozen=True)
class Phases:
    """A search in three parts, in seconds."""

    first_trial: float
    """From the cluster being ready to the first trial's start."""
    ramp_up: float
    """From the cluster being ready to all slots being busy for the first time."""
    steady: float
    """From there to the start of the last trial."""
    drain: float
    """From there to the end of the last trial."""
    held: float
    """Share of the steady slot-seconds in which a slot had a trial: 0..1."""
    at_work: float
    """Share of them in which that trial was at work, neither waiting for the search nor late: 0..1."""


def phases_of(trials: Sequence[Span], work: Sequence[Span], slots: int, ready: float) -> Phases | None:
    """None if the slots were never all busy, or only once the last trial had begun.

    trials: of each trial. work: what of these the trials were at work for. ready: when trials could have begun.
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
        held=utilisation(trials, slots, window),
        at_work=utilisation(work, slots, window),
    )
