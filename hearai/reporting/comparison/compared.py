"""A study as it is compared with others: what was read of it, and the score by which it is ranked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import FinalistSummary, StudySummary


@dataclass(frozen=True)
class ComparedStudy:
    """One of the studies of a comparison."""

    label: str
    """The name of its folder; where several have the same, the location as it was given."""
    location: str
    """As it was given."""
    record: StudyRecord
    summary: StudySummary
    split: Mapping[str, str] | None
    """{clip: part} of split.csv; None without the file."""

    @property
    def winner_runs(self) -> FinalistSummary | None:
        """The winner's runs with new seeds; None before the winner is chosen, and in studies without finals."""
        test = self.summary.test
        return next((one for one in self.summary.finalists if test and one.trial == test.winner.trial), None)

    @property
    def best_value(self) -> float | None:
        """Score in [0, 1] of the best complete trial of the search, which need not be the winner."""
        return max((trial.value for trial in self.record.eligible if trial.value is not None), default=None)

    @property
    def winner_value(self) -> float | None:
        """Score in [0, 1] of the winner's run in the search; before it is chosen, of the best complete trial so far."""
        return self.summary.best.value if self.summary.best else None

    @property
    def epochs(self) -> int:
        """Those trained by all trials of the search together, also of trials that were stopped or have failed."""
        return sum(trial.epochs for trial in self.record.trials)


def labels_of(names: Sequence[str], locations: Sequence[str]) -> list[str]:
    """Short labels that tell the studies apart. names: of their folders, in the order of `locations`."""
    return [
        name if names.count(name) == 1 else location.rstrip("/")
        for name, location in zip(names, locations, strict=True)
    ]
