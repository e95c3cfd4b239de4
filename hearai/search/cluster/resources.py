"""TODO."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import ray
from ray._private.state import state

from hearai.errors import ConfigError


class NoRoom(ConfigError):
    """A cluster can never carry a trial."""


@dataclass(frozen=True)
class TrialResources:
    """What one trial asks for."""

    workers: int = 1
    cpus: float = 1
    """Per worker."""
    gpus: float = 0
    """Per worker; a fraction only with one worker."""

    def __str__(self) -> str:
        room = some(self.cpus, "CPU")
        if self.gpus:
            room += f", {some(self.gpus, 'GPU')}"
        return f"{self.workers} x ({room})" if self.workers > 1 else room

    @property
    def threads(self) -> int:
        """torch's threads in each worker: as many as CPUs, or trials would fight over the cores."""
        return max(1, int(self.cpus))

    def workers_on(self, cpus: float, gpus: float) -> int:
        """How many workers a machine has room for."""
        room = cpus / self.cpus
        if self.gpus:
            room = min(room, gpus / self.gpus)
        return int(room + 1e-6)


@dataclass(frozen=True)
class Cluster:
    """What there is."""

    nodes: Sequence[tuple[float, float]]
    """(CPUs, GPUs) of each machine."""
    dashboard: str | None
    """http address of the dashboard."""
    is_shared: bool = False
    """Whether it was there before this search, and others may be on it."""
    growth: Sequence[tuple[float, float]] = ()
    """(CPUs, GPUs) of each machine that an autoscaler may have in the end; none without one."""

    def __str__(self) -> str:
        now = _room(self.cpus, self.gpus)
        if len(self.nodes) > 1:
            now += f" on {len(self.nodes)} nodes"
        most = _room(sum(cpus for cpus, _ in self.growth), sum(gpus for _, gpus in self.growth))
        return f"{now} (grows to {most})" if self.growth else now

    @property
    def cpus(self) -> float:
        """Of all machines."""
        return sum(cpus for cpus, _ in self.nodes)

    @property
    def gpus(self) -> float:
        """Of all machines."""
        return sum(gpus for _, gpus in self.nodes)

    def slots(self, resources: TrialResources, at_most: int | None = None) -> int:
        """How many trials run at once.

        Raises:
            NoRoom: not even one ever fits.
            ConfigError: it asks for what cannot work.
        """
        if resources.workers > 1 and resources.gpus % 1:
            raise ConfigError(
                f"--gpus-per-trial {resources.gpus:g} with --workers-per-trial {resources.workers}: two workers cannot "
                "share a GPU; give a whole number"
            )
        if resources.workers > 1 and not self.dashboard:
            raise ConfigError(
                "--workers-per-trial: Ray's dashboard is not running, without which stopped groups keep their "
                "GPUs; start the cluster with it (pip install 'ray[default]')"
            )
        machines = [*self.growth] or [*self.nodes]
        fits = sum(resources.workers_on(cpus, gpus) for cpus, gpus in machines) // resources.workers
        if fits < 1:
            need = f"{resources.workers} x ({_room(resources.cpus, resources.gpus)})"
            raise NoRoom(
                f"a trial needs {need}, the cluster has {_counted(machines)}; lower --workers-per-trial, "
                "--cpus-per-trial or --gpus-per-trial"
            )
        return min(fits, at_most or fits)


def some(number: float, noun: str) -> str:
    """`1 CPU`, `2 CPUs`."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def _room(cpus: float, gpus: float) -> str:
    return f"{some(cpus, 'CPU')}, {some(gpus, 'GPU')}"


def _counted(machines: Sequence[tuple[float, float]]) -> str:
    """`2 x (4 CPUs, 1 GPU) + (8 CPUs, 0 GPUs)`."""
    kinds = Counter(machines)
    return " + ".join(f"{f'{count} x ' if count > 1 else ''}({_room(*kind)})" for kind, count in kinds.items())


JOIN_TIMEOUT_S = 25.0
"""How long nodes may take to join a cluster that has no room for a trial yet."""


def wait_for_room(cluster: Cluster, resources: TrialResources, at_most: int | None) -> tuple[Cluster, int]:
    """The cluster as soon as a trial fits, and how many run at once.

    Raises:
        NoRoom: after half a minute not even one fits.
        ConfigError: it asks for what cannot work.
    """
    until = time.monotonic() + (JOIN_TIMEOUT_S if cluster.is_shared else 0)
    while True:
        try:
            return cluster, cluster.slots(resources, at_most)
        except NoRoom:
            if time.monotonic() > until:
                raise
        time.sleep(1)
        cluster = replace(cluster, nodes=_machines(), growth=_growth())


def _machines() -> list[tuple[float, float]]:
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(machine.get("CPU", 0), machine.get("GPU", 0)) for machine in machines]


def _growth() -> list[tuple[float, float]]:
    """The machines that an autoscaler may start, as it has told Ray; not public, as nothing public says it."""
    config = state.get_cluster_config()
    kinds = config.node_group_configs if config else ()
    return [
        (kind.resources.get("CPU", 0), kind.resources.get("GPU", 0))
        for kind in kinds
        for _ in range(min(kind.max_count, MANY) if kind.max_count >= 0 else MANY)
    ]


MANY = 1000
"""Machines of a kind that has no limit."""
