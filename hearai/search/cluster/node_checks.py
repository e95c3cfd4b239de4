"""Checks and prepares the nodes of a cluster before trials run there: storage, dataset, weights, package versions.

A task that is bound to its node and requests no CPU checks it. Every node has its own cache, so each computes the
features that its trials look up, on a GPU or all its CPUs, before the first trial.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray._private.state import state

from hearai.cli import Print
from hearai.cli.progress import events
from hearai.config.config import Config, to_dict
from hearai.errors import UserError
from hearai.files import atomic_write
from hearai.search.cluster.node_tasks import (
    NodeRequest,
    check_node,
    compute_features,
    pretrain_on_any_node,
    run_on_nodes,
    train_on_any_node,
    versions,
)
from hearai.search.cluster.resources import TrialResources, plural, room_for
from hearai.search.plan import Plan, prepare_inputs
from hearai.search.retrain import train_here
from hearai.search.storage.study_sync import StudySync
from hearai.search.trial.pretrain_group import group_size, worker_memory
from hearai.search.trial.pretrain_task import SavedEpochs
from hearai.training.features.feature_cache import epochs_on_features
from hearai.training.outputs.layout import BACKBONE_FILE, backbone_file
from hearai.training.setup.backbone_cache import is_backbone
from hearai.training.setup.cross_validation import fold_configs
from hearai.training.setup.starting_weights import travels, write_copy

KINDS = ("CPU", "GPU")


@dataclass(frozen=True)
class Node:
    """A living node."""

    id: str
    name: str
    is_driver: bool
    """Whether the driver runs on it."""
    cpus: float
    gpus: float


def living_nodes() -> list[Node]:
    """All nodes that can run a worker, and the driver's own even if it cannot."""
    driver = ray.get_runtime_context().get_node_id()
    nodes = [
        Node(node["NodeID"], _name(node), node["NodeID"] == driver, *(node["Resources"].get(kind, 0) for kind in KINDS))
        for node in ray.nodes()
        if node["Alive"]
    ]
    return [node for node in nodes if node.cpus or node.is_driver]


def _name(node: Mapping[str, Any]) -> str:
    """The name it was started with, else its host name: more helpful than an address."""
    has_name = node["NodeName"] != node["NodeManagerAddress"]
    return node["NodeName"] if has_name else node["NodeManagerHostname"]


def pretraining_workers(plan: Plan, resources: TrialResources) -> int:
    """How many workers can pre-train together: one on each of several GPUs that are free now, otherwise one.

    Each needs a whole GPU, its CPUs and memory for all frames, on the same node.

    resources: those of a trial's worker.
    """
    if plan.pretrain is None or not resources.gpus:
        return 1
    each, memory = replace(resources, gpus=1), worker_memory(plan.start, plan.data)
    free = state.available_resources_per_node().values()  # other searches may use the rest for days
    return max(1, room_for(each, memory, free))


def prepare_inputs_on_nodes(
    plan: Plan,
    sync: StudySync,
    resources: TrialResources,
    print_line: Print,
    show: events.Show = events.ignore,
    *,
    workers: int = 1,
) -> float:
    """Checks every node, pre-trains on one of them or several, computes features on each; the seconds of the last two.

    If the cluster has only the driver's node, all of this happens in this process, except for pre-training where
    several workers may do it.

    Args:
        workers: that may pre-train together; see `pretraining_workers`.

    Raises:
        UserError: the problems of each node.
    """
    nodes = living_nodes()
    others = [node for node in nodes if not node.is_driver]
    if not others:
        seconds = _pretrain_all(plan, sync, resources, print_line, show, workers) if workers > 1 else 0.0
        seconds += prepare_inputs(plan, sync.folder, show, shared=partial(SavedEpochs, sync.study))
        sync.publish()
        return round(seconds, 3)
    for line in check_nodes(plan, sync, others):
        print_line(line)
    if travels(plan.start):
        write_copy(plan.start, sync.folder / BACKBONE_FILE)
    seconds = _pretrain_all(plan, sync, resources, print_line, show, workers)
    sync.publish()
    show(events.PhaseStarted(events.FEATURES))
    usable = [node for node in nodes if resources.workers_on(node.cpus, node.gpus)]
    return round(seconds + _compute_features(plan, sync, usable, print_line), 3)


