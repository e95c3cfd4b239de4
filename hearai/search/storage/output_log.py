"""What a search prints, also as a file in its study folder: the reader of stdout may be gone."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hearai.cli import Print
from hearai.search.storage.layout import OUTPUT_LOG


class _Appender(logging.Handler):
    """Appends lines to a file, and ignores a full disk. It holds no open file, see `_Printer`."""

    def __init__(self, path: Path):
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        append(self._path, record.getMessage())


class _Printer:
    """Prints lines and appends them to a file. Tune pickles it with the callbacks that refer to it."""

    def __init__(self, path: Path, print_line: Print):
        self._path, self._print_line = path, print_line

    def __call__(self, line: str) -> None:
        append(self._path, line)
        self._print_line(line)


def append(path: Path, line: str) -> None:
    """Appends a line to a text file. A full disk is ignored: it is reported where files matter."""
    with suppress(OSError), path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


@contextmanager
def output_log(folder: Path, print_line: Print) -> Iterator[Print]:
    """Appends what is printed and logged within a with block to `output.log`; each call begins with its time.

    Yields the function to print lines with.
    """
    path = folder / OUTPUT_LOG
    append(path, f"--- {time.strftime('%F %T')}")
    appender, logger = _Appender(path), logging.getLogger("hearai")
    logger.addHandler(appender)
    try:
        yield _Printer(path, print_line)
    finally:
        logger.removeHandler(appender)
