"""`summary.json`: the figures of a search that a script would want."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hearai.metrics import CHOSEN_SCORE, SCORE
from hearai.reporting.study_report.boundary import boundary_warnings
from hearai.reporting.study_report.importance import importance_of
from hearai.reporting.study_report.pareto import front_rows
from hearai.reporting.study_report.study_record import OPEN, FinalRecord, StudyRecord, TrialRecord
from hearai.search.storage.trial_store import BASE
from hearai.training.outputs.layout import BEST, holds_checkpoint

PACKAGES = ("torch", "ray", "optuna", "timm", "hearai")


def summarize(record: StudyRecord, floor: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Plain JSON types; what is not known (yet) is None or empty.

    floor: scores of always answering the most frequent class, where they are known.
    """
    importance = importance_of(record.trials)
    return {
        "study": record.study.name,
        "space": record.study.space_name,
        "objective": _objective(record),
        "finished": record.finished,
        "splits": record.study.settings.splits,
        "ended_by": record.notes.get("ended_by"),
        "code_versions": record.notes.get("code_versions", []),
        "trials": _counts(record),
        "failed": [{"trial": t.number, "reason": t.failure} for t in record.trials if t.state == "FAIL"],
        "diverged": sum(trial.diverged for trial in record.trials),
        "best": _best(record.winner),
        "baseline": _baseline(record.base),
        "finalists": finalists(record.finals),
        "importance": dict(importance.shares),
        "importance_note": importance.note,
        "warnings": boundary_warnings(record),
        "test": record.test,
        "retrained": _retrained(record),
        "most_frequent": floor,
        "pareto": front_rows(record),
        "seconds": _seconds(record),
        "memory_pss_gb": record.notes.get("memory_pss_gb"),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def finalists(finals: Sequence[FinalRecord]) -> list[dict[str, Any]]:
    """Each finalist and the base config over their fresh seeds (validation score), the best mean first."""
    runs: dict[int, dict[int, float]] = {}
    for final in finals:
        if final.state == "COMPLETE" and final.value is not None:
            runs.setdefault(final.source, {})[final.seed] = final.value
    table = [
        {
            "trial": source,
            "seeds": sorted(values),
            "mean": statistics.fmean(values.values()),
            "std": statistics.stdev(values.values()) if len(values) > 1 else 0.0,
            "values": [values[seed] for seed in sorted(values)],
            "is_base": source == BASE,
        }
        for source, values in runs.items()
    ]
    return sorted(table, key=lambda entry: -entry["mean"])


def _objective(record: StudyRecord) -> dict[str, Any]:
    """Which figure of an epoch is searched for, over which heads, in what words; and all metrics, primary first."""
    heads = record.study.base.train_parameters.objective_heads
    return {
        "metric": CHOSEN_SCORE if heads else SCORE,
        "mode": "max",
        "heads": list(heads),
        "words": record.words,
        "metrics": list(record.study.settings.metric),
    }


def _counts(record: StudyRecord) -> dict[str, int]:
    states = [trial.state for trial in record.trials]
    named = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    started = len(states) - states.count("WAITING")
    return {"total": started, **{name: states.count(state) for name, state in named.items()}}


def _best(trial: TrialRecord | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {"trial": trial.number, "value": trial.value, "epoch": trial.best_epoch, "params": dict(trial.params)}


def _retrained(record: StudyRecord) -> dict[str, Any] | None:
    """The winner's run on training and validation clips, if there was one."""
    folder = record.folder / "final"
    return {"checkpoint": str(folder / BEST), "config": "final.yaml"} if holds_checkpoint(folder / BEST) else None


def _baseline(trial: TrialRecord | None) -> dict[str, Any] | None:
    """The base config's own trial, once it has ended."""
    if trial is None or trial.state in OPEN:
        return None
    return {"trial": trial.number, "value": trial.value, "epoch": trial.best_epoch}


def _seconds(record: StudyRecord) -> dict[str, float | None]:
    """Training is the time inside `fit` of all trials, finals among them; overhead is what slots spent beside it."""
    notes, runs = record.notes, [*record.trials, *record.finals]
    trials = sum(run.state != "WAITING" for run in runs)
    training = sum(run.seconds or 0.0 for run in runs)
    phase, slots, pretraining = (notes.get(key) for key in ("wall_seconds", "slot_seconds", "pretraining_seconds"))
    overhead = (slots - training) / trials if trials and slots else None
    return {
        "wall": notes.get("total_seconds"),
        "trial_phase": phase,
        "training": round(training, 3),
        "overhead_per_trial": None if overhead is None else round(overhead, 3),
        **({} if pretraining is None else {"pretraining": pretraining}),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
