"""Formats numbers, durations and names for people; shared by the page, the terminal and the scripts."""

import time
import unicodedata
from collections.abc import Sequence
from typing import Any

from hearai.cli.progress.names import short_names as short_names

FORMULA_STARTS = ("=", "+", "-", "@")
"""Spreadsheets run a cell that begins with one of them."""
COLUMNS = 80
"""Width of a terminal."""


def plain(value: Any) -> str:
    """A parameter's value: four significant digits, true or false, a dash for None and for an empty string."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def score(value: float | None) -> str:
    """A score in [0, 1] with three decimals; a dash for None."""
    return "-" if value is None else f"{value:.3f}"


def gain(base: float | None, winner: float) -> str:
    """The difference of two scores, such as `+0.012`; a dash without a base score."""
    return "-" if base is None else f"{winner - base:+.3f}"


def duration(seconds: float | None) -> str:
    """`7.5 s`, `12 min 30 s`, `3 h 05 min`."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size_text(size: int) -> str:
    """A number of bytes, such as `12 MB` or `3 kB`."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def age_text(moment: float) -> str:
    """How long ago a moment was, such as `5 min ago`. moment: in seconds since 1970."""
    seconds = max(0.0, time.time() - moment)
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            number = int(seconds // unit)
            return f"{number} {'day' if (number, name) == (1, 'days') else name} ago"
    return "just now"


def without_options(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """The arguments of a command line without these options and their values."""
    kept, skip = [], False
    for argument in arguments:
        if skip or argument.startswith(tuple(f"{option}=" for option in options)):
            skip = False
        elif argument in options:
            skip = True
        else:
            kept.append(argument)
    return kept


def shorten(text: str, width: int) -> str:
    """At most `width` characters; a shortened text ends in an ellipsis."""
    return text if len(text) <= width else text[: width - 3] + "..."


def csv_cell(value: Any) -> Any:
    """A cell of a CSV file; text that a spreadsheet would run as a formula gets an apostrophe in front.

    A formula begins with one of `= + - @` (full-width forms, too), after any spaces and control characters. Numbers,
    also as text, are not formulas.
    """
    start = value.lstrip("\0\t\r\n \xa0\ufeff")[:1] if isinstance(value, str) else ""
    if not start or unicodedata.normalize("NFKC", start) not in FORMULA_STARTS:
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
