"""The rows of the report's tables and of trials.csv."""

import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hearai.config.search_space.domains import Domain, Value
from hearai.files import csv_text
from hearai.metrics import MACRO_F1
from hearai.reporting.study_report.final_scores import HeadScore, MajorityHeadScore
from hearai.reporting.study_report.study_record import FinalRecord, StudyRecord, TrialRecord
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.text import csv_cell, plain, short_names
from hearai.search.storage.attributes import THREADS
from hearai.search.storage.layout import BEST_CONFIG, TRIALS
from hearai.training.outputs.layout import CODE_FILE

CSV_COLUMNS = ("number", "kind", "state", "epochs", "best_epoch", "objective", "seconds", "diverged")
MOST_FAILURES = 5
"""Failed trials whose reasons are listed above the table of trials, which has all of them."""
MIN_SHARE = 0.01
"""Parameters with a smaller share of the importance are neither drawn nor named in the terminal."""


@dataclass(frozen=True)
class ScoreRow:
    """Macro-F1 on the test clips, in [0, 1], of one head or a mean over heads; None = unknown."""

    name: str
    base: float | None
    winner: float
    majority: float | None
    """Of always predicting the most frequent class."""


@dataclass(frozen=True)
class HeadRow(ScoreRow):
    """The scores of one head."""

    is_searched: bool
    """Whether the search names it: base config and winner are compared by the heads that are named, if any."""
    base_accuracy: float | None
    winner_accuracy: float
    majority_accuracy: float | None


@dataclass(frozen=True)
class ParameterRow:
    """A parameter of the space; None = not a parameter of this config."""

    path: str
    domain: Domain
    base: Any
    winner: Value | None

    @property
    def is_changed(self) -> bool:
        """Whether the winner has the parameter, and shows another value than the base config."""
        return self.winner is not None and plain(self.winner) != plain(self.base)


def trials_csv(record: StudyRecord) -> str:
    """One row per trial: outcome, costs (the study's further metrics), parameters, macro-F1 of each head, failure.

    The scores of heads are validation scores at the best epoch. A parameter that a trial does not have is empty.
    """
    paths, heads = list(record.study.space.domains), _heads_of(record.trials)
    costs = record.study.settings.metric[1:]
    columns = [*CSV_COLUMNS, *costs, *paths, *(f"val/{head}/macro_f1" for head in heads), "failure"]
    rows = [columns]
    for trial in record.trials:
        outcome = [trial.number, trial.kind, trial.state, trial.epochs, trial.best_epoch, trial.value, trial.seconds]
        params = [_as_yaml(trial.params.get(path, "")) for path in paths]
        scores = [trial.head_scores.get(head, "") for head in heads]
        values = [trial.costs.get(name, "") for name in costs]
        cells = [*outcome, _as_yaml(trial.diverged), *values, *params, *scores, trial.failure]
        rows.append(cells)
    return csv_text([csv_cell(cell) for cell in row] for row in rows)


def _heads_of(trials: Sequence[TrialRecord]) -> list[str]:
    """The heads that any trial has scores of, in their order."""
    return list(dict.fromkeys(head for trial in trials for head in trial.head_scores))


