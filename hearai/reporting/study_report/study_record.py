"""Reads the folder of a search, finished or not, into a `StudyRecord`."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hearai.config.search_space.domains import Value
from hearai.config.study import Study, read_study
from hearai.data.tools.dataset_facts import DatasetFacts
from hearai.errors import UserError
from hearai.metrics import CHOSEN_SCORE, SCORE, objective_label
from hearai.reporting.records import SearchNotes, TrialNotes, check_notes, read_rows
from hearai.reporting.study_report.final_scores import TestScores, read_test_scores
from hearai.reporting.study_report.stored_files import read_facts
from hearai.search.sampling.space_sampler import distributions_in
from hearai.search.storage import attributes
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.layout import JOURNAL, STUDY_FILE, TEST_SCORES, TRIALS, label_of
from hearai.search.storage.space_change import is_in_space
from hearai.search.storage.trial_store import BASE_TRIAL, FINALS, SEARCH, is_paused
from hearai.training.outputs.layout import METRICS_FILE, run_folders

OPEN = ("RUNNING", "PAUSED", "WAITING")
"""States of trials that have not ended."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial of the search, in any state."""

    number: int
    kind: str
    """"base" or "search"."""
    state: str
    """COMPLETE, PRUNED (stopped early), FAIL, RUNNING, PAUSED (may be trained on) or WAITING."""
    params: Mapping[str, Value]
    value: float | None
    """The objective: validation score of the best epoch so far, in [0, 1]; None where it failed or has none yet."""
    epochs: int
    """Those finished."""
    best_epoch: int | None
    """From 1; None where it diverged in its first epoch or has not finished one."""
    seconds: float | None
    """Inside `fit`; None until the trial has ended."""
    diverged: bool
    curve: Mapping[int, float]
    """{epoch: validation score: the objective of this epoch}"""
    head_scores: Mapping[str, float]
    """{head: validation macro-F1 at the best epoch}"""
    failure: str
    """Why it failed or diverged; empty otherwise."""
    over_budget: bool = False
    """Whether it was stopped because the budget was used up, not because it was worse than others."""
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)
    """{parameter: its distribution in the study's space; outside of that, the one it was drawn from}"""
    ended_at: float | None = None
    """Seconds since 1970; None until the trial has ended."""
    reported: Mapping[int, float] = field(default_factory=dict)
    """{epoch: the objective, of the best epoch so far, by which early stopping decided}"""
    costs: Mapping[str, float] = field(default_factory=dict)
    """{metric: cost of the model}, see `hearai.metrics`; empty until the trial has ended."""
    started_at: float | None = None
    """Seconds since 1970, when it was proposed to a slot; None while it waits."""
    was_paused: bool = False
    """Whether it has paused at least once, so that it did not occupy a slot from its start to its end."""


@dataclass(frozen=True)
class FinalRecord:
    """One retraining of a finalist, or of the base config, with a new seed."""

    source: int
    """Number of the trial whose parameters it has."""
    seed: int
    state: str
    value: float | None
    """Validation score of its best epoch, in [0, 1]."""
    seconds: float | None
    """Inside `fit`; None until it has ended."""
    failure: str = ""
    """Why it failed or diverged; empty otherwise."""
    started_at: float | None = None
    ended_at: float | None = None
    """Both in seconds since 1970, as of `TrialRecord`."""


