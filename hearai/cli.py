"""Shared code of the scripts in `experiments/`: error handling, exit codes, streams, logging, argument types."""

import argparse
import errno
import io
import logging
import math
import os
import re
import signal
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

from hearai.config.limits import MAX_GPU, MAX_PROCESSES, MAX_SECONDS
from hearai.config.yaml_io import parse_yaml
from hearai.errors import ConfigError, UserError, printable
from hearai.files import UNWRITABLE, cache_folder, disk_full
from hearai.ray_auth import show_token

T = TypeVar("T")
Print = Callable[[str], None]
"""Prints one line; scripts pass it to code that must not print by itself."""

DONE, PROBLEMS_FOUND, BAD_INPUT, NO_TRIAL_SUCCEEDED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes of the scripts."""
DIVERGED = NO_TRIAL_SUCCEEDED
"""Exit code of a single run that diverged."""


MAX_COUNT = 10**9
"""Of counts without a limit of their own."""
READER_LOST = (errno.EPIPE, errno.EIO, errno.ECONNRESET, errno.ESHUTDOWN)
"""Error numbers of a pipe, terminal or socket whose reader has gone."""
FLAGS = {0: os.O_RDONLY, 1: os.O_WRONLY, 2: os.O_WRONLY}


def run_script(main: Callable[[], int]) -> None:
    """Runs a script's `main` and exits with its code, or 2 with a message for user errors, or 130 if interrupted."""
    with robust_streams() as output:
        code = _exit_code(main)
        if problems := output.problems():
            print_problems(problems)
            code = code or BAD_INPUT
    sys.exit(code)


def _exit_code(main: Callable[[], int]) -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    show_token()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("hearai").setLevel(logging.INFO)
    try:
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
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        if error.filename is None:  # of a file that is open: nothing says which one
            folders = f"the working directory, {tempfile.gettempdir()}, {cache_folder()}"
            print_problems([f"a file cannot be written ({error.strerror}); check the disks of {folders}"])
        else:
            print_problems(disk_full(error.filename, error.errno).problems)
    return BAD_INPUT


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
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a time such as 90s, 30m or 2h")
    return seconds


def integer(low: int, high: int) -> Callable[[str], int]:
    """Parses integers from `low` to `high`."""
    allowed = f"an integer of at least {low}" if high == MAX_COUNT else f"an integer from {low} to {high}"

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


def gpus(text: str) -> float:
    """Parses GPUs of a worker: a fraction of one, or a whole number."""
    value = number(0, MAX_GPU)(text)
    if value > 1 and value % 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a fraction of one GPU, or a whole number")
    return value


def positive(text: str) -> int:
    """Parses an integer of at least 1."""
    return integer(1, MAX_COUNT)(text)


def processes(text: str) -> int:
    """Parses a number of processes."""
    return integer(1, MAX_PROCESSES)(text)


def gpu_index(text: str) -> int:
    """Parses the index of a GPU; -1 = the CPU."""
    return integer(-1, MAX_GPU)(text)


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


class _Sink(io.FileIO):
    """A file descriptor that takes all output; what it can no longer write is dropped."""

    def __init__(self, descriptor: int):
        super().__init__(descriptor, "wb", closefd=False)
        self._has_reader = not stat.S_ISREG(os.fstat(descriptor).st_mode)
        self.problem: int | None = None
        """Error number of lost output that still has a reader; None = there is none."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if not (self._has_reader and error.errno in READER_LOST):
                self.problem = error.errno
            # Processes that inherit the descriptor, and code in C, would fail as well.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes


class Output:
    """Stdout and stderr of this process."""

    def __init__(self, sinks: Mapping[str, _Sink]):
        self._sinks = sinks

    def flush(self) -> None:
        """Writes what is buffered."""
        for name in self._sinks:
            getattr(sys, name).flush()

    def problems(self) -> list[str]:
        """Messages about lost output; those of stderr have nowhere to go."""
        self.flush()
        number = self._sinks["stdout"].problem if "stdout" in self._sinks else None
        lost = "so part of the output is missing; files are complete"
        return [f"standard output: cannot be written ({os.strerror(number)}), {lost}"] if number else []


@contextmanager
def robust_streams() -> Iterator[Output]:
    """Makes stdin, stdout and stderr usable within a with block, whatever they are.

    A closed one becomes the null device: otherwise the next file that is opened gets its number, and receives what
    child processes print. Output without a reader is dropped.
    """
    _open_closed_descriptors()
    before, sinks = (sys.stdin, sys.stdout, sys.stderr), {}
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  (open as long as the process)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif _descriptor(stream) == descriptor:
            sinks[name] = _Sink(descriptor)
            setattr(sys, name, _text_stream(sinks[name], stream))
    output = Output(sinks)
    try:
        yield output
    finally:
        output.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _open_closed_descriptors() -> None:
    for descriptor, flags in FLAGS.items():
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, flags)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)


def _descriptor(stream: TextIO) -> int | None:
    """The file descriptor of a stream; None for one in memory, as tests have."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def _text_stream(sink: _Sink, stream: TextIO) -> TextIO:
    """A text stream into the sink, with the settings of the stream that it replaces."""
    return io.TextIOWrapper(
        io.BufferedWriter(sink),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=getattr(stream, "write_through", False),
    )
