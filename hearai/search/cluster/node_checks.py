"""The nodes of a cluster are looked at before a trial goes there: storage, dataset, weights, code.

Each node is visited by a task that is bound to it and asks for no CPU. Caches belong to the nodes: each computes the
features that its trials look up, with a GPU or all its CPUs, while no trial runs.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from hearai.cli import Print
from hearai.config.config import Config, to_dict
from hearai.errors import UserError
from hearai.files import replacing
from hearai.search.cluster.node_tasks import (
    NodeRequest,
    check_node,
    compute_features,
    pretrain_somewhere,
    run_on_nodes,
    train_somewhere,
    versions,
)
from hearai.search.cluster.resources import TrialResources, some
from hearai.search.plan import Plan, prepare_inputs
from hearai.search.retrain import Train, train_here
from hearai.search.storage.study_sync import StudySync
from hearai.training.feature_cache import epochs_on_features
from hearai.training.outputs.layout import backbone_file
from hearai.training.setup.cross_validation import split_configs

KINDS = ("CPU", "GPU")


@dataclass(frozen=True)
class Node:
    """A living node."""

    id: str
    name: str
    is_ours: bool
    """Whether the driver runs on it."""
    cpus: float
    gpus: float


def living_nodes() -> list[Node]:
    """All nodes that can carry a worker, and the driver's own even if it cannot."""
    ours = ray.get_runtime_context().get_node_id()
    nodes = [
        Node(node["NodeID"], _name(node), node["NodeID"] == ours, *(node["Resources"].get(kind, 0) for kind in KINDS))
        for node in ray.nodes()
        if node["Alive"]
    ]
    return [node for node in nodes if node.cpus or node.is_ours]


def _name(node: Mapping[str, Any]) -> str:
    """That which it was started with, else its host's: an address alone tells little."""
    named = node["NodeName"] != node["NodeManagerAddress"]
    return node["NodeName"] if named else node["NodeManagerHostname"]


def prepare_inputs_everywhere(plan: Plan, sync: StudySync, resources: TrialResources, print_line: Print) -> float:
    """Checks every node, pre-trains on one of them, computes features on each; the seconds of the last two.

    A cluster of one node is this machine.

    Raises:
        UserError: what is wrong with each node.
    """
    nodes = living_nodes()
    others = [node for node in nodes if not node.is_ours]
    if not others:
        seconds = prepare_inputs(plan, sync.folder)
        sync.publish()
        return seconds
    for line in check_nodes(plan, sync, others):
        print_line(line)
    splits = plan.study.settings.splits
    starts = enumerate(split_configs(plan.start, splits))
    seconds = sum(
        _pretrained(plan, start, sync.folder / backbone_file(i), resources, print_line) for i, start in starts
    )
    sync.publish()
    with_room = [node for node in nodes if resources.workers_on(node.cpus, node.gpus)]
    return round(seconds + _features(plan, sync, with_room, print_line), 3)


def check_nodes(plan: Plan, sync: StudySync, nodes: Sequence[Node]) -> list[str]:
    """What is worth saying of nodes on which trials can run.

    Raises:
        UserError: a node does not see the storage, lacks the dataset or has another one, or has not the weights.
    """
    marker, token = f"marker-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    request = NodeRequest(
        [to_dict(plan.start)],
        sync.study,
        content=plan.data.prints.content,
        demo_clips=plan.demo_clips,
        marker=(marker, token),
        versions=versions(),
    )
    with sync.marked(marker, token) as written_by:
        answers = run_on_nodes([node.id for node in nodes], check_node, request)
        problems = {node: list(answer.problems) for node, answer in zip(nodes, answers, strict=True)}
        for node, answer in zip(nodes, answers, strict=True):
            if answer.marker and not written_by(answer.marker):
                problems[node].append(f"{sync}: what this node writes there cannot be read by the driver")
    _raise(problems)
    said = zip(nodes, answers, strict=True)
    notes = [f"  node {node.name}: {note}" for node, answer in said for note in answer.notes]
    clips = len(plan.data.clips)
    there = 1 + sum(not answer.gone for answer in answers)
    return [f"{there} nodes: all see the storage and the same {clips:,} clips", *dict.fromkeys(notes)]


def train_on(sync: StudySync, resources: TrialResources, print_line: Print) -> Train:
    """What trains a run on a node with room for a trial's worker, or here where there is no other node."""

    def train(config: Config, run: Path, resume: bool) -> None:
        if len(living_nodes()) == 1:
            return train_here(config, run, resume)
        room = {"cpus": resources.cpus, "gpus": resources.gpus}
        print_line(f"trained on {train_somewhere(config, sync.study, run.name, resume, **room)}")
        sync.fetch_run(run.name)

    return train


def _raise(problems: dict[Node, list[str]]) -> None:
    if lines := [f"node {node.name}: {line}" for node, found in problems.items() for line in found]:
        raise UserError(list(dict.fromkeys(lines)))


def _pretrained(plan: Plan, start: Config, out: Path, resources: TrialResources, print_line: Print) -> float:
    """Puts the backbone that a division starts from at `out`, if there is one to be had; the seconds it took."""
    if plan.pretrain is None or out.exists():
        return 0.0
    print_line(f"pre-training {start.feature_extractor.model_path} on a node of the cluster")
    host, weights, seconds = pretrain_somewhere(start, plan.pretrain, cpus=resources.cpus, gpus=resources.gpus)
    print_line(f"pre-trained on {host} in {seconds:.0f} s")
    with replacing(out) as temporary:
        temporary.write_bytes(weights)
    return seconds


def _features(plan: Plan, sync: StudySync, nodes: Sequence[Node], print_line: Print) -> float:
    """Computes on each of the nodes what trials will look up there; the seconds that the slowest took."""
    base, splits = plan.study.base, plan.study.settings.splits
    if not epochs_on_features(base, plan.data):
        return 0.0
    print_line(f"features of every frame: what is not there yet is computed on {some(len(nodes), 'node')}")
    request = NodeRequest([to_dict(config) for config in split_configs(base, splits)], sync.study, splits=splits)
    gpus = [node.id for node in nodes if node.gpus and base.general_parameters.gpu >= 0]
    answers = run_on_nodes([node.id for node in nodes], compute_features, request, with_gpu=gpus, answer_s=None)
    _raise({node: answer.problems for node, answer in zip(nodes, answers, strict=True)})
    return max((answer.seconds for answer in answers), default=0.0)
