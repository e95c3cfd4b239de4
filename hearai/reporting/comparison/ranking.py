"""Ranks comparable studies, and says whether the first is ahead of the second by more than the noise of seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hearai.reporting.comparison.comparable import obstacles
from hearai.reporting.comparison.compared import ComparedStudy
from hearai.reporting.text import score

SEEDS, SEARCH = "seeds", "search"
"""What studies are ranked by: the winner's mean over new seeds, or the best single run of the search."""


@dataclass(frozen=True)
class Ranking:
    """The order of the studies."""

    basis: str | None
    """SEEDS or SEARCH; None if the studies are not ranked."""
    ranked: Sequence[ComparedStudy]
    """The best first; without those that have no such score."""
    obstacles: Sequence[str]
    """Why the studies cannot be compared."""

    def place(self, study: ComparedStudy) -> int | None:
        """Its place, from 1; None where it is not ranked."""
        return next((place for place, one in enumerate(self.ranked, start=1) if one is study), None)

    def in_order(self, studies: Sequence[ComparedStudy]) -> list[ComparedStudy]:
        """The studies, the ranked ones first."""
        return [*self.ranked, *(study for study in studies if not self.place(study))]


def rank(studies: Sequence[ComparedStudy]) -> Ranking:
    """The order of the studies by validation scores: means over new seeds, where at least two studies have them.

    Test scores do not count: the best of several test scores is too high an estimate.
    """
    reasons = obstacles(studies)
    if reasons:
        return Ranking(None, (), reasons)
    seeded = [study for study in studies if study.winner_runs]
    if len(seeded) > 1:
        return Ranking(SEEDS, sorted(seeded, key=lambda study: -_mean(study)), ())
    scored = [study for study in studies if study.best_value is not None]
    if len(scored) > 1:
        return Ranking(SEARCH, sorted(scored, key=lambda study: -(study.best_value or 0.0)), ())
    return Ranking(None, (), ())


def is_clear(ranking: Ranking) -> bool:
    """Whether the first is better than the second by more than the spread over the seeds of both."""
    if ranking.basis != SEEDS:
        return False
    one, other = (study.winner_runs for study in ranking.ranked[:2])
    assert one and other
    return min(len(one.seeds), len(other.seeds)) > 1 and one.mean - other.mean > math.hypot(one.std, other.std)


def headline(ranking: Ranking) -> str:
    """The outcome of the comparison in one to three sentences."""
    if ranking.obstacles:
        return "These studies are not ranked: their scores do not measure the same."
    if ranking.basis is None:
        return "There is nothing to rank yet: fewer than two of the studies have a complete trial."
    first, second = ranking.ranked[:2]
    return _by_seeds(first, second, is_clear(ranking)) if ranking.basis == SEEDS else _by_search(first, second)


def remarks(ranking: Ranking, studies: Sequence[ComparedStudy]) -> list[str]:
    """What has to be known to read the ranking."""
    lines = []
    if ranking.basis == SEEDS:
        lines.append(
            "Ranked by validation scores: a study chosen by its test score would have too high a test score by chance."
        )
        lines += _test_remark(ranking)
    elif ranking.basis == SEARCH:
        lines.append(
            "These are the best single runs of each search, not means over new seeds: of more trials, the best one is "
            "higher by chance alone."
        )
    if ranking.basis:
        lines += [
            f"{study.label} is not ranked: {_missing(study, ranking)}." for study in studies if not ranking.place(study)
        ]
    return lines


def _mean(study: ComparedStudy) -> float:
    assert study.winner_runs
    return study.winner_runs.mean


def with_spread(mean: float | None, std: float, runs: int) -> str:
    """`0.580 +- 0.042`; of one run, the score alone; a dash for None."""
    return f"{score(mean)} +- {score(std)}" if mean is not None and runs > 1 else score(mean)


def _by_seeds(first: ComparedStudy, second: ComparedStudy, is_clear: bool) -> str:
    one, other = first.winner_runs, second.winner_runs
    assert one and other
    label = first.summary.objective.label
    texts = [with_spread(runs.mean, runs.std, len(runs.seeds)) for runs in (one, other)]
    scores = f"validation {label} {texts[0]} against {texts[1]}"
    gain, spread = one.mean - other.mean, math.hypot(one.std, other.std)
    if score(one.mean) == score(other.mean):
        return f"{first.label} and {second.label} have the same score: {scores}."
    if min(len(one.seeds), len(other.seeds)) < 2:
        return f"{first.label} scores higher than {second.label}: {scores}. With a single seed, this may be chance."
    seeds = f" (mean +- std over {len(one.seeds)} and {len(other.seeds)} new seeds)"
    if is_clear:
        return (
            f"{first.label} is better than {second.label}: {scores}{seeds}. The difference of {gain:.3f} exceeds the "
            f"spread of {spread:.3f}."
        )
    return (
        f"{first.label} is not clearly better than {second.label}: {scores}{seeds}. The difference of {gain:.3f} is "
        f"within the spread of {spread:.3f}."
    )


def _by_search(first: ComparedStudy, second: ComparedStudy) -> str:
    if first.best_value == second.best_value:
        return (
            f"{first.label} and {second.label} have the same best score in the search: validation "
            f"{first.summary.objective.label} {_best_of(first)} and {_best_of(second)}."
        )
    return (
        f"{first.label} has the higher best score in the search: validation {first.summary.objective.label} "
        f"{_best_of(first)}, against {_best_of(second)} in {second.label}."
    )


def _best_of(study: ComparedStudy) -> str:
    complete = study.summary.trials.complete
    return f"{score(study.best_value)} (the best of {complete} complete {'trial' if complete == 1 else 'trials'})"


def _test_remark(ranking: Ranking) -> list[str]:
    """Whether the test scores of the first two are in the other order."""
    first, second = ranking.ranked[:2]
    one, other = first.summary.test, second.summary.test
    if one is None or other is None or other.winner.objective <= one.winner.objective:
        return []
    return [
        f"On the test clips {second.label} scores higher: {score(other.winner.objective)} against "
        f"{score(one.winner.objective)}."
    ]


def _missing(study: ComparedStudy, ranking: Ranking) -> str:
    if study.best_value is None:
        return "no trial is complete yet"
    if ranking.basis == SEEDS and study.record.finished:
        return "its winner was not retrained with new seeds"
    return "its winner is not chosen yet"
