"""`--from RUN`: the values of a config with which a run or search starts with extractor and encoder of another run.

All that their weights fit to is taken over where the user has not stated it; a stated value that differs is refused.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hearai.config.config import Config, build_config
from hearai.config.overrides import get_path, leaves, override
from hearai.config.search_space.domains import Domain, paths_of
from hearai.config.study import Request, Study
from hearai.config.validation import rename_old_keys
from hearai.config.yaml_io import read_yaml
from hearai.errors import ConfigError
from hearai.models.model import read_start
from hearai.models.pretrained.transfer import architecture_of, is_run
from hearai.training.outputs.layout import BEST, STATE
from hearai.training.outputs.saved_state import load_best

log = logging.getLogger(__name__)

OPTION = "--from"
PRETRAINED, CHECKPOINT = "feature_extractor.pretrained", "feature_extractor.checkpoint"
SHA256 = "feature_extractor.weights_sha256"


@dataclass(frozen=True)
class SourceRun:
    """A trained model with which others start."""

    file: Path
    """Its checkpoint."""
    config: Config

    @property
    def values(self) -> dict[str, Any]:
        """{dotted path: value} with which a config starts with it: its architecture, and where its weights are."""
        return {**architecture_of(self.config), CHECKPOINT: str(self.file), PRETRAINED: False, SHA256: None}


def find_run(path: str, kept: Path | None = None, fetch: Callable[[str], str] = str) -> SourceRun:
    """The trained model of a run's folder, a study's folder (its winner), a `best` folder, or the file in it.

    Args:
        kept: where a study keeps a copy of the weights that it started with; it is read where `path` is gone.
        fetch: the folder on this machine of a run that may be in an object store.

    Raises:
        ConfigError: there is none.
    """
    give = f"give a run, a study whose search has ended, or a `{BEST}` folder"
    try:
        place = Path(fetch(path)).expanduser().absolute()
        if not place.exists():
            raise ConfigError(f"{OPTION} {path}: no such folder; {give}")
    except ConfigError as error:
        if (copy := _kept_run(kept)) is None:
            raise
        log.warning("%s: the study continues with its own copy of the weights", error.problems[0].partition(";")[0])
        return copy
    for file in (place, place / STATE, place / BEST / STATE):
        if file.is_file():
            break
    else:
        raise ConfigError(f"{OPTION} {path}: holds neither {STATE} nor {BEST}/{STATE}; {give}")
    if file.name != STATE:
        raise ConfigError(
            f"{OPTION} {path}: not the checkpoint of a run ({STATE}); give a run, a study or a `{BEST}` folder (for "
            f"weights alone, set {PRETRAINED} to their path)"
        )
    return SourceRun(file, build_config(load_best(file.parent).config, f"{OPTION} {file}: config"))


def _kept_run(file: Path | None) -> SourceRun | None:
    """The run of which a study keeps a copy; None if the study started with other weights, or the copy is damaged."""
    if file is None or not file.is_file():
        return None
    try:
        content = read_start(file, str(file))
    except ConfigError:  # it is damaged; that the run is gone is what the user must know
        return None
    return SourceRun(file, build_config(content["config"], f"{file}: config")) if is_run(content) else None


def stated_in(path: str | None) -> dict[str, Any]:
    """{dotted path: value} that a config file states; {} without one.

    Raises:
        ConfigError: it cannot be read.
    """
    return dict(leaves(rename_old_keys(read_yaml(path)))) if path else {}


def values_from(run: SourceRun, stated: Mapping[str, Any]) -> dict[str, Any]:
    """{dotted path: value} of a config that starts with a run.

    Args:
        stated: {dotted path: value} that the user has given.

    Raises:
        ConfigError: every stated value that differs from the run's.
    """
    problems = [*_conflicts(run, stated)]
    if problems:
        raise ConfigError(problems)
    return run.values


def _conflicts(run: SourceRun, stated: Mapping[str, Any]) -> Iterator[str]:
    architecture = architecture_of(run.config)
    for path, value in stated.items():
        if path in (PRETRAINED, CHECKPOINT, SHA256) and value not in (None, False, "auto"):
            yield f"{path}: got {value!r}, but {OPTION} gives the weights of the extractor; leave one of them out"
        if not any(path == known or path.startswith(f"{known}.") for known in architecture):
            continue
        try:
            agrees = architecture_of(override(run.config, {path: value})) == architecture
        except ConfigError:  # not valid beside the run's other values
            agrees = False
        if not agrees:
            yield (
                f"{path}: got {value!r}, but {run.file} has {architecture.get(path)!r}; leave it out to take over the "
                "latter"
            )


def request_from(
    request: Request, study: Study, run: SourceRun, stated: Mapping[str, Any]
) -> tuple[Request, list[str]]:
    """The request for a study that starts with a run, and lines for people that say what it has changed.

    Args:
        study: the one that the request alone asks for.
        stated: {dotted path: value} that the user has given, those of the base config file included.

    Raises:
        ConfigError: every value that the user has stated and that differs from the run's; tied choices of the space
            that set such values beside others.
    """
    asked = dict((request.settings or {}).get("space", {}))
    problems = [
        *_conflicts(run, stated),
        *(
            f"--space-set {path}: searched, but {OPTION} decides it; leave it out"
            for path in asked
            if path in run.values
        ),
    ]
    space, fixed, tied = _remaining_space(study, run.values)
    problems += tied
    if problems:
        raise ConfigError(problems)
    settings = {**(request.settings or {}), "space": {**asked, **space}}
    changes = {**(request.changes or {}), **run.values}
    notes = [f"{OPTION} {run.file}: extractor and encoder are taken over, with new heads"]
    before = {path: get_path(study.base, path) for path in architecture_of(run.config)}
    taken = [f"{path} {run.values[path]} (instead of {x})" for path, x in before.items() if x != run.values[path]]
    notes += [f"  values of that run: {', '.join(taken)}"] if taken else []
    notes += [f"  not searched, since its weights decide: {', '.join(fixed)}"] if fixed else []
    return replace(request, settings=settings, changes=changes), notes


def _remaining_space(study: Study, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """(changes of the space by name, null = removed; names that are not searched any more; problems)."""
    changes: dict[str, Any] = {}
    fixed: list[str] = []
    problems: list[str] = []
    for name, domain in study.space.domains.items():  # conditions come before those that depend on them
        paths = set(paths_of(domain)) if domain.options else {name}
        decided = sorted(paths & values.keys())
        if decided and paths - values.keys():
            problems.append(
                f"space: {name}: sets {', '.join(decided)}, which {OPTION} decides, beside other values; give it "
                "another definition (--space-set)"
            )
        elif decided or not _can_hold(domain, values, fixed):
            changes[name] = None
            fixed.append(name)
        elif conditions := {*domain.when} & values.keys():
            raw = dict(study.settings.space[name])
            raw["when"] = {path: allowed for path, allowed in raw["when"].items() if path not in conditions}
            changes[name] = {key: value for key, value in raw.items() if key != "when" or value}
    return changes, fixed, problems


def _can_hold(domain: Domain, values: Mapping[str, Any], gone: list[str]) -> bool:
    """Whether the conditions of a domain can be met."""
    return all(values[path] in allowed if path in values else path not in gone for path, allowed in domain.when.items())
