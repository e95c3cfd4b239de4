"""The YAML of a study: its sections, their options and defaults. Read from `search_spaces/*.yaml`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from hearai.config.validation import Frozen, FrozenDict, Names, Real, Section, Whole, listed
from hearai.metrics import OBJECTIVE, check_metrics

ONE_METRIC_ALONE = ("cmaes",)
"""Samplers that cannot weigh several metrics."""


class Budget(Section):
    """How much may be spent. Epochs per trial are `train_parameters.epochs` of the base config."""

    trials: Annotated[Whole, Field(ge=1)] = Field(40, description="Trials, the base config's included.")
    seconds: Annotated[Real, Field(gt=0)] | None = Field(None, description="Wall time of the trials.")
    epochs: Annotated[Whole, Field(ge=1)] | None = Field(None, description="Epochs of all trials together, no finals.")
    stop_when: Annotated[Real, Field(gt=0)] | None = Field(None, description="Score of a trial that is good enough.")


class Sampler(Section):
    """Who proposes."""

    name: Literal["tpe", "gp", "cmaes", "qmc", "random", "nsga2", "nsga3", "grid"] = Field(
        "tpe", description="Optuna's sampler; grid = every point of the space once."
    )
    startup_trials: Annotated[Whole, Field(ge=0)] = Field(
        10, description="Random trials before the model; nsga2, nsga3: trials of a generation."
    )


class EarlyStopping(Section):
    """Who stops trials early."""

    name: Literal["asha", "hyperband", "median", "none"] = Field("asha", description="How the losing are found.")
    grace_epochs: Annotated[Whole, Field(ge=1)] = Field(3, description="Epochs every trial gets.")
    reduction_factor: Annotated[Whole, Field(ge=2)] = Field(
        3, description="asha, hyperband: one in so many goes on at a rung."
    )
    brackets: Annotated[Whole, Field(ge=1)] = Field(3, description="hyperband: starts, each later than the one before.")


class Finalists(Section):
    """Retraining after the search: the winner is the best mean over fresh seeds, not the luckiest run."""

    count: Annotated[Whole, Field(ge=0)] = Field(3, description="How many of the best trials; 0 = none.")
    seeds: Annotated[Whole, Field(ge=1)] = Field(3, description="New seeds for each, and for the base config.")
    retrain: bool = Field(False, description="In the end, train the winner on training and validation clips.")


class Pretrain(Section):
    """Training of the extractor on single frames, once, before the trials."""

    epochs: Annotated[Whole, Field(ge=1)] = Field(10, description="Passes over the training clips' frames.")
    lr: Annotated[Real, Field(gt=0)] = Field(3e-3, description="Peak learning rate.")
    batch_size: Annotated[Whole, Field(ge=2)] = Field(64, description="Frames per step.")


class Objective(Section):
    """What is searched for."""

    heads: Names = Field((), description="Heads whose mean macro-F1 is the objective; [] = all heads that have labels.")


def _pretrain(value: Any) -> Any:
    return Pretrain() if value is True else None if value is False else value


class StudyFile(Section):
    """The YAML of a study. `demo` holds the same keys again: overrides on demo data only, emptied on other data."""

    description: str = Field("", description="One line for people.")
    metric: Annotated[Names, AfterValidator(check_metrics)] = Field(
        (OBJECTIVE,),
        description="objective, or a list: objective first, then seconds_per_clip, parameters, size_mb.",
    )
    objective: Objective = Objective()
    budget: Budget = Budget()
    sampler: Sampler = Sampler()
    early_stopping: EarlyStopping = EarlyStopping()
    finalists: Finalists = Finalists()
    pretrain: Annotated[Pretrain | Literal["auto"] | None, BeforeValidator(_pretrain)] = Field(
        None, description="auto = when the extractor starts without pre-trained weights; or its settings."
    )
    hang_seconds: Annotated[Real, Field(gt=0)] = Field(
        7200, description="A trial that reports no epoch for so long has hung: it fails, the search goes on."
    )
    warm_start: str | None = Field(None, description="journal.log of another search, to begin with what it knows.")
    seed: Whole = Field(0, description="Seed of the sampler and of the trials.")
    demo_clips: Annotated[Whole, Field(ge=48)] | None = Field(None, description="Clips of the demo data.")
    config: Annotated[dict[str, Any], Frozen] = Field(FrozenDict(), description="Base config: a diff.")
    space: Annotated[dict[str, Any], Frozen] = Field(description="{dotted path, or name of a tied choice: domain}.")
    splits: Annotated[Whole, Field(ge=1)] = Field(
        1, description="Divisions of the clips into training and validation on which each trial is scored."
    )
    rules: Annotated[tuple[Any, ...], BeforeValidator(listed)] = Field(
        (), description="What points keep: divides: [path, path], at_most: [path, path]."
    )
    demo: Annotated[dict[str, Any], Frozen] = Field(FrozenDict(), description="Overrides on demo data.")

    @model_validator(mode="after")
    def _sampler_knows_the_metrics(self) -> "StudyFile":
        if self.sampler.name in ONE_METRIC_ALONE and len(self.metric) > 1:
            raise ValueError(
                f"sampler.name: {self.sampler.name} proposes for one metric, and metric names "
                f"{', '.join(self.metric)}; give metric: {OBJECTIVE}, or another sampler"
            )
        return self
