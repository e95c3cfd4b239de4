"""An epoch of training, its validation and its checkpoint: the plain loop and ours, in turn."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hearai.benchmarks.speed.costs import Cost, measured, median, now
from hearai.benchmarks.speed.machine import matmul_peak, operations_of
from hearai.benchmarks.speed.plain_loop import PlainRun
from hearai.benchmarks.speed.stack_sampler import TRAINING_RULES, sampled
from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.config.study import Request, load_study
from hearai.data.demo import DEMO_CLIPS
from hearai.files import caches_in
from hearai.training.features.feature_cache import BACKBONE_MODULE
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.prepare import with_data

CPU = torch.device("cpu")
B1 = {
    "feature_extractor.model_path": "efficientnet_b1",
    "augmentations_parameters.resize_size": 256,
    "augmentations_parameters.center_crop_size": 256,
    "train_parameters.num_segments": 8,
}


@dataclass(frozen=True)
class Case:
    """A config whose epochs are compared."""

    frozen: bool
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the demo config of the study `hamnosys`."""
    batch_size: int = 64
    clips: int = DEMO_CLIPS
    """Of the demo data, all splits together."""
    epochs: int = 5
    """Of our run; the first, in which the model is built and features are read, is not counted."""


CASES = {
    "demo": Case(frozen=True),
    "demo-unfrozen": Case(frozen=False, clips=200, epochs=2),
    "b1": Case(frozen=True, changes=B1, batch_size=8, clips=100),
    "b1-unfrozen": Case(frozen=False, changes=B1, batch_size=4, clips=24, epochs=2),
}
"""`demo`: mobilenetv3_small_050, 112 pixels, 4 frames. `b1`: efficientnet_b1, 256 pixels, 8 frames."""


@dataclass(frozen=True)
class Epochs:
    """Costs of an epoch of a case, by the plain loop and by ours."""

    case: str
    clips: int
    """Of an epoch: training and validation."""
    plain: Cost
    ours: Cost
    profile: Mapping[str, float]
    """{part of our epoch: share of its time}"""
    operations: float
    """Multiplications and additions of the plain loop's epoch; of ours as well where the backbone is trained."""
    peak: float
    """Operations per second of this machine's matrix products, with the threads of the run."""
    threads: int

    @property
    def plain_share(self) -> float:
        """The plain loop's operations per second of CPU time, as a share of the peak of one thread."""
        return self.operations / self.plain.cpu / (self.peak / self.threads)

    @property
    def our_share(self) -> float | None:
        """The same of ours; None where the backbone does not run, so that it is not arithmetic that dominates."""
        return None if CASES[self.case].frozen else self.operations / self.ours.cpu / (self.peak / self.threads)


def config_of(case: Case, clips: int, device: torch.device = CPU) -> Config:
    """The config on demo data, with absolute folders; random weights, as speed does not depend on them."""
    base = load_study(Request("hamnosys")).base
    frozen = {BACKBONE_MODULE: [True]} if case.frozen else {}
    changes = {
        "general_parameters.gpu": -1 if device.type == "cpu" else device.index,
        "train_parameters.epochs": case.epochs,
        "train_parameters.batch_size": case.batch_size,
        "freeze_scheduler.model_params": frozen,
        **case.changes,
    }
    return with_data(override(base, changes), clips)[0]


def compare_epochs(
    name: str, cache: Path, *, clips: int | None, repeats: int, steps: int, device: torch.device = CPU
) -> Epochs:
    """Measures both in turn, `repeats` times.

    Args:
        cache: folder of features of a frozen backbone, which all trials of a search share: they are not counted.
        clips: of the demo data; None = the case's own number.
        steps: the plain loop takes so many steps of an epoch, and of its validation; the rest by rule of three.
    """
    case = CASES[name]
    config = config_of(case, clips or case.clips, device)
    plain_costs, our_costs = [], []
    with tempfile.TemporaryDirectory(prefix="hearai-throughput-") as temporary:
        folder = Path(temporary)
        plain = PlainRun(config, frozen=case.frozen, device=device)
        for repeat in range(repeats):
            plain_costs.append(_plain_epoch(plain, steps, folder / "plain.pt"))
            with caches_in(cache):
                our_costs.append(median(epoch_costs(config, folder / f"run{repeat}", device)[1:]))
        with caches_in(cache):
            shares = epoch_profile(config, folder / "profile", device)
    split = plain.data.split
    return Epochs(
        name,
        len(split.train) + len(split.val),
        median(plain_costs),
        median(our_costs),
        shares,
        _operations(plain, config),
        matmul_peak(device.type),
        torch.get_num_threads(),
    )


def _plain_epoch(run: PlainRun, steps: int, checkpoint: Path) -> Cost:
    """An epoch of the plain loop, of which some steps are taken."""
    with measured() as training:
        run.train(steps)
    with measured() as validation:
        run.validate(steps)
    with measured() as saving:
        run.save(checkpoint)
    of_train, of_val = (max(1.0, len(loader) / steps) for loader in (run.train_loader, run.val_loader))
    return training.cost * of_train + validation.cost * of_val + saving.cost


class EpochClock(LocalRuntime):
    """Reads the clocks at each report of a run: an epoch lasts from one report to the next."""

    def __init__(self, folder: Path, device: torch.device):
        super().__init__(device, folder)
        self.readings = [now()]

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        self.readings.append(now())


def epoch_costs(config: Config, folder: Path, device: torch.device = CPU) -> list[Cost]:
    """The cost of each epoch of a run of ours in an empty folder."""
    clock = EpochClock(folder, device)
    fit(config, clock)
    return [after - before for before, after in zip(clock.readings, clock.readings[1:], strict=False)]


class _ProfiledFromSecond(LocalRuntime):
    """Keeps the samples of a run that were taken after its first epoch."""

    def __init__(self, folder: Path, device: torch.device, counts: Any):
        super().__init__(device, folder)
        self._counts, self._is_first = counts, True

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        if self._is_first:
            self._counts.clear()
        self._is_first = False


def epoch_profile(config: Config, folder: Path, device: torch.device = CPU) -> dict[str, float]:
    """{part: share of the time} of a run's epochs but the first, and of its end."""
    with sampled(TRAINING_RULES) as profile:
        fit(config, _ProfiledFromSecond(folder, device, profile.counts))
    return profile.shares()


def _operations(run: PlainRun, config: Config) -> float:
    """Operations of an epoch: those of a batch of two clips, scaled."""
    segments, (height, width) = config.train_parameters.num_segments, config.augmentations_parameters.crop_sides
    clips = run.data.split.train[:2]
    frames_BTCHW = torch.zeros(len(clips), segments, 3, height, width, device=run.device)
    mask_BT = torch.ones(len(clips), segments, dtype=torch.bool, device=run.device)
    labels = {head: torch.tensor([clip.labels[head] for clip in clips]) for head in config.active_heads}
    run.model.train()
    if run.backbone is not None:
        run.backbone.eval()
    training = operations_of(lambda: run.step(frames_BTCHW, mask_BT, labels))
    with torch.no_grad():
        validation = operations_of(lambda: run.model({"frames": frames_BTCHW}, mask_BT))
    split = run.data.split
    return (training * len(split.train) + validation * len(split.val)) / len(clips)
