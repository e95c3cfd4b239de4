"""Health checks of the scores: whether the winner is really better, and whether its score can be trusted."""

import math

from hearai.metrics import NOTABLE_GAP
from hearai.reporting.study_report.findings.finding import Finding, passed, unknown
from hearai.reporting.study_report.findings.score_noise import standard_error
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.text import score

LARGE_GAP = 3 * NOTABLE_GAP
"""A test score that is lower by more fails the check."""
NOT_SCORED = "needs the test scores"


def noise_against_gain(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether the winner's gain over the base config exceeds the spread over seeds, on the test clips."""
    if summary.test is None:
        return unknown(NOT_SCORED)
    base, winner = summary.test.base, summary.test.winner
    if base is None:
        return unknown("needs the base config's test scores")
    if base.trial == winner.trial:
        meaning = "No config of the search beats the base config when retrained with new seeds."
        return Finding("WARNING", "the base config is the winner", meaning, "more trials, or another space")
    gain, spread = winner.objective - base.objective, math.hypot(winner.std, base.std)
    if len(winner.per_seed) < 2 or len(base.per_seed) < 2:
        meaning = "With one run each, the difference may be chance."
        return Finding("WARNING", f"gain {gain:+.3f}, one seed", meaning, "the same command with --finalist-seeds 3")
    figure = f"gain {gain:+.3f}, spread of the difference {spread:.3f}"
    if gain > spread:
        return passed(figure)
    meaning = "Another choice of seeds could have given the opposite order."
    action = "keep the base config, or compare with more seeds: the same command with --finalist-seeds 5"
    return Finding("WARNING" if gain > 0 else "FAIL", figure, meaning, action)


def validation_size(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether the validation clips are enough to rank the finalists."""
    means = [finalist.mean for finalist in summary.finalists]
    means = means or [trial.value for trial in record.complete if trial.value is not None]
    if len(means) < 2:
        return unknown("needs two complete trials")
    best, second, worst = max(means), sorted(means)[-2], min(means)
    error = standard_error(record, best)
    if error is None:
        return unknown("needs the number of validation clips")
    which = "finalists" if summary.finalists else "complete trials"
    last = f", the last by {best - worst:.3f}" if len(means) > 2 else ""
    figure = f"the best leads the second by {best - second:.3f}{last}; standard error of a score {error}"
    if best - second >= error.high:
        return passed(figure)
    is_chance = best - worst < error.low
    if not is_chance:
        meaning = f"The first {which} are closer than validation clips of this number can tell apart."
    else:
        meaning = f"All {which} are closer than validation clips of this number can tell apart: their order is chance."
    action = "more validation clips (general_parameters.ratio_train_test), or score each trial on folds: --splits 3"
    return Finding("FAIL" if is_chance else "WARNING", figure, meaning, action)


def validation_against_test(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether the winner's test score is far from its validation score."""
    if summary.test is None:
        return unknown(NOT_SCORED)
    if summary.winner_validation is None:
        return unknown("needs the winner's validation score")
    winner, (validation, _) = summary.test.winner, summary.winner_validation
    gap = winner.objective - validation
    figure = f"validation {score(validation)}, test {score(winner.objective)} ({gap:+.3f})"
    if abs(gap) <= NOTABLE_GAP:
        return passed(figure)
    meaning = "The test clips are easier." if gap > 0 else "Configs were chosen by validation clips, or test is harder."
    action = "expect the test score on new clips; compare the two parts in the data card"
    return Finding("FAIL" if gap < -LARGE_GAP else "WARNING", figure, meaning, action)


def better_than_majority(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether the winner beats always predicting the most frequent class."""
    if summary.test is None or summary.most_frequent is None:
        return unknown("needs the test scores and the unchanged dataset")
    winner, majority = summary.test.winner.mean_macro_f1, summary.most_frequent.mean_macro_f1
    weak = [
        head
        for head, one in summary.test.winner.heads.items()
        if head in summary.most_frequent.heads and one.macro_f1 <= summary.most_frequent.heads[head].macro_f1
    ]
    figure = f"macro-F1 {score(winner)} against {score(majority)}"
    if winner <= majority:
        meaning = "The model has learnt nothing that the most frequent class does not give."
        return Finding("FAIL", figure, meaning, "check labels and clips: experiments/check_data.py; train longer")
    if weak:
        meaning = f"{len(weak)} of {len(summary.test.winner.heads)} heads are no better: {', '.join(weak)}."
        return Finding("WARNING", figure, meaning, "do not rely on these heads; see the test scores")
    return passed(figure)