@dataclass(frozen=True)
class StudyRecord:
    """The content of a study folder."""

    folder: Path
    study: Study
    data: Mapping[str, Any]
    """Fingerprints of the dataset, for `is_same_dataset`, and the clips of each split; from study.yaml."""
    trials: Sequence[TrialRecord]
    finals: Sequence[FinalRecord]
    notes: Mapping[str, Any]
    """Attributes of the search as a whole, such as wall_seconds and slot_seconds, summed over search and finals."""
    test: TestScores | None
    """None until the test clips have been scored."""
    facts: DatasetFacts | None = None
    """Clips, signers, classes and split of the dataset; None in folders of older searches."""

    @property
    def finished(self) -> bool:
        """Whether the test clips have been scored and no trial is open."""
        states = [trial.state for trial in self.trials] + [final.state for final in self.finals]
        return self.test is not None and not any(state in OPEN for state in states)

    @property
    def objective_label(self) -> str:
        """`macro-F1` or another score, with named heads `macro-F1 over 3 of 8 heads`."""
        base = self.study.base
        train = base.train_parameters
        return objective_label(train.objective_heads, len(base.active_heads), train.objective_metric)

    @cached_property
    def complete(self) -> list[TrialRecord]:
        """The complete trials, the best first."""
        runs = [trial for trial in self.trials if trial.state == "COMPLETE"]
        return sorted(runs, key=lambda trial: -(trial.value or 0))

    @property
    def winner(self) -> TrialRecord | None:
        """The trial whose config was chosen; until the test clips are scored, the best complete trial."""
        if self.test is not None:
            return self.trial(self.test.winner.trial)
        return next(iter(self.eligible), None)

    @property
    def eligible(self) -> list[TrialRecord]:
        """The complete trials that may win, the best first: those inside the space, and the base config's."""
        return [trial for trial in self.complete if trial.number == BASE_TRIAL or self.is_inside(trial)]

    @cached_property
    def inside(self) -> list[TrialRecord]:
        """The trials inside the study's space: all, unless it was narrowed."""
        return [trial for trial in self.trials if self.is_inside(trial)]

    def is_inside(self, trial: TrialRecord) -> bool:
        """Whether a trial lies inside the study's space."""
        return is_in_space(self.study.space, trial.params)

    @property
    def base(self) -> TrialRecord | None:
        """The base config's trial."""
        return self.trial(BASE_TRIAL)

    def trial(self, number: int) -> TrialRecord | None:
        """The trial with this number."""
        return next((trial for trial in self.trials if trial.number == number), None)


