"""Runtimes that record a run, or end it from outside."""

from pathlib import Path

from hearai.training.runtime import LocalRuntime


class Interrupted(Exception):
    """Whatever ends a run from outside."""


class RecordingRuntime(LocalRuntime):
    """Keeps the metrics of each epoch."""

    def __init__(self, folder: Path, *, resume: bool = False):
        super().__init__("cpu", folder, resume=resume)
        self.reports: list[dict[str, float]] = []

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        assert checkpoint == self.folder / "last"
        self.reports.append(metrics)


class InterruptedRuntime(LocalRuntime):
    """Ends the run, as early stopping does, when the given epoch has been reported."""

    def __init__(self, folder: Path, after_epoch: int):
        super().__init__("cpu", folder)
        self._after_epoch = after_epoch

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        if metrics["epoch"] == self._after_epoch:
            raise Interrupted
