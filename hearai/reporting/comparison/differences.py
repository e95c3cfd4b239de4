"""In what spaces, settings and configs differ: only the lines in which they do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml

from hearai.config.config import to_dict
from hearai.config.overrides import leaves
from hearai.config.search_space.domains import Domain
from hearai.reporting.comparison.compared import ComparedStudy
from hearai.reporting.text import plain
from hearai.training.outputs.layout import BACKBONE_FILE

IGNORED = ("name", "space_name", "description", "space", "config", "objective", "earlier_spaces")
"""Top-level keys of a study that are shown elsewhere, or say nothing about the search."""
IGNORED_OPTIONS = ("general_parameters.path_to_save",)
"""Options of a config that a search does not use."""
ABSENT = "-"


@dataclass(frozen=True)
class Difference:
    """A line in which studies differ."""

    path: str
    values: Sequence[str]
    """One per study, as text."""


def space_differences(studies: Sequence[ComparedStudy]) -> list[Difference]:
    """Parameters that are searched differently, or not by all: `fixed at X` has the value of the base config."""
    spaces = [study.record.study.space.domains for study in studies]
    bases = [_options(study.record.study.base) for study in studies]
    rows = []
    for path in dict.fromkeys(path for space in spaces for path in space):
        cells = [
            _describe(space[path]) if path in space else f"fixed at {base[path]}" if path in base else ABSENT
            for space, base in zip(spaces, bases, strict=True)
        ]
        rows.append(Difference(path, cells))
    return [row for row in rows if len(set(row.values)) > 1]


def setting_differences(studies: Sequence[ComparedStudy]) -> list[Difference]:
    """Settings of the studies, such as sampler and budget, that differ; and the code that ran them."""
    settings = []
    for study in studies:
        record = {key: value for key, value in study.record.study.to_dict().items() if key not in IGNORED}
        code = "; ".join(study.summary.code_versions) or ABSENT
        settings.append({**{path: _text(value) for path, value in leaves(record)}, "code": code})
    return _rows(settings)


def config_differences(studies: Sequence[ComparedStudy]) -> list[Difference]:
    """Options of the base configs that differ."""
    return _rows([_options(study.record.study.base) for study in studies])


def winner_differences(studies: Sequence[ComparedStudy]) -> list[Difference]:
    """Options of the winners' configs that differ; a study without a complete trial has none."""
    configs: list[dict[str, str]] = []
    for study in studies:
        winner = study.record.winner
        configs.append({} if winner is None else _options(study.record.study.config_of(winner.params)))
    return _rows(configs)


def _rows(trees: Sequence[Mapping[str, str]]) -> list[Difference]:
    """The paths whose values differ among the trees that are not empty."""
    paths = dict.fromkeys(path for tree in trees for path in tree)
    known = [tree for tree in trees if tree]
    return [
        Difference(path, [tree.get(path, ABSENT) for tree in trees])
        for path in paths
        if len({tree.get(path, ABSENT) for tree in known}) > 1
    ]


def _options(config: Any) -> dict[str, str]:
    """{dotted path: value as text} of a config."""
    return {path: _text(value) for path, value in leaves(to_dict(config)) if path not in IGNORED_OPTIONS}


def _text(value: Any) -> str:
    """A value on one line. Each study with pre-training has its backbone in its own folder: the paths say nothing."""
    if isinstance(value, str) and PurePath(value).name == BACKBONE_FILE:
        return "pre-trained by the study"
    if isinstance(value, list | tuple | Mapping):
        plain_value = list(value) if isinstance(value, tuple) else value
        return yaml.safe_dump(plain_value, default_flow_style=True, width=10**6).strip()
    return plain(value)


def _describe(domain: Domain) -> str:
    """A domain with its condition, and with what the options of a tied choice set."""
    if domain.options:
        text = " | ".join(
            f"{label} ({', '.join(f'{path}={_text(value)}' for path, value in options.items())})"
            for label, options in domain.options.items()
        )
    else:
        text = str(domain)
    conditions = [f"{path} is {' or '.join(map(plain, values))}" for path, values in domain.when.items()]
    return f"{text}, when {' and '.join(conditions)}" if conditions else text