def read_record(folder: Path) -> StudyRecord:
    """Reads a study folder; a torn last line of the journal or of a metrics file is ignored.

    Raises:
        UserError: the folder is not a study folder, or one of its files is broken.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        raise UserError(f"{folder}: not a study folder (no {path.name}); give one such as runs/hamnosys")
    study, data = read_study(path)
    path = folder / JOURNAL
    journal = read_journal(path)
    search, finals = journal.get(SEARCH, JournalSnapshot()), journal.get(FINALS, JournalSnapshot())
    for snapshot in (search, finals):
        check_notes(path, "attributes of the search", snapshot.user_attrs, SearchNotes)
    test = read_test_scores(folder / TEST_SCORES)
    _check_tested_trials(folder, test, search.trials)
    return StudyRecord(
        folder,
        study,
        data,
        [_trial_record(trial, folder, study) for trial in search.trials],
        [_final_record(trial, path) for trial in finals.trials],
        {
            **search.user_attrs,
            **_sums((attributes.WALL_SECONDS, attributes.SLOT_SECONDS), search.user_attrs, finals.user_attrs),
        },
        test,
        read_facts(folder),
    )


def _check_tested_trials(folder: Path, test: TestScores | None, trials: Sequence[FrozenTrial]) -> None:
    """Raises UserError if the test scores are those of trials that the journal does not have: it lost its end."""
    if test is None:
        return
    numbers = {trial.number for trial in trials}
    missing = [str(scores.trial) for scores in (test.base, test.winner) if scores and scores.trial not in numbers]
    if missing:
        raise UserError(
            f"{folder / JOURNAL}: has no trial {' and '.join(missing)}, of which {TEST_SCORES} has the scores: its end "
            "is missing, or one of the two files is of another study; put back a copy of the journal"
        )


def _sums(keys: Sequence[str], *notes: Mapping[str, Any]) -> dict[str, float]:
    return {key: sum(part.get(key, 0.0) for part in notes) for key in keys if any(key in part for part in notes)}


def _trial_record(trial: FrozenTrial, folder: Path, study: Study) -> TrialRecord:
    state, splits = "PAUSED" if is_paused(trial) else trial.state.name, study.settings.splits
    notes = check_notes(folder / JOURNAL, f"trial {trial.number}", trial.user_attrs, TrialNotes)
    folders = run_folders(folder / TRIALS / label_of(trial.number, {}), splits)
    runs = [read_rows(run / METRICS_FILE) for run in folders]
    rows = runs[0] if splits == 1 else []  # with several splits the curve is the one that the trial reported
    reported = dict(sorted(trial.intermediate_values.items()))
    curve = {int(row["epoch"]): row.get(CHOSEN_SCORE, row[SCORE]) for row in rows if SCORE in row} or reported
    last_best = max(curve, key=curve.__getitem__, default=0)
    best_epoch = (last_best if notes.best_epoch is None else notes.best_epoch) or None
    return TrialRecord(
        number=trial.number,
        kind=attributes.SEARCH_KIND if notes.kind is None else notes.kind,
        state=state,
        params=trial.params,
        value=_value(trial),
        epochs=max(reported, default=0) if notes.epochs is None else notes.epochs,
        best_epoch=best_epoch,
        seconds=notes.seconds,
        diverged=notes.diverged,
        curve=curve,
        head_scores=_head_scores(rows, best_epoch) if splits == 1 else _mean_head_scores(runs),
        failure=_failure(trial, notes),
        over_budget=attributes.CUT in trial.user_attrs,
        distributions=distributions_in(study.space, trial),
        ended_at=_seconds(trial.datetime_complete),
        reported=reported,
        costs=notes.costs,
        started_at=_seconds(trial.datetime_start),
        was_paused=attributes.PAUSED in trial.user_attrs,
    )


def _seconds(time: datetime | None) -> float | None:
    return time.timestamp() if time else None


def _failure(trial: FrozenTrial, notes: TrialNotes) -> str:
    """Why a trial failed or diverged."""
    return notes.reason if trial.state == TrialState.FAIL or notes.diverged else ""


def _value(trial: FrozenTrial) -> float | None:
    """The final value, or the best one reported: each report has the score of the best epoch so far."""
    if trial.state == TrialState.FAIL:
        return None
    return trial.values[0] if trial.values else max(trial.intermediate_values.values(), default=None)


def _head_scores(rows: Sequence[Mapping[str, float]], epoch: int | None) -> dict[str, float]:
    row = next((row for row in rows if row["epoch"] == epoch), {})
    names = {key: key.split("/")[1:-1] for key in row if key.endswith("/macro_f1") and key != SCORE}
    return {"/".join(name): row[key] for key, name in names.items()}


def _mean_head_scores(runs: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, float]:
    """Means over the splits, each at its own best epoch."""
    of_splits = []
    for rows in runs:
        if rows:
            best = max(rows, key=lambda row: row.get(CHOSEN_SCORE, row.get(SCORE, 0.0)))
            of_splits.append(_head_scores(rows, int(best["epoch"])))
    heads = of_splits[0] if of_splits else {}
    return {head: statistics.fmean(scores[head] for scores in of_splits if head in scores) for head in heads}


def _final_record(trial: FrozenTrial, journal: Path) -> FinalRecord:
    notes = check_notes(journal, f"final {trial.number}", trial.user_attrs, TrialNotes)
    if notes.source is None or notes.seed is None:
        raise UserError(f"{journal}: final {trial.number}: has no source or no seed; put back a copy of the file")
    value = trial.values[0] if trial.values else None
    times = _seconds(trial.datetime_start), _seconds(trial.datetime_complete)
    return FinalRecord(notes.source, notes.seed, trial.state.name, value, notes.seconds, _failure(trial, notes), *times)


def evenly_spaced(trials: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
    """At most `most` of the trials, evenly spaced from the first to the last."""
    if len(trials) <= most:
        return list(trials)
    return [trials[i * len(trials) // most] for i in range(most)]
