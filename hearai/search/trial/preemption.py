"""Whether the node that a trial runs on is being taken away: a spot machine that is reclaimed, a node that drains.

Ray hears of it from the cloud's provider or from a SIGTERM to `ray start --block`, marks the node, gives it nothing new
to do, and leaves what runs there some 30 s or more.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray._private.state import state  # no public call tells of drains without the dashboard
from ray.exceptions import RayError

from hearai.threads import background

LOOK_S = 1.0
"""Between two looks."""


class Notice:
    """Whether a notice has come; looked at between two steps of training."""

    def __init__(self) -> None:
        self._given = threading.Event()

    def __bool__(self) -> bool:
        return self._given.is_set()

    def give(self) -> None:
        self._given.set()


@contextmanager
def watch_for_preemption() -> Iterator[Notice]:
    """Watches this process's node while the context lasts."""
    notice = Notice()
    node = ray.get_runtime_context().get_node_id()

    def watch(done: threading.Event) -> None:
        while not done.wait(LOOK_S) and not notice:
            try:
                if node in state.get_draining_nodes():
                    notice.give()
            except (RayError, ConnectionError, RuntimeError):
                continue  # the head is busy or gone; who waits for this trial will hear of that

    with background(watch):
        yield notice
