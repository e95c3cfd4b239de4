"""A study whose parameters are those of a table, not options of our config.

A `Space` itself does not care what its names mean: only the YAML of a study insists on paths into the config. So the
domains are built directly, with the names that the table gives them, and the one thing that would look a name up in
the config, the base config as a point of the space, is stated here. Engines run it unchanged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hearai.config.config import build_config
from hearai.config.field_types import FrozenDict
from hearai.config.search_space.domains import Domain, Value
from hearai.config.search_space.space import Space
from hearai.config.study import Study
from hearai.config.study_schema import EarlyStopping, StudySettings

GRACE_SHARE, REDUCTION_FACTOR = 0.3, 2
"""ASHA's settings for the engines that leave them to their user: grace period as a share of the epochs."""


@dataclass(frozen=True)
class TableStudy(Study):
    """A study over a table: `start` is its base config as a point of the space."""

    start: Mapping[str, Value] = field(default_factory=dict)

    def base_params(self) -> dict[str, Value]:
        return dict(self.start)


def table_study(name: str, domains: Mapping[str, Domain], start: Mapping[str, Value], epochs: int) -> TableStudy:
    """The study of a table. start: what a practitioner would use without a search; moved into the domains."""
    base = build_config({"train_parameters": {"epochs": epochs}})
    space = Space(domains)
    inside = {path: _clamped(domain, start[path]) for path, domain in space.domains.items()}
    stopping = EarlyStopping(name="asha", grace_epochs=round(GRACE_SHARE * epochs), reduction_factor=REDUCTION_FACTOR)
    settings = StudySettings(space=FrozenDict(), early_stopping=stopping)
    return TableStudy(name, name, settings, base, space, start=inside)


def _clamped(domain: Domain, value: Value) -> Value:
    assert isinstance(value, int | float)
    return type(value)(min(max(value, domain.low), domain.high))