def check_nodes(plan: Plan, sync: StudySync, nodes: Sequence[Node]) -> list[str]:
    """Pre-flight checks of the nodes; lines to print if trials can run on all of them.

    Raises:
        UserError: a node does not see the storage, lacks the dataset or has another one, or lacks the weights.
    """
    marker, content = f"marker-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    request = NodeRequest(
        [to_dict(plan.checked_on_nodes)],
        sync.study,
        dataset=plan.data.fingerprints.content,
        demo_clips=plan.demo_clips,
        demo_landmarks=plan.study.settings.demo_landmarks,
        marker=(marker, content),
        versions=versions(),
    )
    with sync.marker(marker, content) as is_readable:
        replies = run_on_nodes([node.id for node in nodes], check_node, request)
        problems = {node: list(reply.problems) for node, reply in zip(nodes, replies, strict=True)}
        for node, reply in zip(nodes, replies, strict=True):
            if reply.marker and not is_readable(reply.marker):
                problems[node].append(f"{sync}: the driver cannot read what this node writes there")
    _raise_problems(problems)
    notes = [f"  node {node.name}: {note}" for node, reply in zip(nodes, replies, strict=True) for note in reply.notes]
    clips = len(plan.data.clips)
    alive = 1 + sum(not reply.has_died for reply in replies)
    return [f"{alive} nodes: all see the storage and the same {clips:,} clips", *dict.fromkeys(notes)]


class NodeTrainer:
    """Trains a single run on a node of the cluster, with the resources of a trial's worker."""

    def __init__(self, sync: StudySync, resources: TrialResources, print_line: Print):
        self._sync, self._resources, self._print_line = sync, resources, print_line

    def train(self, config: Config, run: Path, resume: bool) -> None:
        """Trains the config into the folder `run`; in this process if there is no other node."""
        if len(living_nodes()) == 1:
            return train_here(config, run, resume)
        cpus, gpus = self._resources.cpus, self._resources.gpus
        host = train_on_any_node(config, self._sync.study, run.name, resume, cpus=cpus, gpus=gpus)
        self._print_line(f"trained on {host}")
        self._sync.fetch_run(run.name)


def _raise_problems(problems: Mapping[Node, Sequence[str]]) -> None:
    if lines := [f"node {node.name}: {line}" for node, found in problems.items() for line in found]:
        raise UserError(list(dict.fromkeys(lines)))


def _pretrain_all(
    plan: Plan, sync: StudySync, resources: TrialResources, print_line: Print, show: events.Show, workers: int
) -> float:
    """Pre-trains the backbones that the study lacks, one for each split, if it uses any; the seconds."""
    starts = {backbone_file(i): start for i, start in enumerate(fold_configs(plan.start, plan.study.settings.splits))}
    missing = {name: start for name, start in starts.items() if not is_backbone(sync.folder / name)}
    if plan.pretrain is None or not missing:
        return 0.0
    show(events.PhaseStarted(events.PRETRAINING))
    clips, on_gpu, seconds = len(plan.data.split.train), resources.gpus > 0, 0.0
    workers = group_size(plan.start, plan.pretrain, workers, clips=clips, on_gpu=on_gpu)
    where = "on a node of the cluster" if workers == 1 else f"by {workers} workers"
    for name, start in missing.items():
        print_line(f"pre-training {start.feature_extractor.model_path} {where}")
        host, weights, took = pretrain_on_any_node(
            start, plan.pretrain, sync.study, name, resources, print_line, workers=workers
        )
        print_line(f"pre-trained{f' on {host}' if workers == 1 else ''} in {took:.0f} s")
        with atomic_write(sync.folder / name) as temporary:
            temporary.write_bytes(weights)
        SavedEpochs(sync.study, name).remove()
        seconds += took
    return seconds


def _compute_features(plan: Plan, sync: StudySync, nodes: Sequence[Node], print_line: Print) -> float:
    """Computes on each node the features that its trials will look up; the seconds of the slowest."""
    base, splits = plan.study.base, plan.study.settings.splits
    if not epochs_on_features(base, plan.data):
        return 0.0
    print_line(f"features of every frame: computing missing ones on {plural(len(nodes), 'node')}")
    request = NodeRequest([to_dict(config) for config in fold_configs(base, splits)], sync.study, splits=splits)
    gpus = [node.id for node in nodes if node.gpus and base.general_parameters.gpu >= 0]
    replies = run_on_nodes([node.id for node in nodes], compute_features, request, with_gpu=gpus, timeout_s=None)
    _raise_problems({node: reply.problems for node, reply in zip(nodes, replies, strict=True)})
    return max((reply.seconds for reply in replies), default=0.0)
