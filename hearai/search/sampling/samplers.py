"""Who proposes: Optuna's samplers by name, and how a trial is asked for the parameters of a space.

With one worker the same seed gives the same suggestions. A continued search is given a seed of its own, so that it
draws on and does not repeat its first draws; `qmc` alone keeps its seed, as the journal knows how far its sequence is.
"""

import random
import warnings
from collections.abc import Callable, Iterator

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import Trial

from hearai.config.domains import Domain, Value
from hearai.config.grid import grid_points
from hearai.config.study import Study
from hearai.config.study_schema import Sampler
from hearai.search.sampling.smoothed_sampler import SmoothedSampler
from hearai.search.storage.journal_backend import Journal
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore


def _tpe(seed: int, startup: int, conditional: bool) -> BaseSampler:
    return optuna.samplers.TPESampler(
        multivariate=True,
        group=conditional,  # each set of parameters that occur together is modelled apart
        constant_liar=True,  # running trials count as poor, so that parallel proposals spread
        n_startup_trials=startup,
        seed=seed,
    )


def _gp(seed: int, startup: int, conditional: bool) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)


def _cmaes(seed: int, startup: int, conditional: bool) -> BaseSampler:
    return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=max(1, startup), warn_independent_sampling=False)


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
    "grid": _random,  # is never asked: the points come from `hearai.config.grid`
}

SMOOTHED = ("tpe", "gp")
"""Those that model the values, and so their noise; see `hearai.search.sampling.smoothed_sampler`."""

WEAK_IN_CONDITIONS = {
    "gp": "draws conditional parameters at random",
    "cmaes": "draws conditional parameters and choices at random",
    "qmc": "draws conditional parameters and choices at random",
    "nsga2": "draws conditional parameters at random where the parents lack them",
    "nsga3": "draws conditional parameters at random where the parents lack them",
}
"""What they do with parameters that not every trial has; tpe models each set apart, random and grid do not care."""


def build_sampler(settings: Sampler, seed: int, *, conditional: bool = False, known: int = 0) -> BaseSampler:
    """Optuna's sampler of the settings.

    conditional: some parameters exist only with certain values of others.
    known: trials that the journal has already.
    """
    seed = seed if settings.name == "qmc" else seed + known
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna's word for much of what it offers for years
        sampler = SAMPLERS[settings.name](seed, settings.startup_trials, conditional)
    return SmoothedSampler(sampler) if settings.name in SMOOTHED else sampler


def random_points(study: Study) -> Iterator[dict[str, Value]]:
    """Random points of the study's space, without end."""
    rng = random.Random(study.settings.seed)
    while True:
        yield study.space.sample(rng, study.base)


def sampler_note(study: Study) -> str | None:
    """What a person should know who chose this sampler for this space."""
    name = study.settings.sampler.name
    conditional = [path for path, domain in study.space.domains.items() if domain.when]
    if not conditional or name not in WEAK_IN_CONDITIONS:
        return None
    return (
        f"sampler {name}: {WEAK_IN_CONDITIONS[name]} ({len(conditional)} of "
        f"{len(study.space.domains)} parameters are conditional); tpe models them"
    )


def suggest(trial: Trial, study: Study) -> dict[str, Value]:
    """Asks Optuna for each active parameter; of the base config only for those its space allows."""

    def choose(path: str, domain: Domain) -> Value:
        return trial._suggest(path, distribution_of(domain))

    if trial.user_attrs.get("kind") == "base":
        return {path: choose(path, study.space.domains[path]) for path in study.base_params()}
    return study.space.walk(choose, study.base)


def distribution_of(domain: Domain) -> optuna.distributions.BaseDistribution:
    """What Optuna calls a domain."""
    if domain.kind == "choice":
        return optuna.distributions.CategoricalDistribution(domain.values)
    if domain.kind == "int":
        step = int(domain.step or 1)
        return optuna.distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=step)
    return optuna.distributions.FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def build_search_store(storage: Journal, study: Study) -> TrialStore:
    """The search: its sampler, its metrics, and what may not be proposed."""
    settings, seed, space, base = study.settings.sampler, study.settings.seed, study.space, study.base
    conditional = any(domain.when for domain in space.domains.values())
    store = TrialStore(
        storage,
        SEARCH,
        build_sampler(settings, seed, conditional=conditional),
        unique=True,
        metrics=study.settings.metric,
        points=grid_points(space, base, seed) if settings.name == "grid" else None,
        spare=random_points(study),
        broken_rule=lambda params: space.broken_rule(params, base),
    )
    if known := len(store.trials()):
        store.optuna.sampler = build_sampler(settings, seed, conditional=conditional, known=known)
    return store


def build_finals_store(storage: Journal) -> TrialStore:
    """The finals: they have no parameters that anybody could be asked for, and repeat their points."""
    return TrialStore(storage, FINALS, RandomSampler(0), unique=False)
