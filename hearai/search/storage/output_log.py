"""What a search prints, also as a file in its study folder: the reader of stdout may be gone."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hearai.cli import Print
from hearai.search.storage.layout import OUTPUT_LOG


class _OutputLog(logging.FileHandler):
    """It ignores a full disk, which is reported where files matter."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def output_log(folder: Path, print_line: Print) -> Iterator[Print]:
    """Appends what is printed and logged within a with block to `output.log`; each call begins with its time.

    Yields the function to print lines with.
    """
    path = folder / OUTPUT_LOG
    with path.open("a", encoding="utf-8") as file:  # raises here, not when a message is lost
        file.write(f"--- {time.strftime('%F %T')}\n")
    handler = _OutputLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("hearai")
    logger.addHandler(handler)

    def print_and_log(line: str) -> None:
        handler.handle(logging.makeLogRecord({"msg": line, "levelno": logging.INFO, "levelname": "INFO"}))
        print_line(line)

    try:
        yield print_and_log
    finally:
        logger.removeHandler(handler)
        handler.close()
