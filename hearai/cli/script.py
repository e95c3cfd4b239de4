"""What every script does: error handling, exit codes, logging and printing."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from hearai.cli.preconditions import require_own_package, require_working_directory
from hearai.cli.ray_auth import show_token
from hearai.cli.streams import robust_streams
from hearai.errors import ConfigError, UserError, printable
from hearai.files import NO_HOME, UNWRITABLE, cache_folder, disk_full, path_error

T = TypeVar("T")
Print = Callable[[str], None]
"""Prints one line; scripts pass it to code that must not print by itself."""

DONE, PROBLEMS_FOUND, BAD_INPUT, NO_TRIAL_SUCCEEDED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes of the scripts."""
DIVERGED = NO_TRIAL_SUCCEEDED
"""Exit code of a single run that diverged."""


def run_script(main: Callable[[], int]) -> None:
    """Runs a script's `main` and exits with its code, or 2 with a message for user errors, or 130 if interrupted.

    An error of a path is a user's error, wherever it occurs: options, variables and files name the paths.
    """
    with robust_streams() as output:
        code = _exit_code(main)
        if problems := output.problems():
            print_problems(problems)
            code = code or BAD_INPUT
    sys.exit(code)


def _exit_code(main: Callable[[], int]) -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # nohup ignores it, and so do we then
        signal.signal(signal.SIGHUP, _interrupt)
    show_token()
    logging.basicConfig(level=logging.WARNING, handlers=[_log_handler()])
    logging.getLogger("hearai").setLevel(logging.INFO)
    try:
        require_working_directory()
        require_own_package(main)
        _check_encoding(sys.argv[1:])
        return main()
    except UserError as error:
        print_problems(error.problems)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the state is saved\n")
        return INTERRUPTED
    except SystemExit as end:  # argparse, after a help text or a message
        if isinstance(end.code, str):
            raise
        return end.code or DONE
    except (OSError, ValueError, RuntimeError) as error:
        print_problems(_problems_of_path(error))
    return BAD_INPUT


def _problems_of_path(error: OSError | ValueError | RuntimeError) -> list[str]:
    """The messages for an error of a path; all others, such as those of connections, are raised again."""
    match error:
        case OSError(errno=number, filename=None) if number in UNWRITABLE:  # of an open file: nothing says which one
            folders = f"the working directory, {os.environ.get('TMPDIR', '/tmp')}, {cache_folder()}"
            return [f"a file cannot be written ({error.strerror}); check the disks of {folders}"]
        case FileNotFoundError(filename=None) if NO_TEMPORARY_FOLDER in str(error):  # torch asks for it at its import
            return [NO_TEMPORARY_FILES]
        case OSError(errno=number) if number in UNWRITABLE:
            return disk_full(error.filename, number).problems
        case OSError(filename=str() | bytes()):
            return [path_error(error)]
        case UnicodeEncodeError(reason=reason) if reason == SURROGATES:
            return [f"{_line_around(error.object, error.start)}: {NOT_UTF8}"]
        case RuntimeError() if "determine home directory" in str(error):  # pathlib's; Ray asks for it as well
            return [NO_HOME]
        case ValueError() if "embedded null" in str(error):
            return [f"a path contains a NUL character ({error}); remove it from the option or file that names it"]
    raise error


NO_TEMPORARY_FOLDER = "No usable temporary directory"
"""How `tempfile` says that no folder takes temporary files."""
NO_TEMPORARY_FILES = (
    "no folder takes temporary files: TMPDIR, /tmp, /var/tmp and the working directory are missing, read-only or full; "
    "set TMPDIR to a writable folder"
)
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

    console = Console(stderr=True)  # its `is_terminal` is true for a pipe where FORCE_COLOR is set
    return lambda items, total: track(
        items, text, total=total, console=console, transient=True, disable=not sys.stderr.isatty()
    )


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
