"""Scores on the test clips: of the base config, of the winner, and of always predicting the most frequent class."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from hearai.config.validation import explain
from hearai.errors import UserError
from hearai.reporting.records import Count, Record, read_text


@dataclass(frozen=True)
class HeadScore:
    """One head on the test clips, means over the seeds; both in [0, 1]."""

    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class ConfigScores:
    """One config on the test clips, over its runs with different seeds; all scores in [0, 1]."""

    trial: int
    """Number of the trial that has this config."""
    objective: float
    """Mean macro-F1 over the heads that are searched for; base config and winner are compared by it."""
    std: float
    """Sample standard deviation of the objective over the seeds; 0 for one seed."""
    per_seed: Sequence[float]
    """The objective of each seed."""
    mean_macro_f1: float
    """Mean over all heads."""
    heads: Mapping[str, HeadScore]

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "ConfigScores":
        """An entry of test.json; files without an objective compare by the mean over all heads."""
        heads = {head: HeadScore(one["accuracy"], one["macro_f1"]) for head, one in raw["heads"].items()}
        objective = raw.get("objective", raw["mean_macro_f1"])
        return cls(raw["trial"], objective, raw["std"], raw["per_seed"], raw["mean_macro_f1"], heads)


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

    def to_dict(self) -> dict[str, Any]:
        """The entry of summary.json."""
        return {"class": self.label, "accuracy": self.accuracy, "macro_f1": self.macro_f1}


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
