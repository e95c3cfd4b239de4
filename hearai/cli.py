"""Shared code of the scripts in `experiments/`: error handling, exit codes, logging, argument types."""

import argparse
import logging
import math
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
from hearai.files import UNWRITABLE, disk_full, folder_name_problem, no_home, path_error
from hearai.ray_auth import show_token

T = TypeVar("T")
Print = Callable[[str], None]
"""Prints one line; scripts pass it to code that must not print by itself."""

DONE, PROBLEMS_FOUND, BAD_INPUT, NO_TRIAL_SUCCEEDED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes of the scripts."""


def run_script(main: Callable[[], int]) -> None:
    """Runs a script's `main` and exits with its code, or 2 with a message for user errors, or 130 if interrupted.

    An error of a path is a user's error, wherever it occurs: options, variables and files name the paths.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    show_token()
    logging.basicConfig(level=logging.WARNING, handlers=[_log_handler()])
    logging.getLogger("hearai").setLevel(logging.INFO)
    try:
        _check_encoding(sys.argv[1:])
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
    except (OSError, ValueError, RuntimeError) as error:
        print_problems(_problems_of_path(error))
        code = BAD_INPUT
    sys.exit(code)


def _problems_of_path(error: OSError | ValueError | RuntimeError) -> list[str]:
    """The messages for an error of a path; all others, such as those of connections, are raised again."""
    match error:
        case OSError(errno=number) if number in UNWRITABLE:
            return disk_full(error.filename or tempfile.gettempdir(), number).problems
        case OSError(filename=str() | bytes()):
            return [path_error(error)]
        case UnicodeEncodeError(reason=reason) if reason == SURROGATES:
            return [f"{_line_around(error.object, error.start)}: {NOT_UTF8}"]
        case RuntimeError() if "determine home directory" in str(error):  # pathlib's; Ray asks for it as well
            return [no_home("HEARAI_CACHE")]
        case ValueError() if "embedded null" in str(error):
            return [f"a path contains a NUL character ({error}); remove it from the option or file that names it"]
    raise error


SURROGATES = "surrogates not allowed"
"""Why Python cannot write a file name that is not UTF-8."""
NOT_UTF8 = "the name is not UTF-8; rename the file or folder"


def _check_encoding(arguments: Iterable[str]) -> None:
    """Refuses arguments that are not UTF-8: they could be neither printed nor recorded.

    Raises:
        ConfigError: lists them.
    """
    wrong = [text for text in arguments if any("\ud800" <= char <= "\udfff" for char in text)]
    if wrong:
        raise ConfigError([f"{text}: {NOT_UTF8}" for text in wrong])


def _line_around(text: str, position: int) -> str:
    """At most 100 characters of the line at a position."""
    start = max(text.rfind("\n", 0, position) + 1, position - 50)
    return text[start : start + 100].partition("\n")[0]


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _log_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_PrintableFormatter("%(message)s"))
    return handler


def print_text(text: str) -> None:
    """Prints text at once that may contain names or messages from files; control characters are escaped."""
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


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


def integer(low: int, high: int) -> Callable[[str], int]:
    """Returns a function that parses an integer within bounds, both included."""

    def parse(text: str) -> int:
        is_number = re.fullmatch(r"[+-]?[0-9]{1,20}", text)
        if not is_number or not low <= int(text) <= high:
            shown = text if len(text) <= 30 else f"{text[:30]}..."
            bounds = f"an integer of at least {low}" if high == LARGEST else f"an integer from {low} to {high:,}"
            raise argparse.ArgumentTypeError(f"got {shown!r}; give {bounds}")
        return int(text)

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Returns a function that parses a number within bounds, both included; neither NaN nor infinity is."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"got {text[:30]!r}; give a number from {low:g} to {high:g}")
        return value

    return parse


LARGEST = 10**9
"""Bound of counts without a bound of their own; larger ones are typing mistakes, and overflow somewhere."""
positive = integer(1, LARGEST)
"""Parses an integer of at least 1."""
processes = integer(1, 1024)
"""Parses a number of processes."""
seed = integer(-(2**63), 2**63 - 1)
"""Parses the seed of a random generator."""
gpu_index = integer(-1, 1023)
"""Parses which GPU to use; -1 is the CPU."""


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
