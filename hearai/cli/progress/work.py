"""How far long work in this process is: functions that compute say it, a view that watches shows it."""

from collections.abc import Iterator
from contextlib import contextmanager

from hearai.cli.progress.events import PhaseProgress, Show

_watchers: list[Show] = []


@contextmanager
def watching(show: Show) -> Iterator[None]:
    """Within a with block, `show` is given what `work_done` is called with."""
    _watchers.append(show)
    try:
        yield
    finally:
        _watchers.remove(show)


def work_done(phase: str, share: float, seconds_left: float | None = None) -> None:
    """Says how much of a phase is done, in [0, 1]. Costs nothing where no view watches."""
    for show in tuple(_watchers):
        show(PhaseProgress(phase, share, seconds_left))
