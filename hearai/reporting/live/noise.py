"""What libraries write to a terminal while a live view has it: into a file, which is named at the end."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TextIO

DESCRIPTORS = (1, 2)


class Noise:
    """Sends stdout and stderr of this process, and of those that it starts, into a file, until `close`.

    Python's streams and the output of libraries in C alike: both would break the lines of a live view.
    """

    def __init__(self) -> None:
        _flush()
        handle, name = tempfile.mkstemp(prefix="hearai-warnings-")
        self._path, self._start, self._temporary = Path(name), 0, True
        self._saved = [os.dup(descriptor) for descriptor in DESCRIPTORS]
        self._direct_to(handle)
        self.terminal: TextIO = os.fdopen(
            os.dup(self._saved[0]), "w", encoding=sys.stdout.encoding or "utf-8", errors="replace"
        )
        """The stream to the terminal."""

    @staticmethod
    def _direct_to(handle: int) -> None:
        for descriptor in DESCRIPTORS:
            os.dup2(handle, descriptor)
        os.close(handle)

    def move_to(self, path: Path) -> None:
        """Continues in this file, to which what was written so far is appended. It stays where it is on an error."""
        if not self._temporary:
            return
        with suppress(OSError):
            _flush()
            start = path.stat().st_size if path.exists() else 0
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(handle, self._path.read_bytes())
            self._direct_to(handle)
            self._path.unlink()
            self._path, self._start, self._temporary = path, start, False

    def close(self) -> Path | None:
        """Gives the terminal back; the file, if anything was written to it."""
        _flush()
        for descriptor, saved in zip(DESCRIPTORS, self._saved, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
        with suppress(OSError):
            self.terminal.close()
        with suppress(OSError):
            size = self._path.stat().st_size
            if size > self._start:
                return self._path
            if not size:
                self._path.unlink()
        return None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
