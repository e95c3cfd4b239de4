"""A study: a search space around a base config, with its budget and settings. Read from `search_spaces/*.yaml`.

A study is data only; `hearai.search` runs it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hearai.config.config import Config, to_dict
from hearai.config.field_types import FrozenDict
from hearai.config.overrides import leaves, merge, override
from hearai.config.search_space.domains import Value
from hearai.config.search_space.space import Space, read_space
from hearai.config.search_space.space_check import corner_points
from hearai.config.study_check import read_base, read_settings, study_problems
from hearai.config.study_schema import EarlierSpace, StudySettings
from hearai.config.validation import explain, rename_old_keys
from hearai.config.yaml_io import read_yaml
from hearai.errors import ConfigError, choices
from hearai.files import folder_name_problem

SPACES = Path(__file__).parents[2] / "search_spaces"
RECORD_KEYS = {"name", "space_name"}
"""Keys that the record of a study has beyond those of a space."""
ID_KEY = "id"
"""Key of a `study.yaml`: a random text by which the study's journal is known to be its own."""
EARLIER_SPACES = "earlier_spaces"
"""Key that the record of a study has whose space was changed."""
SAMPLE_MARK = "\n--- # sample {}\n"
"""Before each sampled config in the output of `tune.py --dry-run`: a YAML document of its own, which is not read."""


