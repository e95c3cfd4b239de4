"""Which parameters decide whether a trial is among the best (PED-ANOVA).

Watanabe et al., "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces" (IJCAI 2023),
as Optuna implements it, with its extension to conditional parameters: how far the places of the best trials along a
parameter are from being spread over its whole range. It needs ranks only, and no model of the score.
"""

import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import fmean, stdev

import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from hearai.reporting.study_report.study_record import TrialRecord
from hearai.reporting.study_report.tables import evenly

FEWEST = 10
"""Complete trials below which nothing is said."""
BEST_SHARE, BEST_FEWEST = 0.25, 5
"""The best: this share of the trials, and at least so many. On made-up searches by TPE that one parameter of 18
decided, a tenth found it in 1 of 8 cases and a quarter in 7, with no more false finds."""
MOST = 600
"""Trials that are looked at: more change no share by much and cost seconds."""
SHUFFLES = 20
"""Times the same is computed with shuffled ranks, to see what chance alone gives: 5 % of false claims."""


@dataclass(frozen=True)
class Importance:
    """What each parameter had to say."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """{parameter: share of the importance, 0 to 1, the sum is 1}, the largest first; empty where `note` says why."""
    note: str = ""
    """Why there are no shares; empty where there are."""


def importance_of(trials: Sequence[TrialRecord]) -> Importance:
    """The importance of each parameter over the complete and the stopped trials of a search.

    A stopped trial has a score of fewer epochs, which cannot be compared with a full one, and need not be: PED-ANOVA
    asks only whether a trial is among the best, and the scheduler has said that a stopped one is not. Without them
    the parameter that kills trials early would look harmless, as every survivor has a good value of it. The best are
    taken from the complete trials only; a trial that failed was never judged and has no say.

    A parameter that exists under a condition is judged over the trials that have it, and weighs as much as its
    condition holds among the best. What shuffled ranks give on average is subtracted, and where no parameter stands
    out more than some does after shuffling, there are no shares: they would be noise. Of a long search a part is
    looked at, evenly from the best to the worst. Same trials, same answer.
    """
    complete = sorted(_ended(trials, "COMPLETE"), key=lambda t: (-(t.value or 0.0), t.number))
    if len(complete) < FEWEST:
        return Importance(note=f"too few complete trials ({len(complete)}; {FEWEST} are needed)")
    judged = evenly([*complete, *_ended(trials, "PRUNED")], MOST)  # the best first: thinned, they keep their share
    full = sum(trial.state == "COMPLETE" for trial in judged)
    ranks = {trial.number: float(min(rank, full)) for rank, trial in enumerate(judged)}
    best = min(ceil(full / 2), max(BEST_FEWEST, ceil(BEST_SHARE * len(judged))))
    study = _study_of(judged)
    draws = [_evaluated(study, ranks, best)]  # the real one, then what chance alone gives
    rng = random.Random(0)
    for _ in range(SHUFFLES):
        shuffled = rng.sample(list(ranks.values()), len(ranks))
        draws.append(_evaluated(study, dict(zip(ranks, shuffled, strict=True)), best))
    if not _stands_out(draws):
        return Importance(note=f"no parameter stands out from chance ({full} complete trials)")
    found, *chance = draws
    gains = {name: max(0.0, raw - fmean(one[name] for one in chance)) for name, raw in found.items()}
    total = sum(gains.values())
    ordered = sorted(gains, key=lambda name: (-gains[name], name))
    return Importance({name: round(gains[name] / total, 4) for name in ordered})


def _stands_out(draws: Sequence[Mapping[str, float]]) -> bool:
    """Whether the first draw has the parameter that is farthest above its usual importance, of all draws' parameters.

    What is usual differs: two values cannot give as much as a range. Shuffled like the others, the first draw would
    be that one once in as many times as there are draws.
    """
    usual = {name: [draw[name] for draw in draws] for name in draws[0]}
    spread = {name: (fmean(values), stdev(values)) for name, values in usual.items() if stdev(values) > 0}
    peaks = [max(((draw[n] - mean) / std for n, (mean, std) in spread.items()), default=0.0) for draw in draws]
    return peaks[0] > max(peaks[1:])


def _ended(trials: Sequence[TrialRecord], state: str) -> list[TrialRecord]:
    return [trial for trial in trials if trial.state == state and trial.params and not trial.cut]


def _study_of(trials: Sequence[TrialRecord]) -> optuna.Study:
    """The trials in a study in memory; numbers of theirs stand in a user attribute."""
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.add_trials(
        optuna.trial.create_trial(
            value=0.0, params=dict(t.params), distributions=dict(t.distributions), user_attrs={"number": t.number}
        )
        for t in trials
    )
    return study


def _evaluated(study: optuna.Study, ranks: Mapping[int, float], best: int) -> dict[str, float]:
    """{parameter: importance, not scaled}; ranks: {number of a trial: its rank, 0 is the best}."""
    # Against the whole range, not against the trials' own places: a sampler that learned puts good and bad ones where
    # the good ones are. Shuffling, which keeps the places, accounts for a sampler that only drifted there.
    quantile = (best - 0.5) / len(ranks)  # it rounds up
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile, evaluate_on_local=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it takes low targets for good ones: ranks are; that a condition is rare
        return evaluator.evaluate(study, target=lambda trial: ranks[trial.user_attrs["number"]])
