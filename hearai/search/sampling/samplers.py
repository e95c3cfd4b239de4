"""Optuna's samplers by name, the stores that use them, and how a trial is asked for the parameters of a space.

With one slot, the same seed gives the same suggestions. A continued search gets another seed, so that it does not
repeat its first draws. Only `qmc` keeps its seed: the journal contains the position in its sequence.
"""

import random
import warnings
from collections.abc import Callable, Iterator, Mapping

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import Trial

from hearai.config.search_space.domains import Domain, Value
from hearai.config.search_space.grid import grid_points
from hearai.config.study import Study
from hearai.config.study_schema import Sampler
from hearai.search.sampling.smoothed_sampler import SmoothedSampler
from hearai.search.sampling.space_sampler import SpaceSampler, distribution_of
from hearai.search.storage.attributes import BASE_KIND, KIND
from hearai.search.storage.journal_backend import Journal
from hearai.search.storage.space_change import is_in_space
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore


def _tpe(seed: int, startup: int, conditional: bool) -> BaseSampler:
    return optuna.samplers.TPESampler(
        multivariate=True,
        group=conditional,  # models each set of parameters that occur together separately
        constant_liar=True,  # running trials count as poor, so that parallel proposals differ
        n_startup_trials=startup,
        seed=seed,
    )


def _gp(seed: int, startup: int, conditional: bool) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)


def _cmaes(seed: int, startup: int, conditional: bool, start: Mapping[str, Value] | None = None) -> BaseSampler:
    sampler, x0 = optuna.samplers.CmaEsSampler, dict(start) if start else None
    return sampler(x0=x0, seed=seed, n_startup_trials=max(1, startup), warn_independent_sampling=False)


def _qmc(seed: int, startup: int, conditional: bool) -> BaseSampler:
    sampler = optuna.samplers.QMCSampler
    return sampler(seed=seed, scramble=True, warn_asynchronous_seeding=False, warn_independent_sampling=False)


def _random(seed: int, startup: int, conditional: bool) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _nsga2(seed: int, startup: int, conditional: bool) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(2, startup))


def _nsga3(seed: int, startup: int, conditional: bool) -> BaseSampler:
    return optuna.samplers.NSGAIIISampler(seed=seed, population_size=max(2, startup))


SAMPLERS: dict[str, Callable[[int, int, bool], BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "qmc": _qmc,
    "random": _random,
    "nsga2": _nsga2,
    "nsga3": _nsga3,
    "freeze_thaw": _random,  # is asked only where the engine's point was tried already
    "grid": _random,  # is never used: the points come from `hearai.config.search_space.grid`
}

SMOOTHED = ("tpe", "gp")
"""Samplers that model the objective, and therefore its noise; see `hearai.search.sampling.smoothed_sampler`."""

WEAK_IN_CONDITIONS = {
    "gp": "draws conditional parameters at random",
    "cmaes": "draws conditional parameters and choices at random",
    "qmc": "draws conditional parameters and choices at random",
    "nsga2": "draws conditional parameters at random where the parents lack them",
    "nsga3": "draws conditional parameters at random where the parents lack them",
}
"""How samplers treat parameters that not every trial has. tpe models them; random and grid are not affected."""


def build_sampler(
    settings: Sampler,
    seed: int,
    *,
    conditional: bool = False,
    known: int = 0,
    start: Mapping[str, Value] | None = None,
) -> BaseSampler:
    """The sampler of the settings.

    conditional: some parameters exist only for certain values of others.
    known: number of trials in the journal.
    start: the best point so far, if the space was changed; cmaes, whose state is of the former one, starts there.
    """
    seed = seed if settings.name == "qmc" else seed + known
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna calls much of its stable API experimental
        if start and settings.name == "cmaes":
            warnings.simplefilter("ignore", FutureWarning)  # x0 is deprecated, without a successor
            sampler = _cmaes(seed, settings.startup_trials, conditional, start)
        else:
            sampler = SAMPLERS[settings.name](seed, settings.startup_trials, conditional)
    return SmoothedSampler(sampler) if settings.name in SMOOTHED else sampler


def random_points(study: Study) -> Iterator[dict[str, Value]]:
    """An endless stream of random points of the study's space."""
    rng = random.Random(study.settings.seed)
    while True:
        yield study.space.sample(rng, study.base)


def sampler_note(study: Study) -> str | None:
    """A line to print if the sampler does not suit the space."""
    name = study.settings.sampler.name
    conditional = [path for path, domain in study.space.domains.items() if domain.when]
    if not conditional or name not in WEAK_IN_CONDITIONS:
        return None
    return (
        f"sampler {name}: {WEAK_IN_CONDITIONS[name]} ({len(conditional)} of "
        f"{len(study.space.domains)} parameters are conditional); tpe models them"
    )


def hidden_note(search: TrialStore) -> str | None:
    """A line to print if trials lie outside of a narrowed space."""
    count, total = search.hidden_count, len(search.trials())
    if not count:
        return None
    return f"{count} of {total} trials are outside of the narrowed space: hidden from the sampler and the finals"


def suggest_params(trial: Trial, study: Study) -> dict[str, Value]:
    """Asks Optuna for each active parameter; for the base config, for those whose base value is in the space.

    A trial that is run again keeps the parameters that it has, also those that are not in a changed space. A queued
    value that is not in the space is replaced by a new one.
    """
    if trial.user_attrs.get(KIND) == BASE_KIND:
        trial._fixed_params = study.base_params()  # not as queued: in a wider space there may be more of them
    known = trial.params

    def suggest(path: str, domain: Domain) -> Value:
        if path in known:
            return known[path]
        if path in trial._fixed_params and not domain.contains(trial._fixed_params[path]):
            trial._fixed_params = {name: value for name, value in trial._fixed_params.items() if name != path}
        return trial._suggest(path, distribution_of(domain))

    if trial.user_attrs.get(KIND) == BASE_KIND:
        return {path: suggest(path, study.space.domains[path]) for path in trial._fixed_params}
    return study.space.walk(suggest, study.base)


def build_search_store(storage: Journal, study: Study) -> TrialStore:
    """The store of the search, with its sampler, metrics and rules."""
    settings, seed, space, base = study.settings.sampler, study.settings.seed, study.space, study.base
    conditional = any(domain.when for domain in space.domains.values())
    view = SpaceSampler(build_sampler(settings, seed, conditional=conditional), study)
    store = TrialStore(
        storage,
        SEARCH,
        view,
        unique=True,
        metrics=study.settings.metric,
        points=grid_points(space, base, seed) if settings.name == "grid" else None,
        fallback=random_points(study),
        violation=lambda params: space.violation(params, base),
        is_hidden=lambda trial: not is_in_space(space, trial.params),
    )
    if trials := store.trials():
        start = view.best_of_earlier_spaces(trials)
        sampler = build_sampler(settings, seed, conditional=conditional, known=len(trials), start=start)
        store.optuna_study.sampler = SpaceSampler(sampler, study)
    return store


def build_finals_store(storage: Journal) -> TrialStore:
    """The store of the finals. They have no parameters of their own, so points repeat and the sampler is not used."""
    return TrialStore(storage, FINALS, RandomSampler(0), unique=False)
