"""A study: what is searched, from which base config, with what budget. Read from `search_spaces/*.yaml`.

Floor 0: a study is data. How it is run is the business of `hearai.search`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hearai.config.config import Config, build_config, to_dict
from hearai.config.domains import Value
from hearai.config.grid import grid_problems
from hearai.config.overrides import merge, override
from hearai.config.space import Space, parse_space
from hearai.config.study_schema import StudyFile
from hearai.config.validation import FrozenDict, explain, present_names
from hearai.config.yaml_io import read_yaml
from hearai.errors import ConfigError, choices

SPACES = Path(__file__).parents[2] / "search_spaces"


@dataclass(frozen=True)
class Study:
    """A study with everything decided: the base config and the domains around it."""

    name: str
    space_name: str
    settings: StudyFile
    base: Config
    space: Space

    @property
    def max_epochs(self) -> int:
        """Of a whole trial, over all its splits."""
        return self.base.train_parameters.epochs * self.settings.splits

    def config_of(self, params: Mapping[str, Value], seed: int | None = None) -> Config:
        """The full config of a trial."""
        changes = self.space.expand(params)
        if seed is not None:
            changes["general_parameters.seed"] = seed
        return override(self.base, changes)

    def base_params(self) -> dict[str, Value]:
        """The base config's own values of the searched parameters that its space allows."""
        params: dict[str, Value] = {}
        for path, domain in self.space.domains.items():
            value = self.space.own_value(path, self.base)
            if self.space.is_active(domain, params, self.base) and domain.contains(value):
                params[path] = value
        return params

    def to_dict(self) -> dict:
        """Plain YAML types; `Study.from_dict` reads it back."""
        settings = self.settings.model_dump(mode="json", exclude={"config", "demo"})
        if self.settings.pretrain is None:
            settings["pretrain"] = False
        return {"name": self.name, "space_name": self.space_name, **settings, "config": to_dict(self.base)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], where: str) -> "Study":
        """Reads what `to_dict` wrote."""
        rest = {key: value for key, value in raw.items() if key not in ("name", "space_name")}
        return _build(rest, raw.get("name", "?"), raw.get("space_name", "?"), where)

    def to_yaml(self) -> str:
        """YAML for `study.yaml`."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


@dataclass(frozen=True)
class Request:
    """What the command line asks on top of a space: every field overrides the YAML."""

    space: str
    name: str | None = None
    base_config: str | None = None
    data_paths: tuple[str, ...] = ()
    changes: Mapping[str, Any] | None = None
    """{dotted path into the config: value}"""
    settings: Mapping[str, Any] | None = None
    """{section of the study: {key: value}}, laid over the YAML"""


def load_study(request: Request) -> Study:
    """The study of a command line. Unset data path = the demo data's overrides hold.

    Order, later wins: defaults, the study's `config`, its `demo`, `--config`, `--data-path`, `--set`.

    Raises:
        ConfigError: every problem of the files and options.
    """
    path = space_file(request.space)
    raw = _read_study(path)
    own = present_names(read_yaml(request.base_config)) if request.base_config else {}
    on_demo = not request.data_paths and not uses_own_data(own) and not uses_own_data(raw["config"])
    if on_demo:
        raw = _lay_over(raw, raw["demo"])
    else:
        raw["demo"] = {}
    raw = _lay_over(raw, request.settings or {})
    raw["config"] = merge(raw["config"], own)
    if request.data_paths:
        changes = {"general_parameters": {"data_path": list(request.data_paths)}}
        raw["config"] = merge(raw["config"], changes)
    asked = f"{request.base_config} over {path}" if request.base_config else str(path)
    return _build(raw, request.name or path.stem, path.stem, str(path), request.changes or {}, asked)


def uses_own_data(config: Mapping[str, Any]) -> bool:
    """Whether a raw config (with present names) names a dataset folder."""
    general = config.get("general_parameters") or {}
    return isinstance(general, Mapping) and bool(general.get("data_path"))


def space_file(name: str) -> Path:
    """The YAML of a shipped space, or the file itself.

    Raises:
        ConfigError: neither exists.
    """
    shipped = {path.stem: path for path in SPACES.glob("*.yaml")}
    if name in shipped:
        return shipped[name]
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return Path(name)
    raise ConfigError(f"--space {name}: unknown space; {choices(name, shipped)}, or give a YAML file")


def _read_study(path: Path) -> dict[str, Any]:
    """The YAML with `config`, `space` and `demo` in it as mappings, old keys by their present names."""
    raw = read_yaml(path)
    demo = raw.get("demo")
    sections = {key: raw.get(key) for key in ("config", "space", "demo")}
    if isinstance(demo, Mapping):
        sections |= {f"demo.{key}": demo.get(key) for key in ("config", "space")}
    wrong = [f"{path}: {key}: got {v!r}; must be a mapping" for key, v in sections.items() if not _is_section(v)]
    if not wrong and not raw.get("space"):
        wrong = [f"{path}: space: missing; give {{dotted path: domain}}"]
    if wrong:
        raise ConfigError(wrong)
    demo = {**(demo or {}), "config": present_names((demo or {}).get("config") or {})}
    return {**raw, "config": present_names(raw.get("config") or {}), "demo": demo}


def _is_section(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _lay_over(raw: Mapping, diff: Mapping) -> dict:
    """Section by section, but a domain of the space is replaced whole; null takes it out."""
    diff = dict(diff)
    space = {**raw["space"], **(diff.pop("space", None) or {})}
    merged = merge(raw, diff)
    return {**merged, "space": {path: domain for path, domain in space.items() if domain is not None}}


def _build(
    raw: Mapping,
    name: str,
    space_name: str,
    where: str,
    changes: Mapping[str, Any] | None = None,
    config_from: str | None = None,
) -> Study:
    try:
        settings = StudyFile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([f"{where}: {problem}" for problem in explain(error, StudyFile)]) from None
    base = build_config(settings.config, f"{config_from or where}: config")
    asked = {**_asked_of_runs(settings), **(changes or {})}  # in one go: heads are those of a mode that --set may give
    base = override(base, asked, "--set" if changes else f"{where}: objective")
    domains = {path: domain for path, domain in settings.space.items() if path not in (changes or {})}
    space = parse_space(domains, where, settings.rules)
    if problems := _problems(settings, space, base, changes or {}):
        raise ConfigError([f"{where}: {problem}" for problem in problems])
    objective = settings.objective.model_copy(update={"heads": base.train_parameters.objective_heads})
    settings = settings.model_copy(update={"space": FrozenDict(domains), "objective": objective})
    return Study(name, space_name, settings, base, space)


def _problems(settings: StudyFile, space: Space, base: Config, changes: Mapping[str, Any]) -> list[str]:
    """Why this space cannot be searched around this base config."""
    found = [
        f"space: {path}: is the same in all trials of a study; set it in `config`"
        for path in space.paths
        if _is_shared(path)
    ]
    found += [
        f"--set {path}: a tied choice of the space sets it, too; take that choice out of the space"
        for path in changes
        if path in space.paths
    ]
    if found := found or space.problems(base):
        return found
    return grid_problems(space, base) if settings.sampler.name == "grid" else []


def _asked_of_runs(settings: StudyFile) -> dict[str, Any]:
    """{dotted path: value}: what the study's objective and metrics mean for the config of a run."""
    heads = {"train_parameters.objective_heads": list(settings.objective.heads)} if settings.objective.heads else {}
    return {**heads, **({"general_parameters.measure_speed": True} if "seconds_per_clip" in settings.metric else {})}


def _is_shared(path: str) -> bool:
    """What trials must have in common to be compared: data, split, labels, objective, seed, machine."""
    return path.startswith("general_parameters.") or path in (
        "train_parameters.classification_mode",
        "train_parameters.objective_heads",
    )
