"""What a driver has done on other nodes before the first trial: a look around, pre-training, features.

Everything sent and returned is plain, so that a node with other versions of things can still say so.
"""

import os
import platform
import socket
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import LocalRayletDiedError, NodeDiedError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hearai.config.config import Config, build_config, to_dict
from hearai.config.overrides import override
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.data.demo import demo_dataset
from hearai.errors import UserError
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.context import assigned_gpu, localise
from hearai.training.feature_cache import ensure_features
from hearai.training.fit import fit
from hearai.training.outputs.layout import BACKBONE_FILE, backbone_file
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.prepare import with_weights
from hearai.training.setup.pretrain import ensure_backbone

ANSWER_S = 900.0
"""How long a node may look around: it may have demo data to render."""
A_LITTLE = 0.01
"""Of a GPU: what Ray must see reserved, or it hides the GPU. No trial runs there while features are computed."""


@dataclass(frozen=True)
class NodeRequest:
    """What a visitor is told."""

    configs: Sequence[Mapping[str, Any]]
    study: StudyLocation
    splits: int = 1
    content: str = ""
    """What a copy of the dataset is known by."""
    demo_clips: int | None = None
    """Of the built-in data, which every node renders for itself; None = the user's own."""
    marker: tuple[str, str] = ("", "")
    """(name of a file in the storage, what it holds)"""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeReply:
    """What it found."""

    problems: Sequence[str] = ()
    notes: Sequence[str] = ()
    marker: tuple[str, str] | None = None
    """(name, content) of the file that it has left in the storage"""
    seconds: float = 0.0
    gone: bool = False
    """Whether the node has died meanwhile."""


