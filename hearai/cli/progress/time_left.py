"""How long a search will still take: from the pace of its trials in this call, or not at all."""

import math
import statistics
from collections.abc import Sequence

FEWEST_ENDED = 3
"""Trials that must have ended in this call, and at least one per slot."""


def search_time_left(
    *, elapsed: float, ended: int, slots: int, trials_left: int, epochs: int, epochs_left: float, seconds_left: float
) -> float | None:
    """Seconds until the first budget of the search is used up; None = the pace is not known yet.

    Args:
        elapsed: seconds since the first trial of this call was started.
        ended, epochs: trials and trial-epochs that ended in this call.
        trials_left, epochs_left, seconds_left: of the budgets; infinite = no such budget.
    """
    if trials_left <= 0 or epochs_left <= 0 or seconds_left <= 0:
        return 0.0
    if ended < max(FEWEST_ENDED, slots) or elapsed <= 0:
        return seconds_left if math.isfinite(seconds_left) else None
    by_epochs = epochs_left * elapsed / epochs if epochs else math.inf
    return min(trials_left * elapsed / ended, by_epochs, seconds_left)


def finals_time_left(epoch_seconds: Sequence[float], max_epochs: int, runs: int, slots: int) -> float | None:
    """Seconds that so many runs to the last epoch take; None = no trial was complete yet.

    epoch_seconds: seconds per epoch of complete trials.
    """
    if not epoch_seconds or not slots:
        return 0.0 if not runs else None
    return math.ceil(runs / slots) * max_epochs * statistics.median(epoch_seconds)


def rough_time(seconds: float) -> str:
    """`40 s`, `12 min` or `3 h 05 min`: rounded as far as a prediction is."""
    if seconds < 90:
        return f"{max(5 * round(seconds / 5), 5)} s" if seconds > 0 else "0 s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
