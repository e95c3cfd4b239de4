"""A trial with one worker: `fit` in a reused Tune actor."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray.tune

from hearai.metrics import COSTS
from hearai.search.trial.context import TrialContext, assigned_gpu, release_memory, trial_context
from hearai.search.trial.log import Stopped
from hearai.search.trial.spec import TrialSpec
from hearai.training.optim.torch_options import use_threads
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.cross_validation import FoldProgress, fit_folds

KEYS = ("epoch", "epochs", "objective", "best_epoch", "diverged", "seconds", *COSTS)
"""What the searcher and the scheduler read from a report; costs only where they were measured."""


class TuneRuntime(LocalRuntime):
    """A run alone in a Tune actor: it reports to the search, and resumes where an earlier attempt stopped."""

    def __init__(self, folder: Path, progress: FoldProgress, *, context: TrialContext):
        super().__init__(choose_device(assigned_gpu(context.folder.config)), folder, resume=True)
        self.study, self._context, self._progress = context.spec.study, context, progress
        self.sends_folder = context.folder.store is not None
        if context.spec.may_pause:
            self.save_seconds = 0.0

    def report_missing(self, history: Sequence[dict[str, float]]) -> None:
        for merged in self._progress.missing(history):
            self._send(merged)

    def is_preempted(self, step: int) -> bool:
        return bool(self._context.preemption)

    def ensure_current_attempt(self) -> None:
        self._context.folder.ensure_current_attempt()

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        super().report(metrics, checkpoint)
        merged = self._progress.merge(metrics)
        self._context.on_report(merged, self.device)
        self._send(merged)

    def _send(self, merged: Mapping[str, float]) -> None:
        reason = {"reason": self.divergence} if merged["diverged"] else {}
        try:
            ray.tune.report({key: merged[key] for key in KEYS if key in merged} | reason)
        except SystemExit as end:  # how Tune stops a trial
            raise Stopped(end.code) from None


def run_trial(config: dict[str, Any]) -> None:
    """The function of a Tune trial with one worker; config: a `TrialSpec` as a dictionary."""
    spec = TrialSpec.from_dict(config)
    use_threads(spec.threads)
    try:
        with trial_context(spec) as context:
            runtime = functools.partial(TuneRuntime, context=context)
            fit_folds(context.folder.config, context.folder.path, spec.folds, runtime, reported=spec.reported)
    finally:
        release_memory()
