"""The figures of a search that summary.json holds and that page and terminal show. `summarize.py` computes them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hearai.config.search_space.domains import Value
from hearai.metrics import MACRO_F1, SCORES
from hearai.reporting.study_report.final_scores import MajorityScores, TestScores
from hearai.reporting.study_report.findings.pareto import ParetoPoint
from hearai.search.early_stopping.counterfactual import Counterfactual
from hearai.search.early_stopping.expected_gain import NEXT_TRIALS


@dataclass(frozen=True)
class ObjectiveSummary:
    """What a search maximises."""

    metric: str
    """Its name in metrics.jsonl."""
    heads: Sequence[str]
    """The heads whose mean it is; empty = all."""
    label: str
    """For people: `macro-F1`, or `macro-F1 over 3 of 8 heads`."""
    metrics: Sequence[str]
    """All metrics of the study; the objective is the first."""
    score: str = MACRO_F1
    """What it is the mean of: a name of `metrics.SCORES`."""

    @property
    def name(self) -> str:
        """That score, for people."""
        return SCORES[self.score]

    def to_dict(self) -> dict[str, Any]:
        """The entry of summary.json."""
        heads, metrics = list(self.heads), list(self.metrics)
        score = {} if self.score == MACRO_F1 else {"score": self.score}
        return {"metric": self.metric, "mode": "max", "heads": heads, "words": self.label, "metrics": metrics, **score}


@dataclass(frozen=True)
class TrialCounts:
    """The trials of the search by state; retraining of finalists is not counted."""

    total: int
    """Those started."""
    complete: int
    pruned: int
    """Stopped early."""
    failed: int
    paused: int = 0
    """Those that do not train, and may be trained on."""

    @property
    def running(self) -> int:
        """Those that train."""
        return self.total - self.complete - self.pruned - self.failed - self.paused


@dataclass(frozen=True)
class FailedTrial:
    """A trial of the search that failed."""

    trial: int
    reason: str


@dataclass(frozen=True)
class BestTrial:
    """The winner's trial; before the winner is chosen, the best complete trial so far."""

    trial: int
    value: float | None
    """Validation score of its best epoch, in [0, 1]."""
    epoch: int | None
    """The best epoch, from 1."""
    params: Mapping[str, Value]
    model_seed: int | None = None
    """Seed of the winner's run in the finals that `best/` holds; None = its run in the search."""

    def to_dict(self) -> dict[str, Any]:
        """The entry of summary.json; `model_seed` is left out where `best/` holds the run of the search."""
        return {key: value for key, value in asdict(self).items() if key != "model_seed" or value is not None}


@dataclass(frozen=True)
class BaseTrial:
    """The trial of the base config, once it has ended."""

    trial: int
    value: float | None
    """Validation score of its best epoch, in [0, 1]; None where it failed."""
    epoch: int | None
    """The best epoch, from 1."""


@dataclass(frozen=True)
class FinalistSummary:
    """A finalist, or the base config, retrained with new seeds; validation scores in [0, 1]."""

    trial: int
    seeds: Sequence[int]
    mean: float
    std: float
    """Sample standard deviation; 0 for one seed."""
    values: Sequence[float]
    """The score of each seed, in the order of `seeds`."""
    is_base: bool

    @property
    def name(self) -> str:
        """As page and terminal call it."""
        return "base config" if self.is_base else f"trial {self.trial}"


@dataclass(frozen=True)
class StoppingSummary:
    """What early stopping from an earlier epoch would have saved and lost, with the same trials."""

    trial: int | None
    """The trial that should have been kept: the winner, or the best complete trial if that is the base config."""
    finalists: Sequence[int]
    """The other trials that were retrained."""
    reduction_factor: int
    stopped: bool
    """Whether trials were stopped early; if so, the outcomes are those of stopping even earlier."""
    outcomes: Sequence[Counterfactual]
    """By the epoch from which trials are stopped, ascending; empty if nothing is known."""
    note: str
    """Why nothing is known; empty if there are outcomes."""


@dataclass(frozen=True)
class GainSummary:
    """Whether more trials are worth it; scores in [0, 1]."""

    gain: float
    """Expected increase of the best score by further complete trials."""
    seed_spread: float
    """Standard deviation over the seeds of a config."""
    trials: int = NEXT_TRIALS
    """Number of further trials."""


