"""Estimates the cost of a search from two epochs of its base config, without Ray and without a study folder."""

import json
import random
import statistics
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.data.annotations.load import load_data
from hearai.files import caches_in
from hearai.search.budget import budget_of
from hearai.search.early_stopping import Stopper, build_stopper
from hearai.search.plan import Plan, make_plan
from hearai.search.sampling.freeze_thaw.engine import freeze_thaw_levels
from hearai.search.sampling.freeze_thaw.pausing import PAUSED_PER_SLOT
from hearai.threads import usable_cores
from hearai.training.fit import fit
from hearai.training.outputs.layout import BEST, LAST, METRICS_FILE
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.backbone_cache import estimate_pretraining
from hearai.training.setup.cross_validation import fold_configs

MEASURED_EPOCHS = 2
SIMULATED_SEARCHES = 20
START_SECONDS = 0.5
"""Between two trials of a reused actor (README)."""


@dataclass(frozen=True)
class Estimate:
    """The cost of a search and its finals; times are those of this machine."""

    trials: int
    epochs_at_most: int
    """Trial-epochs of the search without early stopping; of a freeze-thaw search with those of the trials that are
    trained to their end after the budget."""
    epochs: int
    """With early stopping, if the first epochs rank trials correctly and trials come in random order; of a freeze-thaw
    search its budget."""
    complete_trials: float | None
    """What the epoch budget of a freeze-thaw search is worth in complete trials; None for other samplers."""
    starts: int
    """How often a trial starts or resumes, at most."""
    final_epochs: int
    slots: int
    first_seconds: float
    """Before the first epoch: reading data, computing shared features; without pre-training."""
    pretraining_seconds: float | None
    """Of pre-training with all its epochs, on all folds; 0 if it is in the cache, None if there is none."""
    epoch_seconds: float
    keeps_features: bool
    """Whether the features of a frozen extractor are those of the search, and already in its cache; else they were
    computed with random weights and removed, and the search computes its own."""
    disk_mb: float
    """The checkpoints that are kept, and the logs of all trials."""

    @property
    def seconds(self) -> float:
        """From the start of the search, pre-training included, to the end of the finals."""
        runs = self.starts * START_SECONDS + (self.epochs + self.final_epochs) * self.epoch_seconds
        return (self.pretraining_seconds or 0.0) + self.first_seconds + runs / self.slots


def estimate(study: Study, slots: int) -> Estimate:
    """Trains two epochs of the base config in a temporary folder, and extrapolates.

    Features of trained weights are computed into the cache, where the search finds them. Where it pre-trains the
    extractor first, or has no trained weights, those of random ones cost as much, and are not kept.

    Raises:
        ConfigError, DataError: invalid input.
    """
    with tempfile.TemporaryDirectory(prefix="hearai-estimate-") as folder:
        plan = make_plan(study, Path(folder) / "study")
        extractor = plan.start.feature_extractor
        keeps_features = plan.pretrain is None and bool(extractor.pretrained or extractor.checkpoint)
        untrained = {"feature_extractor.pretrained": False, "feature_extractor.checkpoint": None}
        length = {"train_parameters.epochs": MEASURED_EPOCHS}
        short = override(plan.start, length if keeps_features else {**length, **untrained})
        run = Path(folder) / "run"
        with nullcontext() if keeps_features else caches_in(Path(folder) / "cache"):
            fit(short, LocalRuntime(choose_device(short.general_parameters.gpu), run))
        ends = [json.loads(line)["seconds"] for line in (run / METRICS_FILE).read_text().splitlines()]
        checkpoints, total = (sum(map(_size, (run / LAST, run / BEST))), _size(run))
    settings, epochs = study.settings, study.max_epochs
    finals = (settings.finalists.count + 1) * settings.finalists.seeds if settings.finalists.count else 0
    is_freeze_thaw, (expected, at_most) = settings.sampler.name == "freeze_thaw", search_epochs(study)
    kept = settings.finalists.count + 2 + 3 * slots + finals + is_freeze_thaw * PAUSED_PER_SLOT * slots
    logs = (total - checkpoints) * (settings.budget.trials + finals)
    per_epoch = ends[-1] - ends[-2]
    return Estimate(
        trials=settings.budget.trials,
        epochs_at_most=at_most,
        epochs=expected,
        complete_trials=expected / epochs if is_freeze_thaw else None,
        starts=settings.budget.trials * (len(freeze_thaw_levels(epochs)) if is_freeze_thaw else 1),
        final_epochs=finals * epochs,
        slots=slots,
        first_seconds=ends[0] - per_epoch,
        pretraining_seconds=_pretraining_seconds(plan),
        epoch_seconds=per_epoch,
        keeps_features=keeps_features,
        disk_mb=(kept * checkpoints + logs) / 1e6,
    )


def _pretraining_seconds(plan: Plan) -> float | None:
    if plan.pretrain is None:
        return None
    starts = fold_configs(plan.start, plan.study.settings.splits)
    return sum(estimate_pretraining(start, load_data(start), plan.pretrain) for start in starts)


def search_epochs(study: Study) -> tuple[int, int]:
    """(trial-epochs that a search is expected to need, those that it needs at most), without finals.

    A freeze-thaw search spends its budget; which curves it will see, and so how many trials it starts, is not known
    before. Then the base config and the best trials are trained to their end.
    """
    settings, epochs = study.settings, study.max_epochs
    all_complete = settings.budget.trials * epochs
    limit = min(budget_of(study).epochs or all_complete, all_complete)
    if settings.sampler.name == "freeze_thaw":
        to_end = 1 + max(settings.finalists.count, 1)
        return limit, min(limit + to_end * epochs, all_complete)
    return min(expected_epochs(study), limit), limit


def expected_epochs(study: Study) -> int:
    """Trial-epochs of a search with random scores that do not change over epochs; the mean of a few simulations."""
    totals = []
    for seed in range(SIMULATED_SEARCHES):
        stopper = build_stopper(study.settings.early_stopping, study.max_epochs)
        scores = [random.Random(seed * 100_003 + number).random() for number in range(study.settings.budget.trials)]
        totals.append(sum(_epochs_of(stopper, number, value, study.max_epochs) for number, value in enumerate(scores)))
    return round(statistics.fmean(totals))


def _epochs_of(stopper: Stopper | None, number: int, value: float, epochs: int) -> int:
    """Epochs that a trial runs; the base config's, which is the first, is never stopped."""
    for epoch in range(1, epochs + 1):
        if stopper is not None and not stopper.should_continue(number, epoch, value) and number:
            return epoch
    return epochs


def local_slots(cpus_per_trial: float, at_most: int | None) -> int:
    """Concurrent trials on this machine's CPUs."""
    slots = max(1, int(usable_cores() / cpus_per_trial))
    return min(slots, at_most or slots)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
