"""Scores on the test clips: of the base config, of the winner, and of always predicting the most frequent class."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from hearai.config.validation import explain
from hearai.errors import UserError
from hearai.metrics import MACRO_F1, SCORES
from hearai.reporting.records import Count, Record, read_text


@dataclass(frozen=True)
class HeadScore:
    """One head on the test clips, means over the seeds; both in [0, 1]."""

    accuracy: float
    macro_f1: float
    ranks: Mapping[str, float | None] = field(default_factory=dict)
    """{score: value}, see `Ranks.scores`; empty in files of earlier versions."""

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "HeadScore":
        """An entry of `heads` in test.json."""
        ranks = {name: raw[name] for name in SCORES if name != MACRO_F1 and name in raw}
        return cls(raw["accuracy"], raw[MACRO_F1], ranks)


@dataclass(frozen=True)
class ConfigScores:
    """One config on the test clips, over its runs with different seeds; all scores in [0, 1]."""

    trial: int
    """Number of the trial that has this config."""
    objective: float
    """Mean score over the heads that are searched for; base config and winner are compared by it."""
    std: float
    """Sample standard deviation of the objective over the seeds; 0 for one seed."""
    per_seed: Sequence[float]
    """The objective of each seed."""
    mean_macro_f1: float
    """Mean macro-F1 over all heads."""
    heads: Mapping[str, HeadScore]
    seeds: Sequence[int] = ()
    """The new seeds of the runs; empty if the trial's own run was scored."""

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "ConfigScores":
        """An entry of test.json; files without an objective compare by the mean over all heads."""
        heads = {head: HeadScore.from_dict(one) for head, one in raw["heads"].items()}
        objective, seeds = raw.get("objective", raw["mean_macro_f1"]), raw.get("seeds") or ()
        seeds = tuple(seed for seed in seeds if seed is not None)
        return cls(raw["trial"], objective, raw["std"], raw["per_seed"], raw["mean_macro_f1"], heads, seeds)


@dataclass(frozen=True)
class TestScores:
    """The content of test.json."""

    base: ConfigScores | None
    """None where the base config failed."""
    winner: ConfigScores
    raw: Mapping[str, Any]
    """The file as it was read; summary.json has a copy of it."""

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "TestScores":
        """Parses the JSON object of the file.

        Raises:
            KeyError, TypeError, AttributeError: it does not hold test scores.
        """
        base = raw["base"]
        return cls(base and ConfigScores.from_dict(base), ConfigScores.from_dict(raw["winner"]), raw)


@dataclass(frozen=True)
class MajorityHeadScore:
    """Always predicting the most frequent class of one head; scores in [0, 1]."""

    label: int
    """The class that most training clips have."""
    accuracy: float
    macro_f1: float
    ranks: Mapping[str, float | None] = field(default_factory=dict)
    """{score: value} of ranking the classes by their frequency, see `Ranks.scores`."""

    def to_dict(self) -> dict[str, Any]:
        """The entry of summary.json."""
        return {"class": self.label, "accuracy": self.accuracy, "macro_f1": self.macro_f1, **self.ranks}


@dataclass(frozen=True)
class MajorityScores:
    """The majority baseline on the test clips: always predicting the most frequent class of the training clips."""

    mean_macro_f1: float
    """Mean over the heads with labels, in [0, 1]."""
    heads: Mapping[str, MajorityHeadScore]

    def to_dict(self) -> dict[str, Any]:
        """The entry of summary.json."""
        heads = {head: scores.to_dict() for head, scores in self.heads.items()}
        return {"mean_macro_f1": self.mean_macro_f1, "heads": heads}


class _Head(Record):
    accuracy: float
    macro_f1: float
    top1: float | None = None
    top5: float | None = None
    top10: float | None = None
    top1_per_class: float | None = None
    top5_per_class: float | None = None
    top10_per_class: float | None = None
    mrr: float | None = None


class _ConfigScores(Record):
    trial: Count
    objective: float | None = None
    std: float
    per_seed: Annotated[list[float], Field(min_length=1)]
    mean_macro_f1: float
    heads: dict[str, _Head]


class _Scores(Record):
    base: _ConfigScores | None
    winner: _ConfigScores


def read_test_scores(path: Path) -> TestScores | None:
    """The content of test.json; None without the file.

    Raises:
        UserError: it holds something else.
    """
    if not path.exists():
        return None
    try:
        raw = json.loads(read_text(path))
        json.dumps(raw, allow_nan=False)
        _Scores.model_validate(raw)
        return TestScores.from_dict(raw)
    except (ValueError, RecursionError) as error:  # ValidationError is a ValueError
        reason = (
            explain(error, _Scores)[0] if isinstance(error, ValidationError) else "it is not JSON of finite numbers"
        )
        raise UserError(
            f"{path}: no test scores can be read ({reason:.150}); delete the file and run the search again to score "
            "the test clips"
        ) from None
