"""Computes the summary of a search from its record."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from hearai.metrics import CHOSEN_SCORE, MACRO_F1, SCORE
from hearai.reporting.study_report.final_scores import MajorityScores
from hearai.reporting.study_report.findings.boundary import boundary_warnings
from hearai.reporting.study_report.findings.health import health_of
from hearai.reporting.study_report.findings.importance import importance_of
from hearai.reporting.study_report.findings.pareto import pareto_points
from hearai.reporting.study_report.study_record import OPEN, FinalRecord, StudyRecord, TrialRecord
from hearai.reporting.study_report.summary import (
    BaseTrial,
    BestTrial,
    FailedTrial,
    FinalistSummary,
    GainSummary,
    ObjectiveSummary,
    RetrainedWinner,
    Seconds,
    StoppingSummary,
    StudySummary,
    TrialCounts,
)
from hearai.search.early_stopping.counterfactual import RecordedTrial, replay_early_stopping
from hearai.search.early_stopping.expected_gain import MIN_VALUES, NEXT_TRIALS, expected_gain, seed_spread
from hearai.search.storage import attributes
from hearai.search.storage.layout import FINAL_CONFIG, FINAL_RUN, seed_of_best
from hearai.search.storage.space_change import history_of
from hearai.search.storage.trial_store import BASE_TRIAL
from hearai.training.outputs.layout import BEST, holds_checkpoint

CURVE_STATES: Mapping[str, Literal["running", "paused", "complete"]] = {
    "RUNNING": "running",
    "PAUSED": "paused",
    "COMPLETE": "complete",
}
"""What the model of a freeze-thaw search sees of a trial that did not end early."""
PACKAGES = ("torch", "ray", "optuna", "timm", "hearai")


def summarize(record: StudyRecord, most_frequent: MajorityScores | None = None) -> StudySummary:
    """The summary of a search in any state.

    most_frequent: the majority baseline, where it is known.
    """
    importance, finalists = importance_of(record.inside), _finalists(record.finals)
    summary = StudySummary(
        study=record.study.name,
        space=record.study.space_name,
        objective=_objective(record),
        finished=record.finished,
        splits=record.study.settings.splits,
        ended_by=record.notes.get(attributes.ENDED_BY),
        code_versions=record.notes.get(attributes.CODE_VERSIONS, []),
        trials=_counts(record),
        failed=[FailedTrial(trial.number, trial.failure) for trial in record.trials if trial.state == "FAIL"],
        diverged=sum(trial.diverged for trial in record.trials),
        best=_best(record, finalists),
        baseline=_baseline(record.base),
        finalists=finalists,
        early_stopping=_early_stopping(record, finalists),
        expected_gain=_expected_gain(record, finalists),
        importance=dict(importance.shares),
        importance_note=importance.note,
        warnings=boundary_warnings(record),
        health=(),
        space_history=_space_history(record),
        test=record.test,
        retrained=_retrained(record),
        most_frequent=most_frequent,
        pareto=pareto_points(record),
        seconds=_seconds(record),
        memory_pss_gb=record.notes.get(attributes.MEMORY_PSS_GB),
        versions={"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    )
    return replace(summary, health=health_of(record, summary))


def _space_history(record: StudyRecord) -> list[str]:
    """How the space was changed while the search continued, and how many trials lie outside of it now."""
    hidden = len(record.trials) - len(record.inside)
    lines = history_of(record.study)
    if hidden:
        were = "trial lies" if hidden == 1 else "trials lie"
        lines.append(f"{hidden} {were} outside of the space: shown here, but not used by the sampler and the finals")
    return lines


def _finalists(finals: Sequence[FinalRecord]) -> list[FinalistSummary]:
    runs: dict[int, dict[int, float]] = {}
    for final in finals:
        if final.state == "COMPLETE" and final.value is not None:
            runs.setdefault(final.source, {})[final.seed] = final.value
    finalists = [
        FinalistSummary(
            trial=source,
            seeds=sorted(values),
            mean=statistics.fmean(values.values()),
            std=statistics.stdev(values.values()) if len(values) > 1 else 0.0,
            values=[values[seed] for seed in sorted(values)],
            is_base=source == BASE_TRIAL,
        )
        for source, values in runs.items()
    ]
    return sorted(finalists, key=lambda finalist: -finalist.mean)


def _early_stopping(record: StudyRecord, finalists: Sequence[FinalistSummary]) -> StoppingSummary:
    trials = [
        RecordedTrial(trial.number, trial.reported, trial.state == "COMPLETE", _was_stopped(trial))
        for trial in record.trials
        if trial.state != "WAITING"
    ]
    factor, epochs = record.study.settings.early_stopping.reduction_factor, record.study.max_epochs
    replay = replay_early_stopping(trials, reduction_factor=factor, max_epochs=epochs, protected=BASE_TRIAL)
    ranked = [trial.number for trial in (record.winner, *record.complete) if trial and trial.number != BASE_TRIAL]
    best = ranked[0] if ranked else None
    return StoppingSummary(
        trial=best,
        finalists=[one.trial for one in finalists if one.trial not in (best, BASE_TRIAL)],
        reduction_factor=factor,
        stopped=any(trial.was_stopped for trial in trials),
        outcomes=replay.outcomes,
        note=replay.note,
    )


def _was_stopped(trial: TrialRecord) -> bool:
    """Whether early stopping ended or paused it, not divergence or the end of the budget."""
    return trial.state in ("PRUNED", "PAUSED") and not trial.diverged and not trial.over_budget


def _expected_gain(record: StudyRecord, finalists: Sequence[FinalistSummary]) -> GainSummary | None:
    seeds = {finalist.trial: finalist.values for finalist in finalists}
    spread = seed_spread(seeds)
    if spread is None:
        return None
    if record.study.settings.sampler.name == "freeze_thaw":
        return _modelled_gain(record, seeds, spread)
    values = [trial.value for trial in record.trials if trial.state == "COMPLETE" and trial.value is not None]
    return GainSummary(expected_gain(values, NEXT_TRIALS), spread) if len(values) >= MIN_VALUES else None


def _modelled_gain(record: StudyRecord, seeds: Mapping[int, Sequence[float]], spread: float) -> GainSummary | None:
    """By the model of a freeze-thaw search: of its few complete trials, all are good."""
    from hearai.search.sampling.freeze_thaw.curves import Curve
    from hearai.search.sampling.policies import build_engine  # scipy

    curves = [
        Curve(
            trial.number,
            trial.params,
            trial.reported,
            CURVE_STATES.get(trial.state, "stopped"),
            diverged=trial.diverged,
            is_prior=trial.number != BASE_TRIAL and not record.is_inside(trial),
        )
        for trial in record.trials
        if trial.state != "WAITING"
    ]
    if sum(bool(curve.values) for curve in curves) < MIN_VALUES:
        return None
    return GainSummary(build_engine(record.study, seeds).expected_gain(curves, NEXT_TRIALS), spread)


def _objective(record: StudyRecord) -> ObjectiveSummary:
    train = record.study.base.train_parameters
    heads, score = train.objective_heads, train.objective_metric
    metric = CHOSEN_SCORE if heads or score != MACRO_F1 else SCORE
    return ObjectiveSummary(metric, list(heads), record.objective_label, list(record.study.settings.metric), score)


def _counts(record: StudyRecord) -> TrialCounts:
    states = [trial.state for trial in record.trials]
    return TrialCounts(
        total=len(states) - states.count("WAITING"),
        complete=states.count("COMPLETE"),
        pruned=states.count("PRUNED"),
        failed=states.count("FAIL"),
        paused=states.count("PAUSED"),
    )


def _best(record: StudyRecord, finalists: Sequence[FinalistSummary]) -> BestTrial | None:
    trial = record.winner
    if trial is None:
        return None
    scores = next((dict(zip(one.seeds, one.values, strict=True)) for one in finalists if one.trial == trial.number), {})
    seed = seed_of_best(trial.state == "COMPLETE", scores)
    return BestTrial(trial.number, trial.value, trial.best_epoch, dict(trial.params), seed)


def _baseline(trial: TrialRecord | None) -> BaseTrial | None:
    if trial is None or trial.state in OPEN:
        return None
    return BaseTrial(trial.number, trial.value, trial.best_epoch)


def _retrained(record: StudyRecord) -> RetrainedWinner | None:
    checkpoint = record.folder / FINAL_RUN / BEST
    return RetrainedWinner(str(checkpoint), FINAL_CONFIG) if holds_checkpoint(checkpoint) else None


def _seconds(record: StudyRecord) -> Seconds:
    notes = record.notes
    runs: list[TrialRecord | FinalRecord] = [*record.trials, *record.finals]
    trials = sum(run.state != "WAITING" for run in runs)
    training = sum(run.seconds or 0.0 for run in runs)
    slots = notes.get(attributes.SLOT_SECONDS)
    overhead = (slots - training) / trials if trials and slots else None
    return Seconds(
        wall=notes.get(attributes.TOTAL_SECONDS),
        trial_phase=notes.get(attributes.WALL_SECONDS),
        training=round(training, 3),
        overhead_per_trial=None if overhead is None else round(overhead, 3),
        pretraining=notes.get(attributes.PRETRAINING_SECONDS),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
