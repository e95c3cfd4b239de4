"""The outcome of a search in words: did it help, and by more than chance?"""

import math
from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report.tables import compared, score


def headline(summary: Mapping[str, Any]) -> str:
    """One or two sentences; honest about what is not known."""
    trials, best, test = summary["trials"], summary["best"], summary["test"]
    words = summary["objective"]["words"]
    if not trials["total"]:
        return "Nothing has run yet."
    if test is None:
        return _unfinished(trials, best, summary["baseline"], words)
    more = "" if summary["finished"] else " The search has gone on since: its newest trials are not in these scores."
    return _compared(test["base"], test["winner"], words) + more


def _unfinished(
    trials: Mapping[str, int], best: Mapping[str, Any] | None, baseline: Mapping[str, Any] | None, words: str
) -> str:
    if best is None:
        ended = trials["pruned"] + trials["failed"]
        return f"No trial is complete yet: {ended} of {trials['total']} ended early or failed."
    base = f", the base config's is {score(baseline['value'])}" if baseline else ""
    return (
        f"The search is unfinished: the test clips have not been scored. Best validation {words} so far is "
        f"{score(best['value'])} (trial {best['trial']}){base}."
    )


def _compared(base: Mapping[str, Any] | None, winner: Mapping[str, Any], words: str) -> str:
    """Winner and base config on the test clips. The spread is that of the difference of two single runs."""
    if base is None:
        return (
            f"The winner, trial {winner['trial']}, has {words} {_mean(winner)} on the test clips. "
            "The base config failed, so there is nothing to compare it with."
        )
    if winner["trial"] == base["trial"]:
        return (
            f"The base config itself is the winner: nothing that was tried is better over fresh seeds. "
            f"Its {words} on the test clips is {_mean(base)}."
        )
    gain = compared(winner) - compared(base)
    runs = len(winner["per_seed"])
    scores = f"{words} {_mean(winner)} against {_mean(base)} on the test clips{_seeds(runs)}"
    name = f"The winner, trial {winner['trial']},"
    if gain <= 0:
        return f"{name} does not beat the base config: {scores}. It was ahead on the validation clips only."
    if len(winner["per_seed"]) < 2 or len(base["per_seed"]) < 2:
        return f"{name} is ahead of the base config: {scores}. One run each, so it may be by chance."
    spread = math.hypot(winner["std"], base["std"])
    if gain > spread:
        return f"{name} beats the base config: {scores}. The gain of {gain:.3f} is above the spread of {spread:.3f}."
    return (
        f"{name} is not clearly better than the base config: {scores}. "
        f"The gain of {gain:.3f} is within the spread of {spread:.3f}."
    )


def _mean(scores: Mapping[str, Any]) -> str:
    spread = f" +- {score(scores['std'])}" if len(scores["per_seed"]) > 1 else ""
    return score(compared(scores)) + spread


def _seeds(runs: int) -> str:
    return f" (mean +- std over {runs} seeds)" if runs > 1 else ""
