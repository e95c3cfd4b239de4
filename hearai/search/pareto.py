"""What a search aims at, and the configs of its Pareto front, where it asks for several metrics: `pareto/NNNN.yaml`."""

from pathlib import Path

from optuna.trial import TrialState

from hearai.config import Config, to_yaml
from hearai.files import write_whole
from hearai.metrics import METRICS, objective_words, pareto_front
from hearai.overrides import override
from hearai.search.journal import Ledger
from hearai.study import Study
from hearai.training.prepare import BACKBONE

FRONT = "pareto"


def aim_note(study: Study) -> str | None:
    """What `macro-F1` means in this search and what is weighed beside it, where that is not said by itself."""
    heads, costs = study.base.train_parameters.objective_heads, study.settings.metric[1:]
    if not heads and not costs:
        return None
    named = f": {', '.join(heads)}" if heads else ""
    beside = f"; beside it {', '.join(METRICS[name].words for name in costs)}" if costs else ""
    return f"searched for: {objective_words(heads, len(study.base.active_heads))}{named}{beside}"


def front_of(search: Ledger) -> list[int]:
    """Complete trials that no other one dominates, by what the search itself saw; none where one metric is asked for.

    The best by the primary metric comes first.
    """
    if len(search.metrics) < 2:
        return []
    return pareto_front({t.number: t.values for t in search.trials(TrialState.COMPLETE)}, search.metrics)


def keep_front(study: Study, search: Ledger, folder: Path) -> None:
    """Writes the full config of each trial of the front, as the search ran it; those of an earlier front go."""
    front = {f"{number:04d}.yaml": number for number in front_of(search)}
    for path in (folder / FRONT).glob("*.yaml"):
        if path.name not in front:
            path.unlink()
    for name, number in front.items():
        config = study.config_of(search[number].params, study.settings.seed)
        (folder / FRONT).mkdir(exist_ok=True)
        write_whole(folder / FRONT / name, to_yaml(with_near_backbone(config, folder, f"../{BACKBONE}")))


def with_near_backbone(config: Config, folder: Path, near: str) -> Config:
    """The config with the study's own backbone, if it starts from that, by its place beside the config's file."""
    if config.feature_extractor.checkpoint != str((folder / BACKBONE).absolute()):
        return config
    return override(config, {"feature_extractor.checkpoint": near})
