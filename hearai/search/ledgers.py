"""The two Optuna studies in a search's journal, as a study's settings want them."""

from optuna.samplers import RandomSampler

from hearai.grid import grid_points
from hearai.search.journal import FINALS, SEARCH, Ledger
from hearai.search.journal_file import Journal
from hearai.search.samplers import build_sampler, random_points
from hearai.study import Study


def build_search_ledger(storage: Journal, study: Study) -> Ledger:
    """The search: its sampler, its metrics, and what may not be proposed."""
    settings, seed, space, base = study.settings.sampler, study.settings.seed, study.space, study.base
    conditional = any(domain.when for domain in space.domains.values())
    ledger = Ledger(
        storage,
        SEARCH,
        build_sampler(settings, seed, conditional=conditional),
        unique=True,
        metrics=study.settings.metric,
        points=grid_points(space, base, seed) if settings.name == "grid" else None,
        spare=random_points(study),
        broken_rule=lambda params: space.broken_rule(params, base),
    )
    if known := len(ledger.trials()):
        ledger.optuna.sampler = build_sampler(settings, seed, conditional=conditional, known=known)
    return ledger


def build_finals_ledger(storage: Journal) -> Ledger:
    """The finals: they have no parameters that anybody could be asked for, and repeat their points."""
    return Ledger(storage, FINALS, RandomSampler(0), unique=False)