@dataclass(frozen=True)
class Study:
    """A fully resolved study: settings, base config and search space."""

    name: str
    space_name: str
    settings: StudySettings
    base: Config
    space: Space
    earlier_spaces: tuple[EarlierSpace, ...] = ()
    """Those from which earlier trials were proposed, the oldest first; see `continuing`."""

    def continuing(self, earlier_spaces: tuple[EarlierSpace, ...]) -> "Study":
        """The study with trials of earlier spaces, whose tied options `config_of` knows as well."""
        former: dict[str, dict[str, Any]] = {}
        for entry in earlier_spaces:
            for name, domain in read_space(entry.space)[0].domains.items():
                former.setdefault(name, {}).update(domain.options)
        space = Space(self.space.domains, self.space.constraints, former)
        return replace(self, space=space, earlier_spaces=earlier_spaces)

    @property
    def max_epochs(self) -> int:
        """Epochs of a complete trial, over all its folds."""
        return self.base.train_parameters.epochs * self.settings.splits

    @property
    def part_configs(self) -> Iterator[Config]:
        """The base config; where parts are searched or are the user's own, also one of each value of the space (of
        ranges, the bounds)."""
        yield self.base
        names = any(part.kind.name_path in self.space.paths for part in self.base.parts)
        if names or any(part.is_own for part in self.base.parts):
            yield from (self.config_of(params) for params in corner_points(self.space, self.base))

    def config_of(self, params: Mapping[str, Value], seed: int | None = None) -> Config:
        """The complete config of a trial."""
        changes = self.space.expand(params)
        if seed is not None:
            changes["general_parameters.seed"] = seed
        return override(self.base, changes)

    def base_params(self) -> dict[str, Value]:
        """The base config as a point of the space: the values of searched parameters that are in their domains."""
        params: dict[str, Value] = {}
        for path, domain in self.space.domains.items():
            value = self.space.base_value(path, self.base)
            if self.space.is_active(domain, params, self.base) and domain.contains(value):
                params[path] = value
        return params

    def to_dict(self) -> dict:
        """The study in plain YAML types, for `Study.from_dict`."""
        settings = self.settings.model_dump(mode="json", exclude={"config", "demo"})
        if self.settings.pretrain is None:
            settings["pretrain"] = False
        earlier = [entry.model_dump(mode="json") for entry in self.earlier_spaces]
        record = {"name": self.name, "space_name": self.space_name, **settings, "config": to_dict(self.base)}
        return {**record, EARLIER_SPACES: earlier} if earlier else record

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], where: str) -> "Study":
        """Restores a study from `to_dict`."""
        rest = {key: value for key, value in raw.items() if key not in (*RECORD_KEYS, EARLIER_SPACES)}
        study = _build(rest, raw.get("name", "?"), raw.get("space_name", "?"), where)
        return study.continuing(_read_earlier_spaces(raw.get(EARLIER_SPACES, []), where))

    def to_yaml(self) -> str:
        """The content of `study.yaml`."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


@dataclass(frozen=True)
class Request:
    """What the command line asks for: a space, and values that override its YAML."""

    space: str
    name: str | None = None
    base_config: str | None = None
    data_paths: tuple[str, ...] = ()
    changes: Mapping[str, Any] | None = None
    """{dotted path into the config: value}."""
    settings: Mapping[str, Any] | None = None
    """{section of the study: {key: value}}, merged into the YAML."""


def load_study(request: Request) -> Study:
    """The study that a command line asks for. Without a data path, the space's `demo` overrides apply.

    Precedence, lowest first: defaults, the study's `config`, its `demo`, `--config`, `--data-path`, `--set`.

    Raises:
        ConfigError: lists every problem of the files and options.
    """
    path = space_file(request.space)
    raw, problems = _read_study(path)
    name = request.name or path.stem
    if problem := folder_name_problem(name):
        source = "--name" if request.name else f"{path}: the name of the file is the name of the study"
        problems.append(f"{source}: {problem}; or give another --name")
    base = {}
    try:
        base = rename_old_keys(read_yaml(request.base_config)) if request.base_config else {}
    except ConfigError as error:
        problems += error.problems
    on_demo_data = not request.data_paths and not names_data(base) and not names_data(raw["config"])
    if on_demo_data:
        raw = _merge_study(raw, raw["demo"])
    else:
        raw["demo"] = {}
    raw = _merge_study(raw, request.settings or {})
    raw["config"] = merge(raw["config"], base)
    if request.data_paths:
        changes = {"general_parameters": {"data_path": list(request.data_paths)}}
        raw["config"] = merge(raw["config"], changes)
    source = f"{request.base_config} over {path}" if request.base_config else str(path)
    try:
        return _build(raw, name, path.stem, str(path), request.changes or {}, source, problems)
    except ConfigError as error:
        places = {f"{path}: {place}: ": f"given {place}: " for place in _given_places(request.settings or {})}
        raise ConfigError([_placed(problem, places) for problem in error.problems]) from None


def _given_places(settings: Mapping[str, Any]) -> Iterator[str]:
    """How problems of the values that a request gives begin, behind the file that they are merged into."""
    yield from (f"space: {name}" for name in settings.get("space") or {})
    yield from settings
    yield from (key for key, _ in leaves({key: value for key, value in settings.items() if key != "space"}))


def _placed(problem: str, places: Mapping[str, str]) -> str:
    """A problem with its place replaced, if it is one of these."""
    start = next((start for start in places if problem.startswith(start)), "")
    return places.get(start, "") + problem.removeprefix(start)


def read_study(path: Path) -> tuple[Study, dict[str, Any]]:
    """The study in a `study.yaml`, and what the file says about the dataset (`data`).

    Raises:
        ConfigError: lists every problem of the file.
    """
    raw = read_yaml(path)
    data = raw.pop("data", None) or {}
    raw.pop(ID_KEY, None)  # see `read_study_id`
    problems = [
        f"{path}: {key}: got {raw[key]!r}; must be a string"
        for key in ("name", "space_name")
        if not isinstance(raw.get(key, ""), str)
    ]
    problems += [] if isinstance(data, dict) else [f"{path}: data: got {data!r}; must be a mapping"]
    problems += [] if isinstance(raw.get("space"), dict) else [f"{path}: space: missing; must be a mapping"]
    if problems:
        raise ConfigError(problems)
    return Study.from_dict(raw, str(path)), data


def read_study_id(path: Path) -> str | None:
    """The id in a `study.yaml`; None if it has none, as those of older code, or does not exist.

    Raises:
        ConfigError: the file cannot be read, or the id is not a text.
    """
    found = read_yaml(path).get(ID_KEY) if path.exists() else None
    if found is not None and not isinstance(found, str):
        raise ConfigError(f"{path}: {ID_KEY}: got {found!r}; must be the text that the search wrote")
    return found


def _read_earlier_spaces(raw: Any, where: str) -> tuple[EarlierSpace, ...]:
    """Raises ConfigError if it is not a list of spaces, each with the number of a trial."""
    where = f"{where}: {EARLIER_SPACES}"
    if not isinstance(raw, list) or not all(isinstance(entry, Mapping) for entry in raw):
        raise ConfigError(f"{where}: got {raw!r}; must be a list of mappings with before_trial and space")
    try:
        earlier = tuple(EarlierSpace.model_validate(entry) for entry in raw)
    except ValidationError as error:
        raise ConfigError([f"{where}: {problem}" for problem in explain(error, EarlierSpace)]) from None
    if problems := [problem for entry in earlier for problem in read_space(entry.space)[2]]:
        raise ConfigError([f"{where}: {problem}" for problem in problems])
    return earlier


def names_data(config: Mapping[str, Any]) -> bool:
    """Whether a raw config (with its keys by their present names) names a dataset folder."""
    general = config.get("general_parameters") or {}
    return isinstance(general, Mapping) and bool(general.get("data_path"))


def space_file(name: str) -> Path:
    """The path of a shipped space by name, or of a YAML file.

    Raises:
        ConfigError: neither exists.
    """
    shipped = {path.stem: path for path in SPACES.glob("*.yaml")}
    if name in shipped:
        return shipped[name]
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return Path(name)
    raise ConfigError(f"--space {name}: unknown space; {choices(name, shipped)}, or give a YAML file")


def _read_study(path: Path) -> tuple[dict[str, Any], list[str]]:
    """(the YAML with `config`, `space` and `demo` as mappings and old keys by their present names, problems).

    What `tune.py --dry-run` prints and a study folder's `study.yaml` are spaces too: the study's name is left out.
    """
    raw = read_yaml(path, end=SAMPLE_MARK.format(1))
    if RECORD_KEYS <= set(raw):
        raw = {key: value for key, value in raw.items() if key not in {*RECORD_KEYS, EARLIER_SPACES, ID_KEY, "data"}}
    raw, problems = _with_sections(raw, "", ("config", "space", "demo"))
    raw["demo"], more = _with_sections(raw["demo"], "demo.", ("config", "space"))
    problems += more
    if not raw["space"] and not problems:
        problems = ["space: missing; give {dotted path: domain}"]
    for part in (raw, raw["demo"]):
        part["config"] = rename_old_keys(part["config"])
    return raw, [f"{path}: {problem}" for problem in problems]


def _with_sections(raw: Mapping[str, Any], prefix: str, keys: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """(`raw` with a mapping under each key, a problem for each value that is none)."""
    wrong = [key for key in keys if not _is_section(raw.get(key))]
    sections = {key: {} if key in wrong else dict(raw.get(key) or {}) for key in keys}
    return {**raw, **sections}, [f"{prefix}{key}: got {raw[key]!r}; must be a mapping" for key in wrong]


def _is_section(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _merge_study(raw: Mapping, diff: Mapping) -> dict:
    """Merges section by section, except that a domain of the space is replaced as a whole; null removes it."""
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
    config_source: str | None = None,
    known_problems: Sequence[str] = (),
) -> Study:
    """The study in a raw mapping. Every part is checked as far as it can be without the wrong ones."""
    changes = changes or {}
    settings, problems = read_settings(raw, where)
    base, found = read_base(settings, where, changes, f"{config_source or where}: config")
    problems = [*known_problems, *problems, *found]
    domains = {path: domain for path, domain in settings.space.items() if path not in changes}
    space, malformed, found = read_space(domains, settings.rules)
    if base is not None:
        is_certain = not problems
        found += study_problems(settings, space, base, changes, malformed=malformed, is_certain=is_certain)
    problems += [f"{where}: {problem}" for problem in found]
    if problems or base is None:
        raise ConfigError(list(dict.fromkeys(problems)))
    train = base.train_parameters
    objective = settings.objective.model_copy(update={"heads": train.objective_heads, "metric": train.objective_metric})
    settings = settings.model_copy(update={"space": FrozenDict(domains), "objective": objective})
    return Study(name, space_name, settings, base, space)
