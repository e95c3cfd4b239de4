"""Starts a search from the results of an older one.

With the same data and objective, the older trials are added for the sampler as trials of kind "warm": they are not
counted, reported or retrained here. Otherwise their values are not comparable, so only the best points are used: they
are tried first, after the base config.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from hearai.config.config import Config
from hearai.config.domains import Domain, Value
from hearai.config.space import Space
from hearai.config.study import Study, read_study
from hearai.data.annotations.consistency import changed_names
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.load import Data, load_data
from hearai.data.annotations.metadata import read_class_list
from hearai.errors import ConfigError
from hearai.search.plan import Plan
from hearai.search.sampling.space_sampler import distribution_of
from hearai.search.storage.attributes import FROM, KIND, POINT, SEARCH_KIND, WARM_KIND, WARM_START
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.layout import CLASS_NAMES, JOURNAL, STUDY_FILE
from hearai.search.storage.trial_store import SEARCH, TrialStore, final_value, primary_value

MAX_POINTS = 5
"""Number of points taken from a search whose values are not comparable."""
SPLIT_OPTIONS = ("ratio_train_test", "ratio_test", "split", "split_seed")
"""Options that decide, together with the dataset, which clips a config is scored on."""


@dataclass(frozen=True)
class WarmStart:
    """What is taken over from an older search."""

    journal: str
    trials: Sequence[tuple[Mapping[str, Value], FrozenTrial]]
    """(params here, trial there), if their values are comparable."""
    points: Sequence[Mapping[str, Value]]
    """Params of the best trials, if not."""
    note: str
    """A line to print."""


def read_warm_start(plan: Plan) -> WarmStart | None:
    """Reads the journal given as `warm_start` in the study's settings; None if there is none.

    Raises:
        ConfigError: there is no search, or none of its trials is a point of this space.
    """
    if plan.study.settings.warm_start is None:
        return None
    search = _read_older(plan.study, plan.study.settings.warm_start)
    journal, ended, mapped = search.journal, search.ended, search.mapped
    if search.is_comparable(plan.study, plan.data):
        search.check_class_names(plan.data)
        note = f"warm start: {len(mapped)} of {ended} trials of {journal}"
        return WarmStart(journal, mapped, (), note)
    complete = [(params, trial) for params, trial in mapped if trial.state is TrialState.COMPLETE]
    best = sorted(complete, key=lambda pair: -final_value(pair[1]))[:MAX_POINTS]
    note = f"warm start: different data or objective; trying the {len(best)} best points of {journal} first"
    return WarmStart(journal, (), [params for params, _ in best], note)


def check_warm_start(study: Study) -> None:
    """Checks the journal given as `warm_start`, if there is one, as a start would; writes nothing.

    Raises:
        UserError: as `read_warm_start`, or a problem of the dataset.
    """
    if study.settings.warm_start is None:
        return
    search = _read_older(study, study.settings.warm_start)
    if study.base.general_parameters.data_path is not None:  # the words of the demo data are always the same
        data = load_data(study.base)
        if search.is_comparable(study, data):
            search.check_class_names(data)


@dataclass(frozen=True)
class _OlderSearch:
    """The search whose journal was given."""

    journal: str
    study: Study
    data: Mapping[str, Any]
    """What its record says about its dataset."""
    ended: int
    """Trials with a value."""
    mapped: Sequence[tuple[Mapping[str, Value], FrozenTrial]]
    """Those that are points of the new space, with their params there."""

    def is_comparable(self, study: Study, data: Data) -> bool:
        """Whether its values are those that the new search would find."""
        return _scored_by(self.study) == _scored_by(study) and is_same_dataset(self.data, data.fingerprints.as_dict())

    def check_class_names(self, data: Data) -> None:
        """Refuses classes of the same dataset whose numbers meant other words then: one list must be wrong.

        Raises:
            ConfigError: lists every difference.
        """
        path = Path(self.journal).parent / CLASS_NAMES  # studies of older code have none
        if path.is_file() and (changed := changed_names(read_class_list(path), data.class_names, data.clips)):
            raise ConfigError(
                [
                    f"--warm-start {self.journal}: numbers of the dataset mean other words than in that search; "
                    "correct the class list, or omit --warm-start. Changes:",
                    *(f"  {line}" for line in changed),
                ]
            )


def _read_older(study: Study, journal: str) -> _OlderSearch:
    path = Path(journal)
    if path.is_dir():
        raise ConfigError(f"--warm-start {journal}: a folder; give the {JOURNAL} in a study folder, {path / JOURNAL}")
    study_file = path.parent / STUDY_FILE
    if missing := next((file for file in (path, study_file) if not file.is_file()), None):
        raise ConfigError(f"--warm-start {journal}: no file {missing}; give the {JOURNAL} in a study folder")
    older, data = read_study(study_file)
    ended = [
        trial
        for trial in read_journal(path).get(SEARCH, JournalSnapshot()).trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and primary_value(trial) is not None
    ]
    mapped = [(params, trial) for trial in ended if (params := _map_params(trial, older, study)) is not None]
    if not mapped:
        raise ConfigError(f"--warm-start {journal}: none of its {len(ended)} ended trials is a point of this space")
    return _OlderSearch(journal, older, data, len(ended), mapped)


def apply_warm_start(search: TrialStore, warm: WarmStart, space: Space) -> None:
    """Adds the older trials or points to a search, once."""
    if search.optuna_study.user_attrs.get(WARM_START) == warm.journal:
        return
    for params, trial in warm.trials:
        search.add_finished(_warm_trial(params, trial, space, warm.journal))
    for params in warm.points:
        search.enqueue(params, {KIND: SEARCH_KIND, FROM: warm.journal, POINT: repr(sorted(params.items()))})
    search.optuna_study.set_user_attr(WARM_START, warm.journal)


def _map_params(trial: FrozenTrial, older: Study, study: Study) -> dict[str, Value] | None:
    """The trial's config as a point of this study's space; None if a value lies outside."""
    config: Config = older.config_of(trial.params)
    outside = []

    def value_in_config(name: str, domain: Domain) -> Value:
        value = study.space.base_value(name, config)
        if not domain.contains(value):
            outside.append(name)
        return value

    params = study.space.walk(value_in_config, study.base)
    return None if outside or study.space.violation(params, study.base) else params


def _scored_by(study: Study) -> Any:
    """What must be equal for the values of two studies on the same data to be comparable."""
    train = study.base.train_parameters
    split = [getattr(study.base.general_parameters, name) for name in SPLIT_OPTIONS]
    return (study.settings.metric, train.classification_mode, train.objective_heads, split)


def _warm_trial(params: Mapping[str, Value], trial: FrozenTrial, space: Space, journal: str) -> FrozenTrial:
    return create_trial(
        state=trial.state,
        values=trial.values,
        params=dict(params),
        distributions={name: distribution_of(space.domains[name]) for name in params},
        intermediate_values=trial.intermediate_values,
        user_attrs={KIND: WARM_KIND, FROM: f"{journal} trial {trial.number}"},
    )
