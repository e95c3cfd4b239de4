"""The record of a search, read from its folder: whatever is there so far."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hearai.config.domains import Value
from hearai.config.study import Study
from hearai.config.yaml_io import read_yaml
from hearai.errors import UserError
from hearai.metrics import CHOSEN_SCORE, SCORE, objective_words
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.layout import TRIALS, label_of
from hearai.search.storage.trial_store import BASE, FINALS, SEARCH
from hearai.training.outputs.layout import METRICS_FILE, run_folders

OPEN = ("RUNNING", "WAITING")


@dataclass(frozen=True)
class TrialRecord:
    """One trial of the search, as far as it came."""

    number: int
    kind: str
    """"base" or "search"."""
    state: str
    """COMPLETE, PRUNED (stopped early), FAIL, RUNNING or WAITING."""
    params: Mapping[str, Value]
    value: float | None
    """The objective: validation score of the best epoch so far; None where it failed or has none yet."""
    epochs: int
    best_epoch: int | None
    """None where there is none: it diverged in its first epoch, or has not finished one."""
    seconds: float | None
    """Inside `fit`; None until the trial has ended."""
    diverged: bool
    curve: Mapping[int, float]
    """{epoch: validation score: the mean macro-F1 over the heads that are searched for}"""
    heads: Mapping[str, float]
    """{head: validation macro-F1 at the best epoch}"""
    failure: str
    """Why it failed; empty where it did not."""
    cut: bool = False
    """Whether a spent budget stopped it: nobody judged it worse."""
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)
    """{parameter: what it was drawn from}"""
    ended: float | None = None
    """When (seconds since 1970); None while it has not."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """{metric: what the model costs}, see `hearai.metrics`; empty until the trial has ended."""


@dataclass(frozen=True)
class FinalRecord:
    """One retraining of a finalist, or of the base config, with a fresh seed."""

    source: int
    """Number of the search's trial whose parameters it has."""
    seed: int
    state: str
    value: float | None
    seconds: float | None
    """Inside `fit`; None until it has ended."""
    failure: str = ""
    """Why it failed; empty where it did not."""


@dataclass(frozen=True)
class StudyRecord:
    """Everything a search left behind."""

    folder: Path
    study: Study
    data: Mapping[str, Any]
    """What the dataset is known by, for `is_same`, and its clips; as study.yaml has it."""
    trials: Sequence[TrialRecord]
    finals: Sequence[FinalRecord]
    notes: Mapping[str, Any]
    """Of the search as a whole: wall_seconds and slot_seconds of all trials, total_seconds, memory_pss_gb."""
    test: Mapping[str, Any] | None
    """test.json; None until the test clips were scored."""

    @property
    def finished(self) -> bool:
        """Whether nothing was left to do when the record was read."""
        open_ends = any(run.state in OPEN for run in (*self.trials, *self.finals))
        return self.test is not None and not open_ends

    @property
    def words(self) -> str:
        """What is searched for: `macro-F1`, or with named heads `macro-F1 over 3 of 8 heads`."""
        base = self.study.base
        return objective_words(base.train_parameters.objective_heads, len(base.active_heads))

    @property
    def complete(self) -> list[TrialRecord]:
        """The trials that ran to their last epoch, the best first."""
        runs = [trial for trial in self.trials if trial.state == "COMPLETE"]
        return sorted(runs, key=lambda trial: -(trial.value or 0))

    @property
    def winner(self) -> TrialRecord | None:
        """The trial whose config was chosen; until the test clips are scored, the best one so far."""
        if self.test is not None:
            return self.trial(self.test["winner"]["trial"])
        return next(iter(self.complete), None)

    @property
    def base(self) -> TrialRecord | None:
        """The base config's trial."""
        return self.trial(BASE)

    def trial(self, number: int) -> TrialRecord | None:
        """The trial of a number."""
        return next((trial for trial in self.trials if trial.number == number), None)