def run_on_nodes(
    nodes: Sequence[str],
    request: Callable[[NodeRequest], NodeReply],
    about: NodeRequest,
    *,
    with_gpu: Collection[str] = (),
    answer_s: float | None = ANSWER_S,
) -> list[NodeReply]:
    """Runs the errand on each of the nodes (Ray's ids) at once.

    A node that gives no answer has a problem; one that dies meanwhile has none: nothing will be sent there.

    Args:
        with_gpu: the nodes on which it may use a GPU; it waits there for one that is not taken whole.
        answer_s: how long to wait for the last answer, in seconds; None = as long as the nodes live.
    """
    task = ray.remote(num_cpus=0, max_retries=0)(request)
    asked = [
        task.options(
            num_gpus=A_LITTLE if node in with_gpu else 0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(about)
        for node in nodes
    ]
    until, answers = None if answer_s is None else time.monotonic() + answer_s, []
    for reference in asked:
        try:
            answers.append(ray.get(reference, timeout=until and max(0.0, until - time.monotonic())))
        except (TaskUnschedulableError, NodeDiedError, LocalRayletDiedError):
            answers.append(NodeReply(notes=["died while it was asked; the search goes on without it"], gone=True))
        except RayError as error:  # GetTimeoutError is one
            reason = next(line for line in reversed(str(error).strip().splitlines() or ["no answer"]))
            within = f" within {answer_s:g} s" if answer_s else ""
            answers.append(NodeReply([f"gave no answer{within}, or died ({reason.strip()})"]))
    return answers


def versions() -> dict[str, str]:
    """Of what decides scores, on this node."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("torch", "timm", "ray")}}


def check_node(about: NodeRequest) -> NodeReply:
    """Whether trials can run on this node: its storage, dataset and weights."""
    problems: list[str] = []
    config = build_config(about.configs[0])
    left = None
    try:
        left = _marked(about)
        if about.demo_clips:
            _render_demo(config, about.demo_clips)
        if (here := load_data(config).prints.content) != about.content:
            problems.append(
                f"{', '.join(_folders(config))}: another dataset than the driver's ({here}, not {about.content})"
            )
        with_weights(config, pretraining_follows=True)
    except UserError as error:
        problems += error.problems[:5]
    mine = versions()
    other = [f"{name} {mine[name]}, not {known}" for name, known in about.versions.items() if mine[name] != known]
    notes = [f"has {', '.join(other)}: scores may differ a little from node to node"] if other else []
    return NodeReply(problems, notes, left)


def _marked(about: NodeRequest) -> tuple[str, str]:
    """Reads the driver's marker and leaves one.

    Raises:
        UserError: it cannot be read, or nothing can be written.
    """
    name, token = about.marker
    if about.study.read(name) != token:
        raise UserError(
            f"{about.study}: not the storage that the driver sees; give --storage a folder that is shared by all "
            "nodes (NFS), or s3:// or gs://"
        )
    mine = (f"{name}-{ray.get_runtime_context().get_node_id()[:12]}", socket.gethostname())
    about.study.write(*mine)
    return mine


def _render_demo(config: Config, clips: int) -> None:
    place = Path(_folders(config)[0])
    try:
        demo_dataset(clips=clips, root=place.parent)
    except OSError as error:
        raise UserError(f"{place}: the demo data cannot be rendered there ({error.strerror or error})") from None


def _folders(config: Config) -> list[str]:
    return [str(getattr(folder, "path", folder)) for folder in config.general_parameters.data_path]


def compute_features(about: NodeRequest) -> NodeReply:
    """What the trials of this node will look up, with a GPU of it, or all its CPUs."""
    started = time.monotonic()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        about.study.fetch([backbone_file(fold) for fold in range(about.splits)])
        for raw in about.configs:
            ensure_features(localise(_with_gpu_of_ray(raw), about.study))
    except UserError as error:
        return NodeReply(error.problems[:5])
    return NodeReply(seconds=time.monotonic() - started)


def pretrain_somewhere(config: Config, settings: Pretrain, *, cpus: float, gpus: float) -> tuple[str, bytes, float]:
    """Pre-trains on whatever node has room: (its host, the backbone's file, seconds).

    Raises:
        UserError: the node was lost, or pre-training failed; why.
    """
    task = ray.remote(num_cpus=cpus, num_gpus=gpus)(_pretrain)
    try:
        return ray.get(task.remote(to_dict(config), settings.model_dump(), max(1, int(cpus))))
    except ray.exceptions.RayTaskError as error:
        raise UserError(f"pre-training on the cluster: {str(error).strip().splitlines()[-1]}") from None


def train_somewhere(config: Config, study: StudyLocation, run: str, resume: bool, *, cpus: float, gpus: float) -> str:
    """One run on whatever node has room, into the folder `run` of the study; its host.

    A node that dies is replaced by another, which goes on.

    Raises:
        UserError: the run failed; why.
    """
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=3)(_train)
    try:
        return ray.get(task.remote(to_dict(config), study, run, resume, max(1, int(cpus))))
    except RayError as error:
        raise UserError(f"{study}/{run}: {str(error).strip().splitlines()[-1]}") from None


def _train(raw: Mapping[str, Any], study: StudyLocation, run: str, resume: bool, threads: int) -> str:
    torch.set_num_threads(threads)
    config, folder = localise(build_config(raw), study), study.local() / run
    store = study.store.below(run) if study.store else None
    if store and resume:
        store.pull(folder)
    fit(config, LocalRuntime(choose_device(assigned_gpu(config)), folder, resume=resume))
    if store:
        store.push(folder)
    return socket.gethostname()


def _pretrain(raw: Mapping[str, Any], settings: Mapping[str, Any], threads: int) -> tuple[str, bytes, float]:
    started = time.monotonic()
    torch.set_num_threads(threads)
    config = _with_gpu_of_ray(raw)
    with tempfile.TemporaryDirectory(prefix="hearai-") as scratch:
        out = Path(scratch) / BACKBONE_FILE
        ensure_backbone(config, load_data(config), Pretrain(**settings), out)
        return socket.gethostname(), out.read_bytes(), time.monotonic() - started


def _with_gpu_of_ray(raw: Mapping[str, Any]) -> Config:
    """The config, on the GPU that Ray lets this process see: whatever its number is elsewhere."""
    config = build_config(raw)
    return override(config, {"general_parameters.gpu": assigned_gpu(config)})
