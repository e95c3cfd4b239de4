"""What a study is made of, read and checked: its settings, its base config, and whether the space fits around it."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from hearai.config.config import Config, build_config, salvage_config
from hearai.config.overrides import override
from hearai.config.search_space.grid import grid_problems
from hearai.config.search_space.space import Space
from hearai.config.search_space.space_check import space_problems
from hearai.config.study_schema import MIN_PLATEAU_EPOCHS, PLATEAU, StudySettings
from hearai.config.validation import explain
from hearai.errors import ConfigError


def read_settings(raw: Mapping, where: str) -> tuple[StudySettings, list[str]]:
    """(the settings without the wrong ones, problems).

    Raises:
        ConfigError: nothing can be read without the wrong ones.
    """
    problems: list[str] = []
    for _ in range(2):
        try:
            return StudySettings.model_validate(raw), problems
        except ValidationError as error:
            problems += [f"{where}: {problem}" for problem in explain(error, StudySettings)]
            wrong = {key for problem in error.errors() for key in problem["loc"][:1] or ("sampler", "metric")}
            raw = {"space": {}, **{key: value for key, value in raw.items() if key not in wrong}}
    raise ConfigError(problems)


def read_base(
    settings: StudySettings, where: str, changes: Mapping[str, Any], source: str
) -> tuple[Config | None, list[str]]:
    """(the base config without the values that are refused, or None; problems)."""
    problems: list[str] = []
    base: Config | None
    try:
        base = build_config(settings.config, source)
    except ConfigError as error:
        problems = list(error.problems)
        base = salvage_config(settings.config)
    if base is None:
        return None, problems
    # In one call, because --set may change the classification mode to which the heads of the objective belong.
    overrides = {**_overrides_of_runs(settings), **changes}
    place = "--set" if changes else f"{where}: objective"
    try:
        return override(base, overrides, place), problems
    except ConfigError as error:
        own = tuple(f"{place}: {path}: " for path in overrides)
        return base, [*problems, *(line for line in error.problems if not problems or line.startswith(own))]


def study_problems(
    settings: StudySettings,
    space: Space,
    base: Config,
    changes: Mapping[str, Any],
    *,
    malformed: Collection[str],
    is_certain: bool,
) -> list[str]:
    """Why the space cannot be searched around the base config."""
    found = [
        f"space: {path}: must be the same in all trials of a study; set it in `config`"
        for path in space.paths
        if _is_shared(path)
    ]
    found += [
        f"--set {path}: also set by a tied choice of the space; remove that choice from the space"
        for path in changes
        if path in space.paths
    ]
    found += _plateau_problems(settings, base)
    found += space_problems(space, base, malformed=malformed, is_certain=is_certain)
    if found or malformed or not is_certain:
        return found
    return grid_problems(space, base) if settings.sampler.name == "grid" else []


def _plateau_problems(settings: StudySettings, base: Config) -> list[str]:
    """Why no plateau could be found."""
    epochs = base.train_parameters.epochs
    if settings.budget.stop_when != PLATEAU or epochs >= MIN_PLATEAU_EPOCHS:
        return []
    return [
        f"budget.stop_when: got {PLATEAU!r} with {epochs} epochs per run; must be a score, because noise is estimated "
        f"from runs of {MIN_PLATEAU_EPOCHS} or more epochs; or raise train_parameters.epochs"
    ]


def _overrides_of_runs(settings: StudySettings) -> dict[str, Any]:
    """{dotted path: value} that the study's objective and metrics require in the config of every run."""
    objective = settings.objective
    values = {
        "train_parameters.objective_heads": list(objective.heads) if objective.heads else None,
        "train_parameters.objective_metric": objective.metric if "metric" in objective.model_fields_set else None,
        "general_parameters.measure_speed": True if "seconds_per_clip" in settings.metric else None,
    }
    return {path: value for path, value in values.items() if value is not None}


def _is_shared(path: str) -> bool:
    """Whether trials must have the value in common to be comparable: data, split, labels, objective, hardware."""
    return path.startswith("general_parameters.") or path in (
        "train_parameters.classification_mode",
        "train_parameters.objective_heads",
        "train_parameters.objective_metric",
    )
