"""Standard streams that are usable whatever they are: closed, full, or without a reader."""

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

READER_LOST = (errno.EPIPE, errno.EIO, errno.ECONNRESET, errno.ESHUTDOWN)
"""Error numbers of a pipe, terminal or socket whose reader has gone."""
FLAGS = {0: os.O_RDONLY, 1: os.O_WRONLY, 2: os.O_WRONLY}


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
