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

from hearai.config import Config, to_dict
from hearai.errors import UserError
from hearai.files import replacing
from hearai.search.cluster import PerTrial, some
from hearai.search.errands import (
    Errand,
    compute_features,
    look,
    pretrain_somewhere,
    train_somewhere,
    versions,
    visit,
)
from hearai.search.live import Say
from hearai.search.mirror import Mirror
from hearai.search.plan import Plan, provide
from hearai.search.retrain import Train, train_here
from hearai.training.features import epochs_on_features
from hearai.training.splits import backbone_file, split_configs

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


def provide_everywhere(plan: Plan, mirror: Mirror, per_trial: PerTrial, say: Say) -> float:
    """Checks every node, pre-trains on one of them, computes features on each; the seconds of the last two.

    A cluster of one node is this machine.

    Raises:
        UserError: what is wrong with each node.
    """
    nodes = living_nodes()
    others = [node for node in nodes if not node.is_ours]
    if not others:
        seconds = provide(plan, mirror.folder)
        mirror.publish()
        return seconds
    for line in check_nodes(plan, mirror, others):
        say(line)
    splits = plan.study.settings.splits
    starts = enumerate(split_configs(plan.start, splits))
    seconds = sum(_pretrained(plan, start, mirror.folder / backbone_file(i), per_trial, say) for i, start in starts)
    mirror.publish()
    with_room = [node for node in nodes if per_trial.workers_on(node.cpus, node.gpus)]
    return round(seconds + _features(plan, mirror, with_room, say), 3)


def check_nodes(plan: Plan, mirror: Mirror, nodes: Sequence[Node]) -> list[str]:
    """What is worth saying of nodes on which trials can run.

    Raises:
        UserError: a node does not see the storage, lacks the dataset or has another one, or has not the weights.
    """
    marker, token = f"marker-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    errand = Errand(
        [to_dict(plan.start)],
        mirror.study,
        content=plan.data.prints.content,
        demo_clips=plan.demo_clips,
        marker=(marker, token),
        versions=versions(),
    )
    with mirror.marked(marker, token) as written_by:
        answers = visit([node.id for node in nodes], look, errand)
        problems = {node: list(answer.problems) for node, answer in zip(nodes, answers, strict=True)}
        for node, answer in zip(nodes, answers, strict=True):
            if answer.marker and not written_by(answer.marker):
                problems[node].append(f"{mirror}: what this node writes there cannot be read by the driver")
    _raise(problems)
    said = zip(nodes, answers, strict=True)
    notes = [f"  node {node.name}: {note}" for node, answer in said for note in answer.notes]
    clips = len(plan.data.clips)
    there = 1 + sum(not answer.gone for answer in answers)
    return [f"{there} nodes: all see the storage and the same {clips:,} clips", *dict.fromkeys(notes)]


def train_on(mirror: Mirror, per_trial: PerTrial, say: Say) -> Train:
    """What trains a run on a node with room for a trial's worker, or here where there is no other node."""

    def train(config: Config, run: Path, resume: bool) -> None:
        if len(living_nodes()) == 1:
            return train_here(config, run, resume)
        room = {"cpus": per_trial.cpus, "gpus": per_trial.gpus}
        say(f"trained on {train_somewhere(config, mirror.study, run.name, resume, **room)}")
        mirror.fetch_run(run.name)

    return train


def _raise(problems: dict[Node, list[str]]) -> None:
    if lines := [f"node {node.name}: {line}" for node, found in problems.items() for line in found]:
        raise UserError(list(dict.fromkeys(lines)))


def _pretrained(plan: Plan, start: Config, out: Path, per_trial: PerTrial, say: Say) -> float:
    """Puts the backbone that a division starts from at `out`, if there is one to be had; the seconds it took."""
    if plan.pretrain is None or out.exists():
        return 0.0
    say(f"pre-training {start.feature_extractor.model_path} on a node of the cluster")
    host, weights, seconds = pretrain_somewhere(start, plan.pretrain, cpus=per_trial.cpus, gpus=per_trial.gpus)
    say(f"pre-trained on {host} in {seconds:.0f} s")
    with replacing(out) as temporary:
        temporary.write_bytes(weights)
    return seconds


def _features(plan: Plan, mirror: Mirror, nodes: Sequence[Node], say: Say) -> float:
    """Computes on each of the nodes what trials will look up there; the seconds that the slowest took."""
    base, splits = plan.study.base, plan.study.settings.splits
    if not epochs_on_features(base, plan.data):
        return 0.0
    say(f"features of every frame: what is not there yet is computed on {some(len(nodes), 'node')}")
    errand = Errand([to_dict(config) for config in split_configs(base, splits)], mirror.study, splits=splits)
    gpus = [node.id for node in nodes if node.gpus and base.general_parameters.gpu >= 0]
    answers = visit([node.id for node in nodes], compute_features, errand, with_gpu=gpus, answer_s=None)
    _raise({node: answer.problems for node, answer in zip(nodes, answers, strict=True)})
    return max((answer.seconds for answer in answers), default=0.0)
