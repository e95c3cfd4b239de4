"""The Pareto front of a search with several metrics, and the configs of its trials."""

from pathlib import Path

from optuna.trial import TrialState

from hearai.config.study import Study
from hearai.files import atomic_write_text
from hearai.metrics import pareto_front
from hearai.search.storage.layout import PARETO
from hearai.search.storage.study_folder import portable_yaml
from hearai.search.storage.trial_store import TrialStore


def pareto_trials(search: TrialStore) -> list[int]:
    """The complete trials that no other one dominates, the best by the primary metric first; none with one metric.

    Those outside of a narrowed space do not count, as they do not for the finals.
    """
    if len(search.metrics) < 2:
        return []
    return pareto_front({t.number: t.values for t in search.eligible_trials(TrialState.COMPLETE)}, search.metrics)


def write_pareto_configs(study: Study, search: TrialStore, folder: Path) -> None:
    """Writes the full config of each trial of the front, as it was in the search; removes those of an earlier front."""
    front = {f"{number:04d}.yaml": number for number in pareto_trials(search)}
    for path in (folder / PARETO).glob("*.yaml"):
        if path.name not in front:
            path.unlink()
    for name, number in front.items():
        path = folder / PARETO / name
        path.parent.mkdir(exist_ok=True)
        config = study.config_of(search[number].params, study.settings.seed)
        atomic_write_text(path, portable_yaml(config, path, folder))
