"""The rows of the tables, and how values are written where people read them."""

import csv
import io
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord

FIXED = ("number", "kind", "state", "epochs", "best_epoch", "objective", "seconds", "diverged")
MOST_FAILED = 5
"""Trials whose failure is told beside the table."""
SMALL = 0.01
"""Share of the importance below which a parameter is not worth a bar or a word."""


def trials_csv(record: StudyRecord) -> str:
    """One row a trial of the search: how it ended, what it costs (the study's metrics), its parameters, each head's
    macro-F1 at its best epoch.

    Heads' scores are validation scores. A parameter that a trial did not have is empty.
    """
    paths, heads = list(record.study.space.domains), heads_of(record.trials)
    costs = record.study.settings.metric[1:]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*FIXED, *costs, *paths, *(f"val/{head}/macro_f1" for head in heads), "failure"])
    for trial in record.trials:
        fixed = [trial.number, trial.kind, trial.state, trial.epochs, trial.best_epoch, trial.value, trial.seconds]
        params = [_cell(trial.params.get(path, "")) for path in paths]
        scores = [trial.heads.get(head, "") for head in heads]
        paid = [trial.costs.get(name, "") for name in costs]
        table.writerow([*fixed, str(trial.diverged).lower(), *paid, *params, *scores, trial.failure])
    return text.getvalue()


def heads_of(trials: Sequence[TrialRecord]) -> list[str]:
    """The heads that any trial has scores of, in their order."""
    return list(dict.fromkeys(head for trial in trials for head in trial.heads))


def head_rows(summary: Mapping[str, Any]) -> list[tuple[str, Mapping, Mapping, Mapping]]:
    """(head, base, winner, most frequent class): accuracy and macro-F1 on the test clips; {} where not known."""
    test, floor = summary["test"], summary["most_frequent"] or {}
    if test is None:
        return []
    base, winner = (test["base"] or {}).get("heads", {}), test["winner"]["heads"]
    return [(head, base.get(head, {}), winner[head], floor.get("heads", {}).get(head, {})) for head in winner]


def means_of(summary: Mapping[str, Any]) -> list[tuple[str, float | None, float, float | None]]:
    """(name, base, winner, most frequent class): means of macro-F1 on the test clips; what is compared comes first.

    With named heads that is the mean over them; the mean over all heads stands below it.
    """
    test, floor, heads = summary["test"], summary["most_frequent"], summary["objective"]["heads"]
    if test is None:
        return []
    entries = (test["base"], test["winner"], floor)
    over_all = [entry and entry["mean_macro_f1"] for entry in entries]
    if not heads:
        return [("mean over the heads", *over_all)]
    lows = [scores["macro_f1"] for head, scores in floor["heads"].items() if head in heads] if floor else []
    searched = [*(entry and compared(entry) for entry in entries[:2]), statistics.fmean(lows) if lows else None]
    return [("mean over the heads with *", *searched), ("mean over all heads", *over_all)]


def compared(entry: Mapping[str, Any]) -> float:
    """What base config and winner are compared by on the test clips; older searches knew the mean over all heads."""
    return entry.get("objective", entry["mean_macro_f1"])


def gain(base: float | None, winner: float) -> str:
    """`+0.012`; a dash where there is no base."""
    return "-" if base is None else f"{winner - base:+.3f}"


def finalist_name(entry: Mapping[str, Any]) -> str:
    """Of an entry of the summary's finalists."""
    return "base config" if entry["is_base"] else f"trial {entry['trial']}"


def failures(record: StudyRecord) -> list[tuple[str, str]]:
    """(name, first line of the reason) of each trial that failed, retrainings of finalists last."""
    failed = [(f"{trial.number:04d}", trial) for trial in record.trials]
    failed += [(f"{final.source:04d}-seed{final.seed}", final) for final in record.finals]
    reasons = {name: run.failure.strip().splitlines() for name, run in failed if run.state == "FAIL"}
    return [(name, lines[0] if lines else "no reason was noted") for name, lines in reasons.items()]


def evenly(trials: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
    """At most so many of them, evenly from the first to the last."""
    if len(trials) <= most:
        return list(trials)
    return [trials[i * len(trials) // most] for i in range(most)]


def train_command(record: StudyRecord) -> str | None:
    """What runs the winner again, with as many threads as it had; None while there is none."""
    best, threads = record.folder / "best.yaml", record.notes.get("threads")
    if not best.exists():
        return None
    same = f" --threads {threads}" if threads else ""
    return f"python experiments/train.py --config {shlex.quote(str(best))}{same}"


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """{dotted path: its last parts, as many as tell it from the others}."""
    paths = list(dict.fromkeys(paths))
    names: dict[str, str] = {}
    for path in paths:
        parts = path.split(".")
        endings = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
        names[path] = next(
            end for end in endings if end == path or sum(f".{other}".endswith(f".{end}") for other in paths) == 1
        )
    return names


def plain(value: Any) -> str:
    """A value in few characters: four digits, true / false, a dash for nothing."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def score(value: float | None) -> str:
    """A macro-F1, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    """`7.5 s`, `12 min 30 s`, `3 h 05 min`."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _cell(value: Any) -> Any:
    """YAML's words for what CSV has no words for."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else value
