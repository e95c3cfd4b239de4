"""What a search will cost, from two measured epochs of its base config. Starts no Ray, leaves nothing behind."""

import json
import os
import random
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.search.early_stopping import Stopper, build_stopper
from hearai.search.plan import make_plan
from hearai.training.fit import fit
from hearai.training.outputs.layout import BEST, LAST, METRICS_FILE
from hearai.training.runtime import LocalRuntime, choose_device

MEASURED_EPOCHS, ROUNDS = 2, 20
START_SECONDS = 0.5
"""Between two trials of a reused actor (README)."""


@dataclass(frozen=True)
class Estimate:
    """Of the search and its finals; seconds are of this machine."""

    trials: int
    epochs_at_most: int
    """Trial-epochs of the search if nobody is stopped early."""
    epochs: int
    """With early stopping, if first epochs tell who wins and trials come in any order."""
    final_epochs: int
    slots: int
    first_seconds: float
    """Before the first trial trains: data, and features that all trials share; without pre-training."""
    epoch_seconds: float
    pretraining: bool
    """Whether an extractor is pre-trained first, whose time is not in here."""
    disk_mb: float
    """Checkpoints that are kept, and the logs of all trials."""

    @property
    def seconds(self) -> float:
        """From the first trial to the end of the finals."""
        runs = self.trials * START_SECONDS + (self.epochs + self.final_epochs) * self.epoch_seconds
        return self.first_seconds + runs / self.slots


def estimate(study: Study, slots: int) -> Estimate:
    """Trains two epochs of the base config in a temporary folder, with a cache of its own, and reckons from there.

    Raises:
        ConfigError, DataError: input that cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="hearai-estimate-") as folder:
        plan = make_plan(study, Path(folder) / "study")
        untrained = {"feature_extractor.pretrained": False, "feature_extractor.checkpoint": None}
        short = override(plan.start, {"train_parameters.epochs": MEASURED_EPOCHS, **untrained})
        before = os.environ.get("HEARAI_CACHE")
        os.environ["HEARAI_CACHE"] = str(Path(folder) / "cache")  # features of an untrained extractor are of no use
        try:
            run = Path(folder) / "run"
            fit(short, LocalRuntime(choose_device(short.general_parameters.gpu), run))
        finally:
            os.environ.pop("HEARAI_CACHE")
            os.environ.update({} if before is None else {"HEARAI_CACHE": before})
        ends = [json.loads(line)["seconds"] for line in (run / METRICS_FILE).read_text().splitlines()]
        checkpoints, everything = (sum(map(_size, (run / LAST, run / BEST))), _size(run))
    settings, epochs = study.settings, study.max_epochs
    finals = (settings.finalists.count + 1) * settings.finalists.seeds if settings.finalists.count else 0
    kept = settings.finalists.count + 2 + 3 * slots + finals
    logs = (everything - checkpoints) * (settings.budget.trials + finals)
    expected = min(expected_epochs(study), settings.budget.epochs or expected_epochs(study))
    per_epoch = ends[-1] - ends[-2]
    return Estimate(
        trials=settings.budget.trials,
        epochs_at_most=min(settings.budget.trials * epochs, settings.budget.epochs or settings.budget.trials * epochs),
        epochs=expected,
        final_epochs=finals * epochs,
        slots=slots,
        first_seconds=ends[0] - per_epoch,
        epoch_seconds=per_epoch,
        pretraining=plan.pretrain is not None,
        disk_mb=(kept * checkpoints + logs) / 1e6,
    )


def expected_epochs(study: Study) -> int:
    """Trial-epochs of a search whose trials come in random order and whose ranks never change; the mean of a few."""
    totals = []
    for seed in range(ROUNDS):
        stopper = build_stopper(study.settings.early_stopping, study.max_epochs)
        scores = [random.Random(seed * 100_003 + number).random() for number in range(study.settings.budget.trials)]
        totals.append(sum(_epochs_of(stopper, number, value, study.max_epochs) for number, value in enumerate(scores)))
    return round(statistics.fmean(totals))


def _epochs_of(stopper: Stopper | None, number: int, value: float, epochs: int) -> int:
    """How long a trial runs; the base config (the first) to its end."""
    for epoch in range(1, epochs + 1):
        if stopper is not None and not stopper.should_continue(number, epoch, value) and number:
            return epoch
    return epochs


def on_one_machine(cpus_per_trial: float, at_most: int | None) -> int:
    """Trials at a time on this machine's CPUs."""
    slots = max(1, int((os.cpu_count() or 1) / cpus_per_trial))
    return min(slots, at_most or slots)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
