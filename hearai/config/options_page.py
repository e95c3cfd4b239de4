"""`docs/options.md`: every option of a run, written from the config's own descriptions (`make docs`)."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema

from hearai.config.config import Config, to_dict
from hearai.config.schema import HeadParameters
from hearai.config.validation import Section

INTRODUCTION = """# Options of a run

Written by `make docs` from `hearai/config/schema.py`; do not edit. A config file is a diff over these defaults. Any
option can be set on the command line (`--set train_parameters.lr=1e-3`); all that do not decide what trials have in
common (data, split, seed, machine) can be searched (`search_spaces/`).
"""
# Where a check of our own comes first, pydantic names bounds by its own words, not by those of JSON Schema.
BOUNDS = {"exclusiveMinimum": ">", "gt": ">", "minimum": ">=", "ge": ">=", "exclusiveMaximum": "<", "lt": "<"}
BOUNDS |= {"maximum": "<=", "le": "<="}
PLAIN = {"boolean": "true or false", "string": "text", "number": "number", "integer": "whole number", "null": "null"}


class _WithoutDefaults(GenerateJsonSchema):
    """The defaults are taken from the config: those that JSON cannot hold are not missed."""

    ignored_warning_kinds = {*GenerateJsonSchema.ignored_warning_kinds, "non-serializable-default"}


def options_page() -> str:
    """The page as Markdown: a table for each section of the config."""
    defaults = to_dict(Config())
    parts = [INTRODUCTION]
    for name, field in Config.model_fields.items():
        parts += _table(name, field.annotation, defaults[name])
    return "\n".join([*parts, *_table("heads.GROUP.HEAD", HeadParameters, HeadParameters().model_dump(mode="json"))])


def _table(name: str, section: type[Section], defaults: Mapping[str, Any]) -> Iterator[str]:
    schema = section.model_json_schema(schema_generator=_WithoutDefaults)
    yield f"## {name}\n\n{section.__doc__ or ''}\n"
    yield "| option | default | allowed | meaning |\n|---|---|---|---|"
    for key, known in schema["properties"].items():
        cells = [f"`{key}`", f"`{_flow(defaults[key])}`", _allowed(known), section.model_fields[key].description or ""]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _flow(value: Any) -> str:
    """The value as YAML on one line; large mappings by their keys."""
    if isinstance(value, Mapping) and len(value) > 2:
        return "{" + ", ".join(map(str, value)) + "}"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _allowed(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_allowed(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of ({_allowed(schema.get('items', {}))})"
    kind = PLAIN.get(schema.get("type", ""), "mapping")
    bounds = ", ".join(f"{sign} {schema[key]:g}" for key, sign in BOUNDS.items() if key in schema)
    return f"{kind} {bounds}".rstrip()


if __name__ == "__main__":
    sys.stdout.write(options_page())
