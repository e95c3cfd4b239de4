"""What a cluster offers and what a trial requests: CPUs, GPUs, and how many trials run at once (slots)."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import ray
from ray._private.state import state

from hearai.errors import ConfigError

JOIN_TIMEOUT_S = 25.0
"""How long to wait for nodes to join a cluster in which no trial fits yet."""
UNLIMITED_NODES = 1000
"""Assumed for a node type without an upper limit."""


class NoRoom(ConfigError):
    """A trial does not fit into the cluster."""


@dataclass(frozen=True)
class TrialResources:
    """What one trial requests."""

    workers: int = 1
    cpus: float = 1
    """Per worker."""
    gpus: float = 0
    """Per worker; a fraction only with one worker."""

    def __str__(self) -> str:
        per_worker = plural(self.cpus, "CPU")
        if self.gpus:
            per_worker += f", {plural(self.gpus, 'GPU')}"
        return f"{self.workers} x ({per_worker})" if self.workers > 1 else per_worker

    @property
    def threads(self) -> int:
        """torch's threads in each worker: one per CPU, or trials would compete for the cores."""
        return max(1, int(self.cpus))

    def workers_on(self, cpus: float, gpus: float) -> int:
        """How many workers fit on a node."""
        workers = cpus / self.cpus
        if self.gpus:
            workers = min(workers, gpus / self.gpus)
        return int(workers + 1e-6)


def room_for(worker: TrialResources, memory: float, nodes: Iterable[Mapping[str, float]]) -> int:
    """How many workers fit on nodes.

    Args:
        memory: that a worker needs, in bytes.
        nodes: the free resources of each as Ray names them: CPU, GPU, memory.
    """
    return sum(
        min(worker.workers_on(node.get("CPU", 0), node.get("GPU", 0)), int(node.get("memory", 0) / memory))
        for node in nodes
    )


@dataclass(frozen=True)
class Cluster:
    """The resources of a Ray cluster."""

    nodes: Sequence[tuple[float, float]]
    """(CPUs, GPUs) of each node."""
    dashboard: str | None
    """http address of the dashboard."""
    is_shared: bool = False
    """Whether it existed before this search, so that others may be using it."""
    growth: Sequence[tuple[float, float]] = ()
    """(CPUs, GPUs) of each node that the autoscaler may have at most; empty without an autoscaler."""

    def __str__(self) -> str:
        current = format_resources(self.cpus, self.gpus)
        if len(self.nodes) > 1:
            current += f" on {len(self.nodes)} nodes"
        limit = format_resources(sum(cpus for cpus, _ in self.growth), sum(gpus for _, gpus in self.growth))
        return f"{current} (grows to {limit})" if self.growth else current

    @property
    def cpus(self) -> float:
        """Of all nodes."""
        return sum(cpus for cpus, _ in self.nodes)

    @property
    def gpus(self) -> float:
        """Of all nodes."""
        return sum(gpus for _, gpus in self.nodes)

    def slots(self, resources: TrialResources, at_most: int | None = None) -> int:
        """How many trials run at once.

        Raises:
            NoRoom: not a single trial fits, not even after the cluster has grown.
            ConfigError: the request cannot work on any cluster, or needs the dashboard and there is none.
        """
        if resources.workers > 1 and resources.gpus % 1:
            raise ConfigError(
                f"--gpus-per-trial {resources.gpus:g} with --workers-per-trial {resources.workers}: two workers cannot "
                "share a GPU; give a whole number"
            )
        if resources.workers > 1 and not self.dashboard:
            raise ConfigError(
                "--workers-per-trial: Ray's dashboard is not running; without it, stopped worker groups do not release "
                "their GPUs. Start the cluster with the dashboard (pip install 'ray[default]')"
            )
        nodes = [*self.growth] or [*self.nodes]
        fits = sum(resources.workers_on(cpus, gpus) for cpus, gpus in nodes) // resources.workers
        if fits < 1:
            need = f"{resources.workers} x ({format_resources(resources.cpus, resources.gpus)})"
            raise NoRoom(
                f"a trial needs {need}, the cluster has {_format_nodes(nodes)}; lower --workers-per-trial, "
                "--cpus-per-trial or --gpus-per-trial"
            )
        return min(fits, at_most or fits)


def wait_for_slots(cluster: Cluster, resources: TrialResources, at_most: int | None) -> tuple[Cluster, int]:
    """(the cluster as soon as a trial fits, how many run at once).

    Raises:
        NoRoom: no trial fits after `JOIN_TIMEOUT_S`.
        ConfigError: see `Cluster.slots`.
    """
    deadline = time.monotonic() + (JOIN_TIMEOUT_S if cluster.is_shared else 0)
    while True:
        try:
            return cluster, cluster.slots(resources, at_most)
        except NoRoom:
            if time.monotonic() > deadline:
                raise
        time.sleep(1)
        cluster = replace(cluster, nodes=node_resources(), growth=autoscaler_limits())


def node_resources() -> list[tuple[float, float]]:
    """(CPUs, GPUs) of each living node of the connected cluster."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(node.get("CPU", 0), node.get("GPU", 0)) for node in resources]


def autoscaler_limits() -> list[tuple[float, float]]:
    """(CPUs, GPUs) of each node that the autoscaler may start; empty without one. Ray has no public API for this."""
    config = state.get_cluster_config()
    groups = config.node_group_configs if config else ()
    return [
        (group.resources.get("CPU", 0), group.resources.get("GPU", 0))
        for group in groups
        for _ in range(min(group.max_count, UNLIMITED_NODES) if group.max_count >= 0 else UNLIMITED_NODES)
    ]


def plural(number: float, noun: str) -> str:
    """`1 CPU`, `2 CPUs`."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def format_resources(cpus: float, gpus: float) -> str:
    """`4 CPUs, 1 GPU`."""
    return f"{plural(cpus, 'CPU')}, {plural(gpus, 'GPU')}"


def _format_nodes(nodes: Sequence[tuple[float, float]]) -> str:
    """`2 x (4 CPUs, 1 GPU) + (8 CPUs, 0 GPUs)`."""
    counts = Counter(nodes)
    return " + ".join(
        f"{f'{count} x ' if count > 1 else ''}({format_resources(*node)})" for node, count in counts.items()
    )
