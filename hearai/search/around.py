"""What surrounds the run of a trial in its process: its folder, its log, who hears its reports, who may end it.

The same for a trial alone in a Tune actor and for each worker of a Ray Train group.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import ray
import torch

from hearai.search.drain import Notice, preemption_notice
from hearai.search.fault_log import fault_log
from hearai.search.gauges import Told, trial_gauges
from hearai.search.on_node import Place, trial_place
from hearai.search.trial_folder import LOG, trial_log


@dataclass(frozen=True)
class Around:
    """The surroundings of one worker."""

    place: Place
    study: str | None
    notice: Notice
    """Whether this node is being taken away."""
    alive: Callable[[], None]
    gauges: Told

    def told(self, metrics: Mapping[str, float], device: torch.device) -> None:
        """To be called at each report, when the run's files are written; metrics: of the whole trial."""
        self.alive()
        self.place.send()
        self.gauges(metrics, device)


@contextmanager
def surroundings(
    payload: Mapping[str, Any], *, rank: int = 0, first_here: bool = True, wait: Callable[[], object] = lambda: None
) -> Iterator[Around]:
    """payload: see `hearai.search.trial`. first_here: whether this is the first of its worker group on its node.

    wait: for the other workers of the group, once the files are here.

    Raises:
        StoreLost: the store cannot be reached, or refuses.
    """
    with ExitStack() as stack:
        place = stack.enter_context(trial_place(payload, writes=rank == 0, fetches=first_here))
        wait()
        workers = payload.get("workers", 1)
        stack.enter_context(trial_log(place.folder, f"worker {rank} of {workers}" if workers > 1 else ""))
        # in Ray Train's local mode there is no cluster, and no notice comes
        notice = stack.enter_context(preemption_notice()) if ray.is_initialized() else Notice()
        gauges = stack.enter_context(trial_gauges(payload["study"] if rank == 0 else None, payload.get("label", "")))
        alive = stack.enter_context(fault_log(place.folder / LOG, payload["hang_seconds"]))
        yield Around(place, payload["study"], notice, alive, gauges)