def _as_yaml(value: Any) -> Any:
    """null, true and false as YAML writes them; other values as they are."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else value


def head_rows(summary: StudySummary) -> list[HeadRow]:
    """The test scores of each head; empty before the test clips are scored."""
    if summary.test is None:
        return []
    bases = summary.test.base.heads if summary.test.base else {}
    majorities = summary.most_frequent.heads if summary.most_frequent else {}
    return [
        _head_row(head, head in summary.objective.heads, bases.get(head), winner, majorities.get(head))
        for head, winner in summary.test.winner.heads.items()
    ]


def _head_row(
    head: str, is_searched: bool, base: HeadScore | None, winner: HeadScore, majority: MajorityHeadScore | None
) -> HeadRow:
    return HeadRow(
        name=head,
        base=base.macro_f1 if base else None,
        winner=winner.macro_f1,
        majority=majority.macro_f1 if majority else None,
        is_searched=is_searched,
        base_accuracy=base.accuracy if base else None,
        winner_accuracy=winner.accuracy,
        majority_accuracy=majority.accuracy if majority else None,
    )


def mean_rows(summary: StudySummary) -> list[ScoreRow]:
    """Means of the test scores over heads; empty before the test clips are scored.

    Where the search names heads or another score than macro-F1, the mean by which base config and winner are compared
    comes first.
    """
    test, majority, objective = summary.test, summary.most_frequent, summary.objective
    if test is None:
        return []
    over_all = ScoreRow(
        name="mean over all heads" if objective.heads else "mean over the heads",
        base=test.base.mean_macro_f1 if test.base else None,
        winner=test.winner.mean_macro_f1,
        majority=majority.mean_macro_f1 if majority else None,
    )
    is_macro_f1 = objective.score == MACRO_F1
    if not objective.heads and is_macro_f1:
        return [over_all]
    heads = majority.heads if majority else {}
    scored = [one for head, one in heads.items() if head in objective.heads or not objective.heads]
    values = [one.macro_f1 if is_macro_f1 else one.ranks.get(objective.score) for one in scored]
    known = [value for value in values if value is not None]
    which = "the heads with *" if objective.heads else "the heads"
    searched = ScoreRow(
        name=f"mean over {which}" if is_macro_f1 else f"{objective.name}, {which}",
        base=test.base.objective if test.base else None,
        winner=test.winner.objective,
        majority=statistics.fmean(known) if known else None,
    )
    return [searched, over_all]


@dataclass(frozen=True)
class RankRow:
    """Scores by the rank of the true class, of one head or the mean over heads where they have a meaning."""

    name: str
    scores: Mapping[str, tuple[float | None, float | None]]
    """{name in `metrics.SCORES`: (base config, winner)}, in [0, 1]; None = unknown, or without a meaning."""


def rank_rows(summary: StudySummary) -> list[RankRow]:
    """Each head, then the mean over them; empty where test.json has no such scores, as those of earlier versions."""
    if summary.test is None:
        return []
    winner, base = summary.test.winner.heads, summary.test.base.heads if summary.test.base else {}
    rows = [
        RankRow(
            head, {name: (base[head].ranks.get(name) if head in base else None, v) for name, v in one.ranks.items()}
        )
        for head, one in winner.items()
        if one.ranks
    ]
    if len(rows) < 2:
        return rows
    means = {name: (_mean(rows, name, 0), _mean(rows, name, 1)) for name in rows[0].scores}
    return [*rows, RankRow("mean over the heads", means)]


def _mean(rows: Sequence[RankRow], name: str, place: int) -> float | None:
    """place: 0 = base config, 1 = winner."""
    values = [value for row in rows if (value := row.scores.get(name, (None, None))[place]) is not None]
    return statistics.fmean(values) if values else None


def parameter_rows(record: StudyRecord) -> list[ParameterRow]:
    """Each parameter of the space with the values of base config and winner."""
    space, params = record.study.space, record.winner.params if record.winner else {}
    return [
        ParameterRow(path, domain, space.base_value(path, record.study.base), params.get(path))
        for path, domain in space.domains.items()
    ]


def failures(record: StudyRecord) -> list[tuple[str, str]]:
    """(name, first line of the reason) of each failed trial, followed by the failed retrainings of finalists."""
    runs: list[tuple[str, TrialRecord | FinalRecord]] = [(f"{trial.number:04d}", trial) for trial in record.trials]
    runs += [(f"{final.source:04d}-seed{final.seed}", final) for final in record.finals]
    reasons = {name: run.failure.strip().splitlines() for name, run in runs if run.state == "FAIL"}
    return [(name, lines[0] if lines else "no reason recorded") for name, lines in reasons.items()]


def train_command(record: StudyRecord) -> str | None:
    """The command that trains the winner again, with the threads and the own code of its trial; None before it."""
    best, threads = record.folder / BEST_CONFIG, record.notes.get(THREADS)
    if not best.exists():
        return None
    option = f" --threads {threads}" if threads else ""
    return f"python experiments/train.py --config {shlex.quote(str(best))}{_code_option(record)}{option}"


def _code_option(record: StudyRecord) -> str:
    """` --code DIR` if the trials used parts of the user's own."""
    for path in sorted(record.folder.glob(f"{TRIALS}/*/{CODE_FILE}")):
        with suppress(OSError, ValueError):
            code = json.loads(path.read_text(encoding="utf-8"))
            folder = code.get("path") if isinstance(code, dict) else None
            if isinstance(folder, str) and folder.isprintable():
                return f" --code {shlex.quote(folder)}"
    return ""


def short_names_of(record: StudyRecord) -> dict[str, str]:
    """{parameter: short name} of the space, and of tied choices, which trials have under names of their own."""
    of_trials = [name for trial in record.trials for name in trial.params]
    return short_names([*record.study.space.domains, *of_trials])
