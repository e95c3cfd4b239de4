"""What the scripts in `experiments/` share: errors in one message, exit codes, log lines, option types."""

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
from hearai.errors import ConfigError, UserError
from hearai.files import UNWRITABLE, disk_full
from hearai.ray_auth import show_token

T = TypeVar("T")

DONE, SOME_BROKEN, BAD_INPUT, NO_TRIAL_SUCCEEDED, INTERRUPTED = 0, 1, 2, 3, 130


def run_script(main: Callable[[], int]) -> None:
    """Runs a script's `main` and exits: 2 with one clear message for a user's mistake, 130 when interrupted."""
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
    except BrokenPipeError:  # the reader has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print_problems(disk_full(error.filename or tempfile.gettempdir(), error.errno).problems)
        code = BAD_INPUT
    sys.exit(code)


def log_to_stderr() -> None:
    """Leaves the standard output to what the script prints."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


def print_problems(problems: Iterable[str]) -> None:
    """One line a problem, after everything printed so far."""
    sys.stdout.flush()
    sys.stderr.write("".join(f"error: {problem}\n" for problem in problems))


def progress_bar(text: str) -> Callable[[Iterable[T], int], Iterable[T]]:
    """(items, how many there will be) -> the items, with a bar on the terminal; where there is none, just the items."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return lambda items, total: track(
        items, text, total=total, console=console, transient=True, disable=not console.is_terminal
    )


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def assignment(text: str) -> tuple[str, Any]:
    """`a.b=value` of `--set`; the value is read as YAML."""
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a.dotted.path=value")
    try:
        return path, parse_yaml(value, "--set")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def duration(text: str) -> float:
    """Seconds of `90`, `90s`, `30m` or `2h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text)
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a time such as 90s, 30m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a whole number of at least 1")
    return int(text)


def names(text: str) -> list[str]:
    """`a,b` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def is_uri(text: str) -> bool:
    """Whether it names a place in an object store rather than a folder."""
    return "://" in text


def local_folder(text: str) -> Path:
    """A folder of this machine, or one that it mounts."""
    if is_uri(text):
        raise argparse.ArgumentTypeError(f"got {text!r}; give a folder")
    return Path(text)


def storage(text: str) -> str:
    """A folder of this machine, or one that it mounts, or a place in an object store."""
    scheme, mark, place = text.partition("://")
    if mark and (scheme not in ("s3", "gs") or not place.strip("/")):
        raise argparse.ArgumentTypeError(f"got {text!r}; give a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX")
    return text


def study_name(text: str) -> str:
    """A name that is safe as a folder's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"got {text!r}; use letters, digits, '.', '_' and '-'")
    return text


Print = Callable[[str], None]