def read_record(folder: Path) -> StudyRecord:
    """Reads a study's folder.

    Raises:
        UserError: the folder holds no study, or one of its files is broken.
    """
    path = folder / "study.yaml"
    if not path.is_file():
        raise UserError(f"{folder}: holds no study (no {path.name}); give a folder such as runs/hamnosys")
    raw = read_yaml(path)
    data = raw.pop("data", None) or {}
    books = read_journal(folder / "journal.log")
    search, finals = books.get(SEARCH, JournalSnapshot()), books.get(FINALS, JournalSnapshot())
    study = Study.from_dict(raw, str(path))
    return StudyRecord(
        folder,
        study,
        data,
        [_trial_record(trial, folder / TRIALS, study.settings.splits) for trial in search.trials],
        [_final_record(trial) for trial in finals.trials],
        {**search.notes, **_summed(("wall_seconds", "slot_seconds"), search.notes, finals.notes)},
        _read_json(folder / "test.json"),
    )


def _summed(keys: Sequence[str], *notes: Mapping[str, Any]) -> dict[str, float]:
    return {key: sum(part.get(key, 0.0) for part in notes) for key in keys if any(key in part for part in notes)}


def _trial_record(trial: FrozenTrial, folder: Path, splits: int) -> TrialRecord:
    notes, state = trial.user_attrs, trial.state.name
    runs = [_read_rows(run / METRICS_FILE) for run in run_folders(folder / label_of(trial.number, notes), splits)]
    rows = runs[0] if splits == 1 else []  # the curve over several splits is what the trial reported
    reported = dict(sorted(trial.intermediate_values.items()))
    curve = {int(row["epoch"]): row.get(CHOSEN_SCORE, row[SCORE]) for row in rows if SCORE in row} or reported
    best_epoch = notes.get("best_epoch", max(curve, key=curve.__getitem__, default=0)) or None
    return TrialRecord(
        number=trial.number,
        kind=notes.get("kind", "search"),
        state=state,
        params=trial.params,
        value=_value(trial),
        epochs=notes.get("epochs", max(reported, default=0)),
        best_epoch=best_epoch,
        seconds=notes.get("seconds"),
        diverged=notes.get("diverged", False),
        curve=curve,
        heads=_head_scores(rows, best_epoch) if splits == 1 else _mean_head_scores(runs),
        failure=notes.get("reason", "") if trial.state == TrialState.FAIL else "",
        cut="cut" in notes,
        distributions=trial.distributions,
        ended=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
        costs=notes.get("costs", {}),
    )


def _value(trial: FrozenTrial) -> float | None:
    """What it was told with, or what it has reached: reports carry the best epoch so far."""
    if trial.state == TrialState.FAIL:
        return None
    return trial.values[0] if trial.values else max(trial.intermediate_values.values(), default=None)


def _head_scores(rows: Sequence[Mapping[str, float]], epoch: int | None) -> dict[str, float]:
    row = next((row for row in rows if row["epoch"] == epoch), {})
    names = {key: key.split("/")[1:-1] for key in row if key.endswith("/macro_f1") and key != SCORE}
    return {"/".join(name): row[key] for key, name in names.items()}


def _mean_head_scores(runs: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, float]:
    """Over the splits, each at its own best epoch."""
    of_splits = []
    for rows in runs:
        if rows:
            best = max(rows, key=lambda row: row.get(CHOSEN_SCORE, row.get(SCORE, 0.0)))
            of_splits.append(_head_scores(rows, int(best["epoch"])))
    heads = of_splits[0] if of_splits else {}
    return {head: statistics.fmean(scores[head] for scores in of_splits if head in scores) for head in heads}


def _final_record(trial: FrozenTrial) -> FinalRecord:
    notes = trial.user_attrs
    value = trial.values[0] if trial.values else None
    failure = notes.get("reason", "") if trial.state == TrialState.FAIL else ""
    return FinalRecord(notes["source"], notes["seed"], trial.state.name, value, notes.get("seconds"), failure)


def _read_rows(path: Path) -> list[dict[str, float]]:
    """The whole lines of a metrics file; the last one of a killed run may be torn."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except ValueError:
        raise UserError(f"{path}: a line of it is no JSON; delete it, and the report does without its curve") from None


def _read_json(path: Path) -> Any:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path}: cannot be read as JSON; delete it, and run the search again to score anew") from None
