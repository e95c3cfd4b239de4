"""The outcome of a search in one or two sentences: whether the winner beats the base config by more than the noise.

And what has to be known to read its test scores.
"""

import math
from itertools import takewhile

from hearai.metrics import gap_remark
from hearai.reporting.study_report.final_scores import ConfigScores
from hearai.reporting.study_report.summary import BestTrial, StudySummary
from hearai.reporting.text import score
from hearai.search.early_stopping.counterfactual import Counterfactual
from hearai.search.early_stopping.expected_gain import describe_gain


def headline(summary: StudySummary) -> str:
    """The outcome, or how far the search has come."""
    if not summary.trials.total:
        return "No trial has started yet."
    if summary.test is None:
        return _unfinished(summary, summary.best) if summary.best else _without_complete_trial(summary)
    verdict = _compare(summary.test.base, summary.test.winner, summary.objective.label)
    return (
        verdict if summary.finished else f"{verdict} Trials started after the test clips were scored are not included."
    )


def verdict_status(summary: StudySummary) -> str:
    """PASS, WARNING, FAIL or UNKNOWN: of the check of gain against noise; FAIL if every trial failed."""
    if _all_failed(summary):
        return "FAIL"
    return next((check.status for check in summary.health if check.id == "gain"), "UNKNOWN")


def _all_failed(summary: StudySummary) -> bool:
    return 0 < summary.trials.total == summary.trials.failed


def score_remarks(summary: StudySummary) -> list[str]:
    """Which runs the test scores are of, and whether they are far from the validation scores."""
    if summary.test is None:
        return []
    winner, remarks = summary.test.winner, []
    if winner.seeds:
        remarks.append(_scored_runs(summary.best.model_seed if summary.best else None, winner))
    if validation := summary.winner_validation:
        value, runs = validation
        if gap := gap_remark(value, winner.objective):
            remarks.append(
                f"Validation and test differ: the winner, {runs}, has {summary.objective.label} {score(value)} on the "
                f"validation clips and {score(winner.objective)} on the test clips. {gap}"
            )
    return remarks


def _scored_runs(model_seed: int | None, winner: ConfigScores) -> str:
    """Which runs were scored on the test clips, and whether that in best/ is one of them.

    model_seed: see `BestTrial`.
    """
    count = len(winner.seeds)
    scored = f"The test scores are of {f'{count} runs with new seeds' if count > 1 else 'the run with a new seed'}."
    if model_seed is None:
        return (
            f"{scored} best/ has the winner's run in the search, which is not among them: evaluate.py gives another "
            "score for it."
        )
    which = f"the best of them on the validation clips, with seed {model_seed}" if count > 1 else "this run"
    mean = ": evaluate.py gives the score of this run alone" if count > 1 else ""
    return f"{scored} The winner's run in the search did not complete, so best/ has {which}{mean}."


def stopping_remark(summary: StudySummary) -> str:
    """What early stopping from an earlier epoch would have saved and lost, or why that is unknown.

    The epoch is the earliest one from which on, at every later candidate too, the winner would have been kept.
    """
    stopping, best = summary.early_stopping, summary.best
    if not stopping.outcomes:
        return f"What earlier stopping would have saved is unknown: {stopping.note}."
    is_winner = summary.test is not None and best is not None and best.trial == stopping.trial
    name = "the winner" if is_winner else f"trial {stopping.trial}, the best one"
    keeping = list(takewhile(lambda outcome: stopping.trial in outcome.kept, reversed(stopping.outcomes)))
    lost = [outcome.grace_epochs for outcome in stopping.outcomes if outcome not in keeping]
    outcome = keeping[-1] if keeping else stopping.outcomes[-1]
    result = f"kept {name}{_kept_finalists(summary, outcome)}" if keeping else f"lost {name}"
    return (
        f"With the same trials, stopping {'also ' if stopping.stopped else ''}from epoch {outcome.grace_epochs} (asha, "
        f"one in {stopping.reduction_factor} continues) would have saved {outcome.saved:.0%} of the epochs and {result}"
        + (f"; from epoch {lost[-1]}, it would have been lost." if keeping and lost else ".")
    )


def _kept_finalists(summary: StudySummary, outcome: Counterfactual) -> str:
    others = summary.early_stopping.finalists
    kept = sum(number in outcome.kept for number in others)
    return f" and {kept} of {len(others)} other finalists" if others else ""


def gain_remark(summary: StudySummary) -> str | None:
    """What more trials are expected to gain against the spread of seeds; None if one of the two is not known."""
    gain = summary.expected_gain
    return f"{describe_gain(gain.gain, gain.seed_spread)}." if gain else None


def _without_complete_trial(summary: StudySummary) -> str:
    trials = summary.trials
    if _all_failed(summary):
        return f"No trial succeeded: {trials.failed} of {trials.total} failed."
    return f"No trial is complete yet: {trials.total} started, {trials.pruned} stopped early, {trials.failed} failed."


def _unfinished(summary: StudySummary, best: BestTrial) -> str:
    base = f"; base config: {score(summary.baseline.value)}" if summary.baseline else ""
    return (
        f"The search is unfinished; the test clips have not been scored. Best validation {summary.objective.label} so "
        f"far: {score(best.value)} (trial {best.trial}){base}."
    )


def _compare(base: ConfigScores | None, winner: ConfigScores, label: str) -> str:
    """Winner and base config on the test clips; the spread is the standard deviation of the difference of two runs."""
    name = f"The winner, trial {winner.trial},"
    if base is None:
        return (
            f"{name} reaches {label} {_mean(winner)} on the test clips. "
            "The base config failed, so there is no comparison."
        )
    if winner.trial == base.trial:
        return (
            "The base config itself is the winner: no other trial scored better when retrained with new seeds. "
            f"Its {label} on the test clips is {_mean(base)}."
        )
    gain, spread = winner.objective - base.objective, math.hypot(winner.std, base.std)
    scores = f"{label} {_mean(winner)} against {_mean(base)} on the test clips{_seeds(winner)}"
    if score(winner.objective) == score(base.objective):
        return f"{name} is level with the base config: {scores}."
    if gain <= 0:
        return f"{name} does not beat the base config: {scores}. It was better on the validation clips only."
    if len(winner.per_seed) < 2 or len(base.per_seed) < 2:
        return f"{name} scores higher than the base config: {scores}. With one run each, this may be chance."
    if gain > spread:
        return f"{name} beats the base config: {scores}. The gain of {gain:.3f} exceeds the spread of {spread:.3f}."
    return (
        f"{name} is not clearly better than the base config: {scores}. "
        f"The gain of {gain:.3f} is within the spread of {spread:.3f}."
    )


def _mean(scores: ConfigScores) -> str:
    spread = f" +- {score(scores.std)}" if len(scores.per_seed) > 1 else ""
    return score(scores.objective) + spread


def _seeds(scores: ConfigScores) -> str:
    runs = len(scores.per_seed)
    return f" (mean +- std over {runs} seeds)" if runs > 1 else ""
