"""Shared code of the scripts in `experiments/`: error handling, exit codes, logging, argument types."""

import argparse
import logging
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from hearai.config.yaml_io import parse_yaml
from hearai.errors import ConfigError, UserError, printable
from hearai.files import UNWRITABLE, disk_full
from hearai.ray_auth import show_token

T = TypeVar("T")
Print = Callable[[str], None]
"""Prints one line; scripts pass it to code that must not print by itself."""

DONE, PROBLEMS_FOUND, BAD_INPUT, NO_TRIAL_SUCCEEDED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes of the scripts."""


def run_script(main: Callable[[], int]) -> None:
    """Runs a script's `main` and exits with its code, or 2 with a message for user errors, or 130 if interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    show_token()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("hearai").setLevel(logging.INFO)
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        print_problems(error.problems)
        code = BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the state is saved\n")
        code = INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print_problems(disk_full(error.filename or tempfile.gettempdir(), error.errno).problems)
        code = BAD_INPUT
    sys.exit(code)


def log_to_stderr() -> None:
    """Sends log lines to stderr, so that stdout has only the output of the script."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


def print_problems(problems: Iterable[str]) -> None:
    """Writes one line per problem to stderr, after all output so far."""
    sys.stdout.flush()
    sys.stderr.write("".join(f"error: {printable(problem)}\n" for problem in problems))


def progress_bar(text: str) -> Callable[[Iterable[T], int], Iterable[T]]:
    """Returns a function of (items, their number) that yields the items and shows their progress on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return lambda items, total: track(
        items, text, total=total, console=console, transient=True, disable=not console.is_terminal
    )


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def assignment(text: str) -> tuple[str, Any]:
    """Parses `a.b=value` of `--set`; the value is YAML."""
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a.dotted.path=value")
    try:
        return path, parse_yaml(value, "--set")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def duration(text: str) -> float:
    """Parses `90`, `90s`, `30m` or `2h` to seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text)
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a time such as 90s, 30m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def positive(text: str) -> int:
    """Parses an integer of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; give an integer of at least 1")
    return int(text)


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
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"got {text!r}; use letters, digits, '.', '_' and '-'")
    return text
