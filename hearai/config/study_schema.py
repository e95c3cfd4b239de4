"""The YAML schema of a study (`search_spaces/*.yaml`): sections, options and defaults."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from hearai.config import limits
from hearai.config.field_types import Epochs, Frozen, FrozenDict, Integer, Names, Number, OneOf, list_to_tuple
from hearai.config.validation import Section
from hearai.metrics import MACRO_F1, OBJECTIVE, SCORES, check_metrics

SINGLE_OBJECTIVE_SAMPLERS = ("cmaes",)
"""Samplers without multi-objective support."""
PLATEAU = "plateau"
"""The value of `budget.stop_when` that is not a score."""
MIN_PLATEAU_EPOCHS = 5
"""Epochs per trial from which `plateau` can tell noise."""


class Budget(Section):
    """Limits of the search. The epochs per trial are `train_parameters.epochs` of the base config."""

    trials: Annotated[Integer, Field(ge=1, le=limits.MAX_TRIALS)] = Field(
        40, description="Number of trials, including the base config."
    )
    seconds: Annotated[Number, Field(gt=0, le=limits.MAX_SECONDS)] | None = Field(
        None, description="Wall time of the trials, seconds."
    )
    epochs: Annotated[Integer, Field(ge=1, le=10**9)] | None = Field(
        None, description="Total epochs of all trials, excluding finals."
    )
    stop_when: Annotated[Number, Field(gt=0, le=1)] | Literal["plateau"] | None = Field(
        None,
        description="Stop when a trial reaches this score; plateau = when the next trials are expected to gain less "
        "than a new seed changes.",
    )


class Sampler(Section):
    """How configs are proposed."""

    name: Literal["tpe", "freeze_thaw", "gp", "cmaes", "qmc", "random", "nsga2", "nsga3", "grid"] = Field(
        "tpe",
        description="Optuna sampler; grid = every point of the space once; freeze_thaw = our own, which pauses and "
        "resumes trials in place of early_stopping.",
    )
    startup_trials: Annotated[Integer, Field(ge=0, le=limits.MAX_TRIALS)] = Field(
        10, description="Random trials before the model is used; nsga2, nsga3: population size."
    )


class EarlyStopping(Section):
    """How unpromising trials are stopped."""

    name: Literal["asha", "auto", "hyperband", "median", "none"] = Field(
        "asha", description="Early-stopping algorithm; auto = asha that decides itself where stopping begins."
    )
    grace_epochs: Epochs = Field(3, description="Minimum epochs per trial; auto: not used.")
    reduction_factor: Annotated[Integer, Field(ge=2, le=1000)] = Field(
        3, description="asha, auto, hyperband: one in this many trials continues at each rung."
    )
    brackets: Annotated[Integer, Field(ge=1, le=100)] = Field(
        3, description="hyperband: number of brackets, each with a later first rung."
    )


class Finalists(Section):
    """Retraining of the best trials: the winner has the best mean over new seeds, not the luckiest run."""

    count: Annotated[Integer, Field(ge=0, le=limits.MAX_RETRAINING)] = Field(
        3, description="Number of best trials to retrain; 0 = none."
    )
    seeds: Annotated[Integer, Field(ge=1, le=limits.MAX_RETRAINING)] = Field(
        3, description="New seeds per finalist, and for the base config."
    )
    retrain: bool = Field(False, description="Finally train the winner on training and validation clips.")


class Pretrain(Section):
    """Pre-training of the extractor on single frames, once before the trials."""

    epochs: Epochs = Field(10, description="Passes over the frames of the training clips.")
    lr: Annotated[Number, Field(gt=0, le=limits.MAX_LR)] = Field(3e-3, description="Peak learning rate.")
    batch_size: Annotated[Integer, Field(ge=2, le=limits.MAX_BATCH)] = Field(64, description="Frames per step.")
    patience: Annotated[Integer, Field(ge=0, le=limits.MAX_EPOCHS)] = Field(
        4, description="Ends after so many epochs without a better validation score; 0 = trains all epochs."
    )


class Objective(Section):
    """The objective of the search."""

    heads: Names = Field((), description="Heads whose mean score is the objective; [] = all heads that have labels.")
    metric: Annotated[str, OneOf(SCORES)] = Field(
        MACRO_F1, description="That score: see train_parameters.objective_metric in docs/options.md."
    )


def _bool_to_pretrain(value: Any) -> Any:
    return Pretrain() if value is True else None if value is False else value


def _none_to_empty(value: Any) -> Any:
    return () if value is None else value


class EarlierSpace(Section):
    """In the record of a study whose space was changed: the space from which earlier trials were proposed."""

    before_trial: Annotated[Integer, Field(ge=1)] = Field(
        description="Trials with a lower number, down to the previous entry's, were proposed from this space."
    )
    space: Annotated[dict[str, Any], Frozen] = Field(description="As in a study.")


class StudySettings(Section):
    """The YAML of a study. `demo` has the same keys: overrides for demo data, empty on other data."""

    description: str = Field("", description="One-line description.")
    metric: Annotated[Names, AfterValidator(check_metrics)] = Field(
        (OBJECTIVE,),
        description="objective, or a list: objective first, then any of seconds_per_clip, parameters, size_mb.",
    )
    objective: Objective = Objective()
    budget: Budget = Budget()
    sampler: Sampler = Sampler()
    early_stopping: EarlyStopping = EarlyStopping()
    finalists: Finalists = Finalists()
    pretrain: Annotated[Pretrain | Literal["auto"] | None, BeforeValidator(_bool_to_pretrain)] = Field(
        None, description="auto = only if the extractor has no pre-trained weights; true, false, or its settings."
    )
    hang_seconds: Annotated[Number, Field(gt=0, le=limits.MAX_SECONDS)] = Field(
        7200, description="A trial that reports no epoch for this long counts as hung and fails; the search continues."
    )
    warm_start: Annotated[Names, BeforeValidator(_none_to_empty)] = Field(
        (), description="journal.log of another search whose results initialise the sampler, or a list of several."
    )
    seed: Annotated[Integer, Field(ge=0, le=limits.MAX_SAMPLER_SEED)] = Field(
        0, description="Seed of the sampler and of the trials."
    )
    demo_clips: Annotated[Integer, Field(ge=48, le=limits.MAX_TRIALS)] | None = Field(
        None, description="Number of clips of the demo data."
    )
    demo_landmarks: Literal["exact", "detected"] = Field(
        "exact",
        description="Landmarks of the demo data: those of the renderer, or with the errors of a detector: jitter, lost "
        "and exchanged hands.",
    )
    config: Annotated[dict[str, Any], Frozen] = Field(
        FrozenDict(), description="Base config, as a diff over the defaults."
    )
    space: Annotated[dict[str, Any], Frozen] = Field(description="{dotted path, or name of a tied choice: domain}.")
    splits: Annotated[Integer, Field(ge=1, le=limits.MAX_FOLDS)] = Field(
        1, description="Number of folds on which each trial is scored."
    )
    rules: Annotated[tuple[Any, ...], BeforeValidator(list_to_tuple)] = Field(
        (), description="Constraints on points: divides: [path, path], at_most: [path, path]."
    )
    demo: Annotated[dict[str, Any], Frozen] = Field(FrozenDict(), description="Overrides for demo data.")

    @model_validator(mode="after")
    def _sampler_supports_the_metrics(self) -> "StudySettings":
        if self.sampler.name in SINGLE_OBJECTIVE_SAMPLERS and len(self.metric) > 1:
            raise ValueError(
                f"sampler.name: {self.sampler.name} supports one metric only, but metric is "
                f"{', '.join(self.metric)}; set metric: {OBJECTIVE}, or another sampler"
            )
        return self
