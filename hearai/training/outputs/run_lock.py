"""Only one process trains in the folder of a single run; a second one would mix its epochs and checkpoints with it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hearai.errors import ConfigError
from hearai.threads import NO_LOCKS
from hearai.training.outputs.layout import RUN_LOCK

_in_this_process: set[Path] = set()


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Locks a run's folder for the duration of a with block; the operating system ends the lock of a killed process.

    Where the file system has no locks, the block runs without one.

    Raises:
        ConfigError: another process trains there, or another thread of this one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked_here(folder.resolve()), (folder / RUN_LOCK).open("ab") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not shared with forked loader processes
        except (BlockingIOError, PermissionError):
            raise _taken(folder) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


@contextmanager
def _locked_here(folder: Path) -> Iterator[None]:
    """The lock of a file does not keep threads of one process apart."""
    if folder in _in_this_process:
        raise _taken(folder)
    _in_this_process.add(folder)
    try:
        yield
    finally:
        _in_this_process.discard(folder)


def _taken(folder: Path) -> ConfigError:
    return ConfigError(
        f"{folder}: another process trains there; wait for its end, or give another general_parameters.path_to_save"
    )
