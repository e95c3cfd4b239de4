"""Types of command line arguments: each parses a text, or says what is allowed."""

import argparse
import json
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hearai.config.field_types import check_frame_pattern
from hearai.config.limits import MAX_GPU, MAX_PROCESSES, MAX_SECONDS, MAX_SEED
from hearai.config.model_parts.code_folder import check_code
from hearai.config.yaml_io import parse_yaml
from hearai.errors import ConfigError
from hearai.files import folder_name_problem

MAX_COUNT = 10**9
"""Of counts without a limit of their own; larger ones are typing mistakes, and overflow somewhere."""


def assignment(text: str) -> tuple[str, Any]:
    """Parses `a.b=value` of `--set`; the value is YAML."""
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a.dotted.path=value")
    try:
        return path, parse_yaml(value, "--set")
    except ConfigError as error:
        remedy = f"; if the value is a text, quote it: --set {shlex.quote(f'{path}={json.dumps(value)}')}"
        raise argparse.ArgumentTypeError(f"{error}{remedy}") from None


def frame_pattern(text: str) -> str:
    """A pattern of the file names of frames, such as `img_{number}.png`."""
    try:
        return check_frame_pattern(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_data_options(parser: argparse._ActionsContainer) -> None:
    """Options of scripts without a config that say how the files of a dataset are found."""
    pattern_help = "names of the frames, such as 'img_{number}.png'"
    parser.add_argument("--frame-pattern", type=frame_pattern, metavar="PATTERN", help=pattern_help)
    links_help = "read symlinks to places outside the dataset folder, too"
    parser.add_argument("--follow-symlinks", action="store_true", help=links_help)


def add_code_option(parser: argparse._ActionsContainer) -> None:
    """The option of scripts that make models."""
    code_help = "folder with parts of your own, see docs/extend.md"
    parser.add_argument("--code", type=_code_dir, metavar="DIR", help=code_help)


def _code_dir(text: str) -> Path:
    """A folder with Python files of the user's own."""
    try:
        return check_code(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--code ")) from None


def duration(text: str) -> float:
    """Parses `90`, `90s`, `30m` or `2h` to seconds."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smh]?)", text)
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a time such as 90s, 30m or 2h")
    return seconds


def integer(low: int, high: int) -> Callable[[str], int]:
    """Parses integers from `low` to `high`."""
    allowed = (
        f"an integer of at least {low}, at most {high}" if high == MAX_COUNT else f"an integer from {low} to {high}"
    )

    def parse(text: str) -> int:
        digits = len(str(max(abs(low), high)))
        value = int(text) if re.fullmatch(r"[+-]?[0-9]+", text) and len(text) <= digits + 1 else None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"got {text!r}; give {allowed}")
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Parses numbers from `low` to `high`; neither NaN nor infinity."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"got {text!r}; give a number from {low:g} to {high:g}")
        return value

    return parse


def number_or(word: str, low: float, high: float) -> Callable[[str], float | str]:
    """Parses numbers as `number` does, and one word."""

    def parse(text: str) -> float | str:
        try:
            return word if text == word else number(low, high)(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, or {word}") from None

    return parse


def gpus(text: str) -> float:
    """Parses GPUs of a worker: a fraction of one, or a whole number."""
    value = number(0, MAX_GPU)(text)
    if value > 1 and value % 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a fraction of one GPU, or a whole number")
    return value


def positive(text: str) -> int:
    """Parses an integer of at least 1."""
    return integer(1, MAX_COUNT)(text)


def port(text: str) -> int:
    """Parses a port; 0 = a free one."""
    return integer(0, 65_535)(text)


def processes(text: str) -> int:
    """Parses a number of processes."""
    return integer(1, MAX_PROCESSES)(text)


def gpu_index(text: str) -> int:
    """Parses the index of a GPU; -1 = the CPU."""
    return integer(-1, MAX_GPU)(text)


def seed(text: str) -> int:
    """Parses the seed of a random generator."""
    return integer(-MAX_SEED, MAX_SEED)(text)


def comma_separated(text: str) -> list[str]:
    """Parses `a,b` to a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def is_uri(text: str) -> bool:
    """Whether the text is the URI of an object store rather than the path of a folder."""
    return "://" in text


def local_path(text: str) -> Path:
    """Parses the path of a local or mounted folder."""
    if is_uri(text):
        raise argparse.ArgumentTypeError(f"got {text!r}; give a folder")
    return Path(text)


def storage_location(text: str) -> str:
    """Validates the path of a local or mounted folder, or the URI of an object store."""
    scheme, separator, rest = text.partition("://")
    if separator and (scheme not in ("s3", "gs") or not rest.strip("/")):
        raise argparse.ArgumentTypeError(f"got {text!r}; give a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX")
    return text


def study_name(text: str) -> str:
    """Validates a name that is used as a folder name."""
    if problem := folder_name_problem(text):
        raise argparse.ArgumentTypeError(problem)
    return text