Status = Literal["PASS", "WARNING", "FAIL", "UNKNOWN"]


@dataclass(frozen=True)
class HealthCheck:
    """One check of whether the result of a search can be believed."""

    id: str
    """Its name in `findings.health.CHECKS`."""
    name: str
    """For people."""
    status: Status
    figure: str
    """What was measured, in a few words; of UNKNOWN what the check needs."""
    meaning: str = ""
    """What the figure means; empty for PASS and UNKNOWN."""
    action: str = ""
    """What to do about it; empty for PASS and UNKNOWN."""


@dataclass(frozen=True)
class RetrainedWinner:
    """The winner's run on training and validation clips together."""

    checkpoint: str
    config: str
    """File in the study folder."""


@dataclass(frozen=True)
class Seconds:
    """Where the time went, in seconds; None = unknown."""

    wall: float | None
    """All calls of the search command together."""
    trial_phase: float | None
    """Wall time of search and finals."""
    training: float
    """Inside `fit`, summed over all trials and finals."""
    overhead_per_trial: float | None
    """Time of the slots outside `fit`, per trial."""
    pretraining: float | None
    """None where nothing was pre-trained."""

    def to_dict(self) -> dict[str, float | None]:
        """The entry of summary.json; without pre-training the key is left out."""
        return {key: value for key, value in asdict(self).items() if key != "pretraining" or value is not None}


@dataclass(frozen=True)
class StudySummary:
    """The figures of a search, finished or not; what is not known (yet) is None or empty."""

    study: str
    space: str
    objective: ObjectiveSummary
    finished: bool
    splits: int
    """Runs of each trial, on different divisions into training and validation clips."""
    ended_by: str | None
    """The budget or stopping criterion that ended the search."""
    code_versions: Sequence[str]
    """Every version of the code that ran a part of the search."""
    trials: TrialCounts
    failed: Sequence[FailedTrial]
    diverged: int
    """Trials whose loss or score became infinite or NaN."""
    best: BestTrial | None
    baseline: BaseTrial | None
    finalists: Sequence[FinalistSummary]
    """The best mean first."""
    early_stopping: StoppingSummary
    expected_gain: GainSummary | None
    """None with few trials, or where no config has several seeds."""
    importance: Mapping[str, float]
    """{parameter: share of the importance}, the largest first; the sum is 1."""
    importance_note: str
    """Why there are no shares; empty where there are."""
    warnings: Sequence[str]
    """Ranges of the space that should be widened."""
    health: Sequence[HealthCheck]
    """Every check, in the order in which they are shown."""
    space_history: Sequence[str]
    """How the space was changed while the search continued; empty if it was not."""
    test: TestScores | None
    retrained: RetrainedWinner | None
    most_frequent: MajorityScores | None
    """None where the test clips have not been scored, or the dataset is missing or has changed."""
    pareto: Sequence[ParetoPoint]
    """The best objective first; empty for one metric."""
    seconds: Seconds
    memory_pss_gb: float | None
    """Peak memory of all processes of the search, proportional set size, in GB."""
    versions: Mapping[str, str | None]
    """{package: version}, of Python too; None = not installed."""

    @property
    def winner_label(self) -> str:
        """What `best` is: the winner once it has been chosen."""
        return "winner" if self.test else "best so far"

    @property
    def winner_validation(self) -> tuple[float, str] | None:
        """Validation score of the config whose test scores are shown, and of which runs it is.

        Of those with new seeds, if there are any: the one in the search was the best of many, so it is optimistic.
        """
        winner = self.test.winner.trial if self.test else None
        retrained = next((one.mean for one in self.finalists if one.trial == winner), None)
        if retrained is not None:
            return retrained, "retrained with new seeds"
        if self.best is not None and self.best.trial == winner and self.best.value is not None:
            return self.best.value, "in the search"
        return None

    def to_dict(self) -> dict[str, Any]:
        """The content of summary.json: plain JSON types. A space that was never changed has no `space_history`."""
        return {
            **{key: value for key, value in asdict(self).items() if key != "space_history" or value},
            "objective": self.objective.to_dict(),
            "best": self.best and self.best.to_dict(),
            "test": self.test and self.test.raw,
            "most_frequent": self.most_frequent and self.most_frequent.to_dict(),
            "pareto": [point.to_dict() for point in self.pareto],
            "seconds": self.seconds.to_dict(),
        }
