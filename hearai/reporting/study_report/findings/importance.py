"""Which parameters decide whether a trial is among the best (PED-ANOVA).

Watanabe et al., "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces" (IJCAI 2023),
as Optuna implements it, with its extension to conditional parameters: how far the distribution of the best trials along
a parameter differs from a uniform one over its range. It needs ranks only, and no model of the score.
"""

import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import fmean, stdev

import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from hearai.reporting.study_report.study_record import TrialRecord, evenly_spaced

MIN_COMPLETE = 10
"""Fewer complete trials give no importance."""
BEST_SHARE, MIN_BEST = 0.25, 5
"""The best trials: this share of them, and at least so many. On simulated TPE searches in which one parameter of 18
mattered, a tenth found it in 1 of 8 cases and a quarter in 7, with no more false positives."""
MOST_TRIALS = 600
"""Trials that are used: more hardly change the shares and cost seconds."""
SHUFFLES = 20
"""Repetitions with shuffled ranks, which show what chance alone gives: a false positive rate of 5 %."""


@dataclass(frozen=True)
class Importance:
    """The importance of each parameter."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """{parameter: share of the importance, 0 to 1, the sum is 1}, the largest first; empty where `note` says why."""
    note: str = ""
    """Why there are no shares; empty where there are."""


def importance_of(trials: Sequence[TrialRecord]) -> Importance:
    """The importance of each parameter over the complete and the stopped trials of a search; deterministic.

    The score of a stopped trial is of fewer epochs and cannot be compared with a complete one. It need not be, as
    PED-ANOVA asks only whether a trial is among the best, and by the scheduler's judgement a stopped one is not.
    Without stopped trials, a parameter that gets trials stopped would look harmless, as all survivors have a good
    value of it. The best are taken from the complete trials only; failed trials are ignored, as they have no score.

    A conditional parameter is judged over the trials that have it, weighted by how often its condition holds among
    the best. The mean importance under shuffled ranks is subtracted; where no parameter stands out more than some
    parameter does after shuffling, there are no shares, as they would be noise. Of a long search a sample is used,
    evenly spaced from the best to the worst.
    """
    complete = sorted(_judged(trials, "COMPLETE"), key=lambda t: (-(t.value or 0.0), t.number))
    if len(complete) < MIN_COMPLETE:
        return Importance(note=f"too few complete trials ({len(complete)}; {MIN_COMPLETE} are needed)")
    judged = evenly_spaced([*complete, *_judged(trials, "PRUNED")], MOST_TRIALS)  # sorted: the best keep their share
    count = sum(trial.state == "COMPLETE" for trial in judged)
    ranks = {trial.number: float(min(rank, count)) for rank, trial in enumerate(judged)}
    best = min(ceil(count / 2), max(MIN_BEST, ceil(BEST_SHARE * len(judged))))
    study = _study_of(judged)
    draws = [_evaluate(study, ranks, best)]  # with the actual ranks, followed by those with shuffled ranks
    rng = random.Random(0)
    for _ in range(SHUFFLES):
        shuffled = rng.sample(list(ranks.values()), len(ranks))
        draws.append(_evaluate(study, dict(zip(ranks, shuffled, strict=True)), best))
    if not _stands_out(draws):
        return Importance(note=f"no parameter stands out from chance ({count} complete trials)")
    found, *chance = draws
    gains = {name: max(0.0, raw - fmean(one[name] for one in chance)) for name, raw in found.items()}
    total = sum(gains.values())
    ordered = sorted(gains, key=lambda name: (-gains[name], name))
    return Importance({name: round(gains[name] / total, 4) for name in ordered})


def _stands_out(draws: Sequence[Mapping[str, float]]) -> bool:
    """Whether the largest z-score of a parameter's importance, over all draws, is in the first draw.

    Importances are standardised per parameter: one with two values cannot reach as much as a range does. If the ranks
    of the first draw were random too, it would have the largest z-score with probability 1 / number of draws.
    """
    values_of = {name: [draw[name] for draw in draws] for name in draws[0]}
    spread = {name: (fmean(values), stdev(values)) for name, values in values_of.items() if stdev(values) > 0}
    peaks = [max(((draw[n] - mean) / std for n, (mean, std) in spread.items()), default=0.0) for draw in draws]
    return peaks[0] > max(peaks[1:])


def _judged(trials: Sequence[TrialRecord], state: str) -> list[TrialRecord]:
    return [trial for trial in trials if trial.state == state and trial.params and not trial.over_budget]


def _study_of(trials: Sequence[TrialRecord]) -> optuna.Study:
    """An in-memory study of the trials, with their numbers in a user attribute."""
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.add_trials(
        optuna.trial.create_trial(
            value=0.0, params=dict(t.params), distributions=dict(t.distributions), user_attrs={"number": t.number}
        )
        for t in trials
    )
    return study


def _evaluate(study: optuna.Study, ranks: Mapping[int, float], best: int) -> dict[str, float]:
    """{parameter: raw importance}. ranks: {trial number: rank from 0, the best}; best: how many trials are the best."""
    # Compared with the whole range, not with the trials' own distribution: a sampler that has learned puts good and bad
    # trials where the good ones are. Shuffling keeps the distribution, and so accounts for a sampler that only drifted.
    quantile = (best - 0.5) / len(ranks)  # Optuna rounds up
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile, evaluate_on_local=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # low targets are good (ranks are); a condition is rare
        return evaluator.evaluate(study, target=lambda trial: ranks[trial.user_attrs["number"]])
