"""Shows the sampler the trials of earlier spaces as points of the present one.

The journal keeps with each parameter the distribution that it was drawn from. Optuna's samplers leave out parameters
that have several (tpe, gp, cmaes, nsga), or propose from the first one (qmc). Here the sampler sees all trials with the
present distributions, and none with a value that a narrowed space does not contain.
"""

import copy
from collections.abc import Mapping, Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from hearai.config.search_space.domains import Domain, Value
from hearai.config.search_space.space import Space
from hearai.config.study import Study
from hearai.search.sampling.viewing_sampler import ViewingSampler
from hearai.search.storage.attributes import BASE_KIND, KIND
from hearai.search.storage.space_change import is_in_space
from hearai.search.storage.trial_store import final_value

CMAES_PREFIX, MARGIN = "cma:", "x_for_tell"
"""System attributes in which cmaes keeps its state, in coordinates of the space."""


def distribution_of(domain: Domain) -> optuna.distributions.BaseDistribution:
    """Optuna's distribution for a domain."""
    if domain.kind == "choice":
        return optuna.distributions.CategoricalDistribution(domain.values)
    if domain.kind == "int":
        step = int(domain.step or 1)
        return optuna.distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=step)
    return optuna.distributions.FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def distributions_in(space: Space, trial: FrozenTrial) -> Mapping[str, optuna.distributions.BaseDistribution]:
    """The present distributions of a trial's parameters; of one outside of the space, those it was drawn from."""
    if not is_in_space(space, trial.params):
        return trial.distributions
    return {name: distribution_of(space.domains[name]) for name in trial.params}


class SpaceSampler(ViewingSampler):
    """A sampler that sees all trials as points of the study's space."""

    def __init__(self, sampler: BaseSampler, study: Study):
        super().__init__(sampler)
        self._space, self._base_params = study.space, study.base_params()
        self._distributions = {name: distribution_of(domain) for name, domain in study.space.domains.items()}
        self._cache: dict[int, FrozenTrial | None] = {}
        """{Optuna's id: what is shown of an ended trial, None if it is hidden}."""

    def show(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The trials inside the space, as points of it."""
        return [shown for trial in trials if (shown := self._cached(trial)) is not None]

    def best_of_earlier_spaces(self, trials: Sequence[FrozenTrial]) -> Mapping[str, Value] | None:
        """The best complete point inside the space; None if no trial was proposed from another space."""
        shown = [(trial, point) for trial in trials if (point := self._cached(trial)) is not None]
        complete = [point for _, point in shown if point.state is TrialState.COMPLETE]
        if not complete or all(point is trial for trial, point in shown):
            return None
        return max(complete, key=final_value).params

    def _cached(self, trial: FrozenTrial) -> FrozenTrial | None:
        if not trial.state.is_finished():
            return self._point(trial)
        if trial._trial_id not in self._cache:
            self._cache[trial._trial_id] = self._point(trial)
        return self._cache[trial._trial_id]

    def _point(self, trial: FrozenTrial) -> FrozenTrial | None:
        """The trial itself if it was proposed from the present space. The base config may have more values there."""
        params = trial.params
        if trial.user_attrs.get(KIND) == BASE_KIND and trial.state is not TrialState.WAITING:
            params = {**self._base_params, **params}
        if not is_in_space(self._space, params):
            return None
        distributions = {name: self._distributions[name] for name in params}
        if distributions == trial.distributions:
            return trial
        point = copy.copy(trial)
        point.params, point.distributions = params, distributions
        point.system_attrs = {
            key: value
            for key, value in trial.system_attrs.items()
            if not key.startswith(CMAES_PREFIX) and key != MARGIN
        }
        return point
