"""How far a score moves because the validation clips are a sample: the standard error of a trial's score."""

import math
from collections.abc import Sequence

from hearai.metrics import MACRO_F1
from hearai.reporting.study_report.study_record import StudyRecord


def standard_error(record: StudyRecord, score: float) -> float | None:
    """The standard error of a validation score; None where the number of validation clips is unknown.

    A score p over n clips has the error sqrt(p (1 - p) / n); the mean over K classes of shares of their n_k clips has
    sqrt(p (1 - p) sum(1 / n_k)) / K. The F1 of a rare class depends on the clips of the others, too: of macro-F1 the
    first is too small and the second too large where classes are uneven. Their geometric mean was 0.8 to 1.4 times the
    spread of simulated predictions (6 distributions of classes, accuracy 0.3 to 0.9), and it is used. Heads have the
    same clips, so their errors are not independent: the error of their mean is taken as the mean of their errors.

    Args:
        score: of the objective, in [0, 1].
    """
    splits = record.study.settings.splits  # each has other validation clips
    if record.facts is None:
        clips = record.data.get("val")
        return _of_share(score, [clips]) / math.sqrt(splits) if isinstance(clips, int) and clips > 0 else None
    train = record.study.base.train_parameters
    heads = {head: one for head, one in record.facts.heads.items() if one.labelled("val")}
    named = [one for head, one in heads.items() if head in train.objective_heads or not train.objective_heads]
    per_class = train.objective_metric == MACRO_F1 or train.objective_metric.endswith("per_class")
    counts = [list(one.counts["val"].values()) if per_class else [one.labelled("val")] for one in named]
    if not counts:
        return None
    return sum(_of_share(score, of_head) for of_head in counts) / len(counts) / math.sqrt(splits)


def _of_share(share: float, clips: Sequence[int]) -> float:
    """clips: of each class; one number for a score over all clips.

    A share of 0 or 1 would have no error: one clip more of each outcome is assumed.
    """
    total = sum(clips)
    likely = (share * total + 1) / (total + 2)
    pooled, per_class = 1 / total, sum(1 / count for count in clips) / len(clips) ** 2
    return math.sqrt(likely * (1 - likely) * math.sqrt(pooled * per_class))
