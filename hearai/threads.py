"""Runs a function in a background thread for the duration of a `with` block."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Work = Callable[[threading.Event], None]
"""Runs until the event is set, and checks it often."""


class BackgroundThread:
    """A daemon thread that runs `work` until `stop`.

    Threads that only watch or repeat something are started here: `run` in their stacks tells them from the one that
    does the work, see `hearai.search.trial.stack_dump`.
    """

    def __init__(self, work: Work):
        self._work, self._stopping = work, threading.Event()
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sets the event of `work` and waits until it has returned."""
        self._stopping.set()
        self._thread.join()

    def run(self) -> None:
        """The body of the thread."""
        self._work(self._stopping)


@contextmanager
def background(work: Work) -> Iterator[None]:
    """Runs `work` in a background thread for the duration of the `with` block."""
    thread = BackgroundThread(work)
    try:
        yield
    finally:
        thread.stop()
