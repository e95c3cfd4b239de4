"""What pages of several studies share: the template environment, the frame of a page and the colours of studies."""

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


def render_template(folder: Path, name: str, values: Mapping[str, Any]) -> str:
    """A page from a template of `folder`, which may extend the shared ones; every value is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": text.plain, "score": text.score, "duration": text.duration}
    environment.globals |= {"colours": COLOURS, "colour_class": colour_class}
    return environment.get_template(name).render(values)
