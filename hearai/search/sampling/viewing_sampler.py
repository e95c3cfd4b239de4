"""Shows a sampler other trials than the journal has: with other values, or without some of them."""

from abc import abstractmethod
from collections.abc import Callable, Collection
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

Show = Callable[[list[FrozenTrial]], list[FrozenTrial]]
PARENTS = ":parent:"
"""In the names of attributes with which genetic samplers keep the trials, by Optuna's ids, that are parents of a
generation."""


class ViewingSampler(BaseSampler):
    """A sampler around another one, which sees the trials of a study as `show` returns them."""

    def __init__(self, sampler: BaseSampler):
        self._sampler = sampler

    @abstractmethod
    def show(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """What the sampler sees of these trials, in order. Must not change them."""

    def _view(self, study: Study) -> Any:
        return _View(study, self.show)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(self._view(study), trial)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        return self._sampler.sample_relative(self._view(study), trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        return self._sampler.sample_independent(self._view(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(self._view(study), trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self._sampler.after_trial(self._view(study), trial, state, values)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()


class _View:
    """The study as seen by the sampler."""

    def __init__(self, study: Study, show: Show):
        self._study, self._show = study, show

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    @property
    def _storage(self) -> Any:
        return _Storage(self._study._storage, lambda: {trial._trial_id for trial in self._get_trials(deepcopy=False)})

    def _get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return self._show(self._study._get_trials(*args, **kwargs))

    def get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return self._show(self._study.get_trials(*args, **kwargs))


class _Storage:
    """The study's storage, without generations whose parents the sampler does not see: it selects others."""

    def __init__(self, storage: Any, seen: Callable[[], Collection[int]]):
        self._storage, self._seen = storage, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        attrs = self._storage.get_study_system_attrs(study_id)
        seen = self._seen() if any(PARENTS in key for key in attrs) else ()
        return {key: value for key, value in attrs.items() if PARENTS not in key or all(i in seen for i in value)}
