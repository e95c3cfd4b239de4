"""One trial: `fit` in a reused Tune actor, or in a Ray Train worker group that a Tune function drives.

What a trial function gets (its `payload`, plain YAML types so that any node can read it):
study (its name), number, kind ("base", "search" or "final"), label, title (for the dashboard), folder, config (as
`to_dict` gives it), threads, splits (on how many divisions of the clips), workers, of each its cpus and gpus,
hang_seconds (how long it may report nothing), log_from (bytes of its log before this attempt), home (the study's folder
in the driver), and storage (the object store that `--storage` named, or None).
"""

from pathlib import Path
from typing import Any

import ray.tune
import torch

from hearai.config.config import Config
from hearai.metrics import COSTS
from hearai.search.trial.context import TrialContext, assigned_gpu, release_memory, trial_context
from hearai.search.trial.log import Stopped
from hearai.training.fit import FitResult, fit
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.cross_validation import Report, fit_splits

KEYS = ("epoch", "epochs", "objective", "best_epoch", "diverged", "seconds", *COSTS)
"""What the searcher and the scheduler read from a report; of the costs those that were measured."""


class TuneRuntime(LocalRuntime):
    """A run alone in a Tune actor; it reports to the search, and goes on where an earlier attempt stopped."""

    def __init__(self, folder: Path, gpu: int, context: TrialContext, whole: Report):
        super().__init__(choose_device(gpu), folder, resume=True)
        self.study, self._context, self._whole = context.study, context, whole

    def is_preempted(self, step: int) -> bool:
        return bool(self._context.notice)

    def ensure_current_attempt(self) -> None:
        self._context.trial_folder.ensure_current_attempt()

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        super().report(metrics, checkpoint)
        metrics = self._whole(metrics)
        self._context.on_report(metrics, self.device)
        try:
            ray.tune.report({key: metrics[key] for key in KEYS if key in metrics})
        except SystemExit as end:  # Tune's way of stopping a trial
            raise Stopped(end.code) from None


def run_trial(payload: dict[str, Any]) -> None:
    """The trial function of one-worker trials."""
    torch.set_num_threads(payload["threads"])
    try:
        with trial_context(payload) as context:
            gpu = assigned_gpu(context.trial_folder.config)

            def run(config: Config, folder: Path, whole: Report) -> FitResult:
                return fit(config, TuneRuntime(folder, gpu, context, whole))

            fit_splits(context.trial_folder.config, context.trial_folder.folder, payload["splits"], run)
    finally:
        release_memory()
