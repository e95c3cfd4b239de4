"""The health checks of a search: whether its result can be believed, and what to do where it cannot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hearai.reporting.study_report.findings import run_checks, score_checks
from hearai.reporting.study_report.findings.finding import Check
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import HealthCheck, StudySummary


@dataclass(frozen=True)
class _Entry:
    name: str
    """What is checked."""
    check: Check
    is_in_text: bool = False
    """Whether the reports in text say it in a sentence of their own."""


CHECKS: Mapping[str, _Entry] = {
    "gain": _Entry("gain against noise", score_checks.noise_against_gain, is_in_text=True),
    "validation": _Entry("validation clips", score_checks.validation_size),
    "gap": _Entry("validation against test", score_checks.validation_against_test, is_in_text=True),
    "majority": _Entry("against the most frequent class", score_checks.better_than_majority),
    "boundary": _Entry("ends of ranges", run_checks.boundary, is_in_text=True),
    "complete": _Entry("number of trials", run_checks.complete_trials),
    "failed": _Entry("failed trials", run_checks.failed_trials),
    "diverged": _Entry("diverged trials", run_checks.diverged_trials),
    "slots": _Entry("slots", run_checks.busy_slots),
    "labels": _Entry("classes of the test clips", run_checks.unmatched_labels),
    "signers": _Entry("signers", run_checks.separate_signers),
    "seen": _Entry("clips seen before", run_checks.clips_seen_before),
}
"""{id: check}, in the order in which they are shown."""


def health_of(record: StudyRecord, summary: StudySummary) -> list[HealthCheck]:
    """The result of every check; `summary` needs no checks yet."""
    found = {name: entry.check(record, summary) for name, entry in CHECKS.items()}
    return [
        HealthCheck(name, CHECKS[name].name, one.status, one.figure, one.meaning, one.action)
        for name, one in found.items()
    ]


def not_passed(checks: Sequence[HealthCheck]) -> list[HealthCheck]:
    """FAIL, then WARNING, without what a report in text says in sentences of its own."""
    found = [check for check in checks if check.status in ("FAIL", "WARNING") and not CHECKS[check.id].is_in_text]
    return sorted(found, key=lambda check: check.status != "FAIL")


def health_line(checks: Sequence[HealthCheck]) -> str:
    """What did not pass, for the terminal; empty if there is nothing to say."""
    parts = [f"{check.status} {check.name}: {check.figure}" for check in not_passed(checks)]
    return f"health checks: {'; '.join(parts)}" if parts else ""
