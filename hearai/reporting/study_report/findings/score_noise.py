"""How far a score moves because the validation clips are a sample: the standard error of a trial's score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hearai.metrics import MACRO_F1
from hearai.reporting.study_report.study_record import StudyRecord


@dataclass(frozen=True)
class ScoreError:
    """The standard error of a mean score of heads that are scored on the same clips."""

    low: float
    """If the heads err independently of each other."""
    high: float
    """If they all err on the same clips; equal to `low` for one head."""

    def __str__(self) -> str:
        low, high = f"{self.low:.3f}", f"{self.high:.3f}"
        return low if low == high else f"{low} to {high}"


def standard_error(record: StudyRecord, score: float) -> ScoreError | None:
    """The standard error of a validation score; None where the number of validation clips is unknown.

    A score p over n clips has the error sqrt(p (1 - p) / n); the mean over K classes of shares of their n_k clips has
    sqrt(p (1 - p) sum(1 / n_k)) / K. The F1 of a rare class depends on the clips of the others, too: of macro-F1 the
    first is too small and the second too large where classes are uneven. Their geometric mean was 0.8 to 1.4 times the
    spread of simulated predictions (6 distributions of classes, accuracy 0.3 to 0.9), and it is used.

    Args:
        score: of the objective, in [0, 1].
    """
    train, splits = record.study.base.train_parameters, record.study.settings.splits  # each has other validation clips
    if record.facts is None:
        clips = record.data.get("val")
        heads = len(train.objective_heads or record.study.base.active_heads)
        counts = [[clips]] * heads if isinstance(clips, int) and clips > 0 else []
    else:
        labelled = {head: one for head, one in record.facts.heads.items() if one.labelled("val")}
        named = [one for head, one in labelled.items() if head in train.objective_heads or not train.objective_heads]
        per_class = train.objective_metric == MACRO_F1 or train.objective_metric.endswith("per_class")
        counts = [list(one.counts["val"].values()) if per_class else [one.labelled("val")] for one in named]
    if not counts:
        return None
    errors = [_of_share(score, of_head) / math.sqrt(splits) for of_head in counts]
    return ScoreError(math.hypot(*errors) / len(errors), sum(errors) / len(errors))


def _of_share(share: float, clips: Sequence[int]) -> float:
    """clips: of each class; one number for a score over all clips.

    A share of 0 or 1 would have no error: one clip more of each outcome is assumed.
    """
    total = sum(clips)
    likely = (share * total + 1) / (total + 2)
    pooled, per_class = 1 / total, sum(1 / count for count in clips) / len(clips) ** 2
    return math.sqrt(likely * (1 - likely) * math.sqrt(pooled * per_class))
