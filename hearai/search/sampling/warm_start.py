"""Start points from an older search: what it knows, as far as it can be believed here.

On the same data with the same objective its results count: they are told to the sampler as trials of kind "warm", which
are nobody's trials here (not counted, not final, not reported). On other data values cannot be compared, so the best
points alone are taken: they are tried first, after the base config.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from hearai.config.config import Config
from hearai.config.domains import Domain, Value
from hearai.config.space import Space
from hearai.config.study import Study
from hearai.config.yaml_io import read_yaml
from hearai.data.annotations.fingerprint import is_same
from hearai.errors import ConfigError
from hearai.search.plan import Plan
from hearai.search.sampling.samplers import distribution_of
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.trial_store import SEARCH, WARM, TrialStore, primary

POINTS_TAKEN = 5
"""Points taken from a search on other data."""
ALIKE = ("ratio_train_test", "ratio_test", "split", "split_seed")
"""What decides the clips that a config is scored on, beside the dataset."""


@dataclass(frozen=True)
class WarmStart:
    """What is taken of an older search."""

    journal: str
    known: Sequence[tuple[Mapping[str, Value], FrozenTrial]]
    """(params here, the trial there) whose values can be compared."""
    points: Sequence[Mapping[str, Value]]
    """Params of the best trials where they cannot."""
    note: str
    """For people, one line."""


def read_warm_start(plan: Plan) -> WarmStart | None:
    """What `warm_start` of the study's settings brings; None where there is none.

    Raises:
        ConfigError: no search lies there, or nothing of it is a point of this space.
    """
    journal = plan.study.settings.warm_start
    if journal is None:
        return None
    path, study_file = Path(journal), Path(journal).with_name("study.yaml")
    if missing := next((file for file in (path, study_file) if not file.is_file()), None):
        raise ConfigError(f"--warm-start {journal}: no file {missing}; give the journal.log in a study's folder")
    raw = read_yaml(study_file)
    data = raw.pop("data", None) or {}
    theirs = Study.from_dict(raw, str(study_file))
    ended = [
        trial
        for trial in read_journal(path).get(SEARCH, JournalSnapshot()).trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and primary(trial) is not None
    ]
    mapped = [(params, trial) for trial in ended if (params := _mapped(trial, theirs, plan.study)) is not None]
    if not mapped:
        raise ConfigError(f"--warm-start {journal}: none of its {len(ended)} ended trials is a point of this space")
    if _comparable(theirs, plan.study) and is_same(data, plan.data.prints.known()):
        note = f"warm start: {len(mapped)} of {len(ended)} trials of {journal}"
        return WarmStart(journal, mapped, (), note)
    complete = [(params, trial) for params, trial in mapped if trial.state is TrialState.COMPLETE]
    best = sorted(complete, key=lambda pair: -primary(pair[1]))[:POINTS_TAKEN]
    note = f"warm start: other data or objective, so the {len(best)} best points of {journal} alone are tried first"
    return WarmStart(journal, (), [params for params, _ in best], note)


def apply_warm_start(search: TrialStore, warm: WarmStart, space: Space) -> None:
    """Adds it to a search that has just begun: once, whatever happens."""
    if search.optuna.user_attrs.get("warm_start") == warm.journal:
        return
    for params, trial in warm.known:
        search.add_known(_as_known(params, trial, space, warm.journal))
    for params in warm.points:
        search.enqueue(params, {"kind": "search", "from": warm.journal, "point": repr(sorted(params.items()))})
    search.optuna.set_user_attr("warm_start", warm.journal)


def _mapped(trial: FrozenTrial, theirs: Study, ours: Study) -> dict[str, Value] | None:
    """The trial's config as a point of our space; None where a value lies outside."""
    config: Config = theirs.config_of(trial.params)
    outside = []

    def choose(name: str, domain: Domain) -> Value:
        value = ours.space.own_value(name, config)
        if not domain.contains(value):
            outside.append(name)
        return value

    params = ours.space.walk(choose, ours.base)
    return None if outside or ours.space.broken_rule(params, ours.base) else params


def _comparable(theirs: Study, ours: Study) -> bool:
    return _judged_by(theirs) == _judged_by(ours)


def _judged_by(study: Study) -> Any:
    general = study.base.general_parameters
    train = study.base.train_parameters
    split = [getattr(general, name) for name in ALIKE]
    return (study.settings.metric, train.classification_mode, train.objective_heads, split)


def _as_known(params: Mapping[str, Value], trial: FrozenTrial, space: Space, journal: str) -> FrozenTrial:
    return create_trial(
        state=trial.state,
        values=trial.values,
        params=dict(params),
        distributions={name: distribution_of(space.domains[name]) for name in params},
        intermediate_values=trial.intermediate_values,
        user_attrs={"kind": WARM, "from": f"{journal} trial {trial.number}"},
    )
