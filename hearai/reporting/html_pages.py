"""What HTML pages share: the template environment, the hash of a script, and the colours of several studies."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from hearai.reporting import text

SHARED = Path(__file__).with_name("templates")
"""Folder of `base.html.j2`, which has head, style sheet and content security policy of a page."""
COLOURS = 8
"""Colours of studies in the style sheet; later studies have dashed lines in the same ones."""


def colour_class(number: int) -> str:
    """Classes of the style sheet for the study with this number, from 0."""
    return f"study{number % COLOURS}" + (" dashed" if number // COLOURS % 2 else "")


def template_environment(folder: Path, **more: Any) -> jinja2.Environment:
    """The templates of `folder`, which may extend the shared ones; every value is escaped. more: global names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": text.plain, "score": text.score, "duration": text.duration}
    environment.globals |= more
    return environment


def render_template(folder: Path, name: str, values: Mapping[str, Any]) -> str:
    """A page of several studies from a template of `folder`."""
    environment = template_environment(folder, colours=COLOURS, colour_class=colour_class)
    return environment.get_template(name).render(values)


def script_hash(script: str) -> str:
    """`sha256-...`, by which a content security policy allows a script in the page, and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
