"""What a search costs in the documented way and in ours: trials x overhead + trial-epochs x epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hearai.benchmarks.curves import recorded_study
from hearai.benchmarks.engines import RayEngine
from hearai.benchmarks.simulation import Run, simulate
from hearai.benchmarks.speed.costs import Cost, measured, median
from hearai.benchmarks.speed.documented_way import DocumentedSearch
from hearai.benchmarks.speed.measured_trials import PER_EPOCH, TrialRecord
from hearai.benchmarks.speed.report import Comparison, SpeedReport
from hearai.benchmarks.surrogate import demo_surrogate
from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.config.study import Request, load_study
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import Data, load_data
from hearai.files import caches_in
from hearai.training.features.feature_cache import ensure_features
from hearai.training.setup.backbone_cache import estimate_pretraining
from hearai.training.setup.prepare import with_data

UNLIMITED_EPOCHS = 10**9


@dataclass(frozen=True)
class Schedule:
    """The trials and trial-epochs of a search."""

    trials: int
    epochs: int


class _Limited:
    """An engine with a limited number of trials, whose epochs are counted."""

    def __init__(self, engine: RayEngine, trials: int):
        self._engine, self._left, self.epochs = engine, trials, 0

    def ask(self) -> Run | None:
        self._left -= 1
        return self._engine.ask() if self._left >= 0 else None

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        self.epochs += 1
        return self._engine.tell(key, epoch, value, last)


def demo_schedule(trials: int) -> Schedule:
    """The epochs of so many trials under ASHA, as the surrogate of the demo task simulates them."""
    engine = _Limited(RayEngine(recorded_study()), trials)
    for _ in simulate(engine, demo_surrogate(), workers=2, epoch_budget=UNLIMITED_EPOCHS):
        pass
    return Schedule(trials, engine.epochs)


@dataclass(frozen=True)
class Rates:
    """What a trial costs beyond its epochs, and an epoch."""

    overhead: Cost
    epoch: Cost

    @classmethod
    def of_documented(cls, search: DocumentedSearch) -> "Rates":
        """Of the documented way."""
        return cls(search.overhead, search.epoch)

    @classmethod
    def of_ours(cls, records: Sequence[TrialRecord], later: Cost) -> "Rates":
        """Of our trials, one at a time.

        A trial's CPU time is divided between its epochs and the rest as its wall time is.

        Args:
            records: in the order of their start.
            later: cost of all trials but the first.
        """
        epochs, of_later = [], Cost()
        for record in records[1:]:
            seconds = sum(record.parts.get(part, 0.0) for part in PER_EPOCH)
            of_trial = Cost(seconds, record.cpu * seconds / (record.end - record.start))
            epochs.append(of_trial * (1 / record.epochs))
            of_later = of_later + of_trial
        return cls((later - of_later) * (1 / len(epochs)), median(epochs))

    def search(self, schedule: Schedule) -> Cost:
        """Of a search: seconds of slots, and CPU seconds."""
        return self.overhead * schedule.trials + self.epoch * schedule.epochs


@dataclass(frozen=True)
class Shared:
    """What comes before the first trial."""

    pretraining: Cost
    """Of the extractor, on both sides; by rule of three from a few steps."""
    features: Cost
    """Of the frozen extractor, computed once by us alone; by rule of three from some clips."""


def measured_pretraining(base: Config, cache: Path, *, clips: int = 64) -> Shared:
    """The cost of what all trials share, with the present number of threads.

    Args:
        base: with its dataset folder.
        cache: an empty folder.
        clips: of the demo data, of which features are computed.
    """
    data, settings = load_data(base), load_study(Request("hamnosys")).settings.pretrain
    assert isinstance(settings, Pretrain)
    with caches_in(cache), measured() as sample:
        seconds = estimate_pretraining(base, data, settings)
    few, few_data = with_data(override(base, {"general_parameters.data_path": None}), clips)
    with caches_in(cache), measured() as some_features:
        ensure_features(few)
    scale = _frames(data) / _frames(few_data)
    cpu = seconds * sample.cost.cpu / sample.cost.wall
    return Shared(Cost(seconds, cpu), some_features.cost * scale)


def _frames(data: Data) -> int:
    """Frames whose features are computed."""
    return sum(clip.end - clip.start + 1 for clip in (*data.split.train, *data.split.val))


def cost_report(sides: Sequence[tuple[Rates, Rates]], schedule: Schedule, shared: Shared, steps: int) -> SpeedReport:
    """The report of `benchmark.py search-cost`. sides: (documented, ours) of each repeat."""
    documented, ours = (
        Rates(median([rates.overhead for rates in side]), median([rates.epoch for rates in side]))
        for side in zip(*sides, strict=True)
    )
    of_documented, of_ours = documented.search(schedule), ours.search(schedule)
    comparisons = [
        Comparison("search phase", of_documented, of_ours),
        Comparison(
            "with pre-training, features",
            of_documented + shared.pretraining,
            of_ours + shared.pretraining + shared.features,
        ),
        Comparison("overhead of a trial", documented.overhead, ours.overhead),
        Comparison("an epoch", documented.epoch, ours.epoch),
    ]
    shown = {"pre-training (both)": shared.pretraining, "features (ours)": shared.features}
    return SpeedReport(
        "search-cost",
        comparisons,
        seconds={f"{name}, CPU time": cost.cpu for name, cost in shown.items()},
        notes=[
            f"{schedule.trials} trials, {schedule.epochs} trial-epochs: those of a simulated search under ASHA,",
            "the same for both sides. Wall time is that of slots. Overhead: everything but epochs, all of",
            f"Ray's processes included. Of the documented way {steps} steps an epoch are measured, the rest,",
            "pre-training and features by rule of three.",
        ],
    )
