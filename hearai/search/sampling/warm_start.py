"""Starts a search from the results of older ones.

With the same data and objective, the older trials are added for the sampler as trials of kind "warm": they are not
counted, reported or retrained here. Otherwise their values are not comparable, so only the best points are used: they
are tried first, after the base config.

A freeze-thaw search also uses comparable trials outside of its ranges, as far as its model can place them. For other
samplers they are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from hearai.config.config import Config
from hearai.config.search_space.domains import Domain, Value
from hearai.config.search_space.space import Space
from hearai.config.study import Study, read_study
from hearai.data.annotations.consistency import changed_names
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.load import Data, load_data
from hearai.data.annotations.metadata import read_class_list
from hearai.errors import ConfigError
from hearai.search.plan import Plan
from hearai.search.sampling.freeze_thaw.axes import can_place
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
class OlderTrial:
    """A trial of another search as a point of this one."""

    params: Mapping[str, Value]
    """Here."""
    trial: FrozenTrial
    """There."""
    is_inside: bool
    """Whether all its values are in the space here."""


@dataclass(frozen=True)
class WarmStart:
    """What is taken over from an older search."""

    journal: str
    trials: Sequence[OlderTrial]
    """Those whose values are comparable."""
    points: Sequence[Mapping[str, Value]]
    """Params of the best trials, if the values are not comparable."""
    note: str
    """A line to print."""


def read_warm_starts(plan: Plan) -> list[WarmStart]:
    """Reads the journals given as `warm_start` in the study's settings.

    Raises:
        ConfigError: lists where there is no search, or one of whose trials none is a point of this space.
    """
    return [_warm_start(search, plan) for search in _read_all(plan.study, plan.data)]


def _warm_start(search: "_OlderSearch", plan: Plan) -> WarmStart:
    journal, usable = search.journal, search.usable(plan.study, plan.data)
    if search.is_comparable(plan.study, plan.data):
        outside, left_out = sum(not one.is_inside for one in usable), search.ended - len(usable)
        note = f"warm start: {len(usable)} of {search.ended} trials of {journal}"
        note += f", {outside} of them outside of the ranges of this search" if outside else ""
        note += f"; {left_out} left out: not points of this space" if left_out else ""
        return WarmStart(journal, usable, (), note)
    complete = [one for one in usable if one.trial.state is TrialState.COMPLETE]
    best = sorted(complete, key=lambda one: -final_value(one.trial))[:MAX_POINTS]
    note = f"warm start: different data or objective; trying the {len(best)} best points of {journal} first"
    return WarmStart(journal, (), [one.params for one in best], note)


def check_warm_starts(study: Study) -> None:
    """Checks the journals given as `warm_start` as a start would; writes nothing.

    Raises:
        UserError: as `read_warm_starts`, or a problem of the dataset.
    """
    # the words of the demo data are always the same
    is_demo = study.base.general_parameters.data_path is None or not study.settings.warm_start
    _read_all(study, None if is_demo else load_data(study.base))


@dataclass(frozen=True)
class _OlderSearch:
    """The search whose journal was given."""

    journal: str
    study: Study
    data: Mapping[str, Any]
    """What its record says about its dataset."""
    ended: int
    """Trials with a value."""
    mapped: Sequence[OlderTrial]
    """Those that can be placed in the new space."""

    def usable(self, study: Study, data: Data | None) -> list[OlderTrial]:
        """The trials that the new search uses. data: None = comparable.

        Raises:
            ConfigError: there is none.
        """
        everywhere = study.settings.sampler.name == "freeze_thaw" and (data is None or self.is_comparable(study, data))
        found = [one for one in self.mapped if everywhere or one.is_inside]
        if not found:
            raise ConfigError(
                f"--warm-start {self.journal}: none of its {self.ended} ended trials is a point of this space"
            )
        return found

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


def _read_all(study: Study, data: Data | None) -> list[_OlderSearch]:
    """The searches of all journals, checked. data: None = that of the demo."""
    given = study.settings.warm_start
    real = [Path(journal).resolve() for journal in given]
    problems = [f"--warm-start {one}: given twice" for n, one in enumerate(given) if real[n] in real[:n]]
    searches = []
    for journal in given:
        try:
            search = _read_older(study, journal)
            search.usable(study, data)
            if data is not None and search.is_comparable(study, data):
                search.check_class_names(data)
            searches.append(search)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return searches


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
    mapped = [one for trial in ended if (one := _mapped(trial, older, study)) is not None]
    return _OlderSearch(journal, older, data, len(ended), mapped)


def apply_warm_start(search: TrialStore, warm: WarmStart, space: Space) -> None:
    """Adds the older trials or points to a search, once."""
    known = search.optuna_study.user_attrs.get(WARM_START, [])
    applied = [known] if isinstance(known, str) else list(known)
    if warm.journal in applied:
        return
    with search.batch():
        for one in warm.trials:
            search.add_finished(_warm_trial(one, space, warm.journal))
        for params in warm.points:
            search.enqueue(params, {KIND: SEARCH_KIND, FROM: warm.journal, POINT: repr(sorted(params.items()))})
        search.optuna_study.set_user_attr(WARM_START, [*applied, warm.journal])


def _mapped(trial: FrozenTrial, older: Study, study: Study) -> OlderTrial | None:
    """The trial's config in this study's space; None if a value cannot be placed there, or a rule forbids it."""
    config: Config = older.config_of(trial.params)
    outside, unknown = [], []

    def value_in_config(name: str, domain: Domain) -> Value:
        value = study.space.base_value(name, config)
        if not domain.contains(value):
            outside.append(name)
            unknown.extend([] if can_place(domain, value) else [name])
        return value

    params = study.space.walk(value_in_config, study.base)
    if unknown or study.space.violation(params, study.base):
        return None
    return OlderTrial(params, trial, not outside)


def _scored_by(study: Study) -> Any:
    """What must be equal for the values of two studies on the same data to be comparable."""
    train = study.base.train_parameters
    split = [getattr(study.base.general_parameters, name) for name in SPLIT_OPTIONS]
    return (study.settings.metric, train.classification_mode, train.objective_heads, train.objective_metric, split)


def _warm_trial(one: OlderTrial, space: Space, journal: str) -> FrozenTrial:
    trial = one.trial
    return create_trial(
        state=trial.state,
        values=trial.values,
        params=dict(one.params),
        distributions={name: distribution_of(_with(space.domains[name], v)) for name, v in one.params.items()},
        intermediate_values=trial.intermediate_values,
        user_attrs={KIND: WARM_KIND, FROM: f"{journal} trial {trial.number}"},
    )


def _with(domain: Domain, value: Value) -> Domain:
    """The domain, or one that also contains a number outside of it."""
    if domain.contains(value) or not isinstance(value, int | float):
        return domain
    step = 1.0 if domain.kind == "int" else None
    return replace(domain, low=min(domain.low, value), high=max(domain.high, value), step=step)
