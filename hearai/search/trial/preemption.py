"""Whether the node that a trial runs on is being preempted: a spot instance that is reclaimed, a node that drains.

Ray is notified by the cloud provider, or by a SIGTERM to `ray start --block`. It then marks the node, schedules nothing
new on it, and gives the processes there about 30 s or more to finish.
"""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray._private.state import state  # no public call reports drains without the dashboard
from ray.exceptions import RayError

from hearai.threads import background

PREEMPTION_POLL_S = 1.0
"""Seconds between two polls."""


class PreemptionNotice:
    """True once this node has been given notice; checked between two steps of training."""

    def __init__(self) -> None:
        self._given = threading.Event()

    def __bool__(self) -> bool:
        return self._given.is_set()

    def give(self) -> None:
        self._given.set()


@contextmanager
def watch_for_preemption() -> Iterator[PreemptionNotice]:
    """Watches the node of this process for the duration of the `with` block."""
    notice = PreemptionNotice()
    with background(functools.partial(_poll, ray.get_runtime_context().get_node_id(), notice)):
        yield notice


def _poll(node: str, notice: PreemptionNotice, stop: threading.Event) -> None:
    while not stop.wait(PREEMPTION_POLL_S) and not notice:
        try:
            if node in state.get_draining_nodes():
                notice.give()
        except (RayError, ConnectionError, RuntimeError):
            continue  # the head is busy or lost; the driver notices that
