"""Tasks that the driver runs on other nodes: pre-flight checks, pre-training, features, retraining.

Arguments and results are plain values, so that a node with other versions of packages can still report that.
"""

import platform
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, Literal

import ray
from ray.exceptions import LocalRayletDiedError, NodeDiedError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hearai.cli import Print
from hearai.config.config import Config, build_config, dataset_folders, to_dict
from hearai.config.model_parts.code_folder import code_to_send
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.data.demo import demo_dataset
from hearai.errors import UserError
from hearai.search.cluster.resources import TrialResources
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.context import assigned_gpu, localise, on_assigned_gpu
from hearai.search.trial.pretrain_group import RETRIED, pretrain_group
from hearai.search.trial.pretrain_task import PretrainSpec, SavedEpochs, pretrain_task
from hearai.search.trial.worker_group import DRIVER_CPU
from hearai.threads import usable_cores
from hearai.training.features.feature_cache import ensure_features
from hearai.training.fit import fit
from hearai.training.optim.torch_options import use_threads
from hearai.training.outputs.layout import backbone_file
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.part_checks import check_own_parts
from hearai.training.setup.prepare import with_weights

REPLY_TIMEOUT_S = 900.0
"""How long the checks of a node may take: it may have to render the demo data."""
LINE_INTERVAL_S = 5.0
"""How often the driver asks what pre-training has logged."""
GPU_SHARE = 0.01
"""Of a GPU, reserved for computing features: without any, Ray hides the GPU. No trial runs there meanwhile."""


@dataclass(frozen=True)
class NodeRequest:
    """The arguments of a task on a node."""

    configs: Sequence[Mapping[str, Any]]
    study: StudyLocation
    splits: int = 1
    dataset: str = ""
    """Fingerprint of the dataset's content."""
    demo_clips: int | None = None
    """Clips of the demo data, which every node renders for itself; None = the user's own data."""
    demo_landmarks: Literal["exact", "detected"] = "exact"
    marker: tuple[str, str] = ("", "")
    """(name, content) of the file that the driver wrote to the storage."""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeReply:
    """The result of a task on a node."""

    problems: Sequence[str] = ()
    notes: Sequence[str] = ()
    marker: tuple[str, str] | None = None
    """(name, content) of the file that the node wrote to the storage."""
    seconds: float = 0.0
    has_died: bool = False
    """Whether the node died before it replied."""


def run_on_nodes(
    nodes: Sequence[str],
    task: Callable[[NodeRequest], NodeReply],
    request: NodeRequest,
    *,
    with_gpu: Collection[str] = (),
    timeout_s: float | None = REPLY_TIMEOUT_S,
) -> list[NodeReply]:
    """Runs the task on all of the nodes (Ray's ids) at the same time; their replies in the same order.

    A node that does not reply has a problem. One that dies has none: no trial will be sent there.

    Args:
        with_gpu: the nodes on which the task may use a GPU; it waits there for one that is not fully reserved.
        timeout_s: how long to wait for the last reply, in seconds; None = as long as the nodes live.
    """
    remote = ray.remote(num_cpus=0, max_retries=0)(task)
    references = [
        remote.options(
            num_gpus=GPU_SHARE if node in with_gpu else 0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(request)
        for node in nodes
    ]
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    replies: list[NodeReply] = []
    for reference in references:
        try:
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            replies.append(ray.get(reference, timeout=timeout))
        except (TaskUnschedulableError, NodeDiedError, LocalRayletDiedError):
            replies.append(NodeReply(notes=["died before it replied; the search continues without it"], has_died=True))
        except RayError as error:  # GetTimeoutError is one
            reason = (str(error).strip().splitlines() or ["no reply"])[-1].strip()
            within = f" within {timeout_s:g} s" if timeout_s else ""
            replies.append(NodeReply([f"did not reply{within}, or died ({reason})"]))
    return replies


def versions() -> dict[str, str]:
    """Versions on this node of the packages that affect scores."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("torch", "timm", "ray")}}


def check_node(request: NodeRequest) -> NodeReply:
    """Whether trials can run on this node: checks its storage, dataset and weights."""
    problems: list[str] = []
    marker = None
    try:
        config = build_config(request.configs[0])
        check_own_parts([config])
        marker = _exchange_markers(request)
        if request.demo_clips:
            _render_demo(config, request.demo_clips, request.demo_landmarks)
        if (dataset := load_data(config).fingerprints.content) != request.dataset:
            folders = ", ".join(map(str, dataset_folders(config)))
            problems.append(f"{folders}: not the driver's dataset ({dataset} instead of {request.dataset})")
        with_weights(config, pretraining_follows=True)
    except UserError as error:
        problems += error.problems[:5]
    here = versions()
    different = [
        f"{name} {here[name]} instead of {wanted}" for name, wanted in request.versions.items() if here[name] != wanted
    ]
    notes = [f"has {', '.join(different)}: scores may differ slightly between nodes"] if different else []
    return NodeReply(problems, notes, marker)


def _exchange_markers(request: NodeRequest) -> tuple[str, str]:
    """Reads the driver's marker from the storage and writes this node's.

    Raises:
        UserError: the driver's cannot be read, or the storage cannot be written.
    """
    name, content = request.marker
    if request.study.read(name) != content:
        raise UserError(
            f"{request.study}: not the driver's storage; set --storage to a folder that all nodes share (NFS), or to "
            "s3:// or gs://"
        )
    marker = (f"{name}-{ray.get_runtime_context().get_node_id()[:12]}", socket.gethostname())
    request.study.write(*marker)
    return marker


def _render_demo(config: Config, clips: int, landmarks: Literal["exact", "detected"]) -> None:
    folder = dataset_folders(config)[0]
    try:
        demo_dataset(clips=clips, root=folder.parent, landmarks=landmarks)
    except OSError as error:
        raise UserError(f"{folder}: cannot render the demo data there ({error.strerror or error})") from None


def compute_features(request: NodeRequest) -> NodeReply:
    """Computes the features that trials on this node will look up, on its GPU or all its CPUs."""
    started = time.monotonic()
    use_threads(usable_cores())
    try:
        request.study.fetch([backbone_file(fold) for fold in range(request.splits)])
        for raw in request.configs:
            ensure_features(localise(on_assigned_gpu(build_config(raw)), request.study))
    except UserError as error:
        return NodeReply(error.problems[:5])
    return NodeReply(seconds=time.monotonic() - started)


def pretrain_on_any_node(
    config: Config,
    settings: Pretrain,
    study: StudyLocation,
    name: str,
    resources: TrialResources,
    print_line: Print,
    *,
    workers: int = 1,
) -> tuple[str, bytes, float]:
    """Pre-trains on any nodes with room for the workers: (a host name, content of the backbone's file, seconds).

    If a node dies, others resume after the last complete epoch, as the next search does after an interruption. If a
    group of workers fails again and again, one worker continues.

    Args:
        name: of the backbone's file in the study.
        resources: those of one worker; of several, each has one whole GPU, if any.
        print_line: gets what pre-training logs.
        workers: at least two on CPUs need a backbone without batch norms; see `group_size`.

    Raises:
        UserError: pre-training failed, with the reason.
    """
    alone = PretrainSpec(
        to_dict(config),
        settings.model_dump(),
        str(study.folder),
        study.storage,
        name,
        threads=resources.threads,
        cpus=resources.cpus,
        gpus=resources.gpus,
        code=code_to_send(),
    )
    if workers > 1:
        spec = replace(alone, workers=workers, gpus=float(resources.gpus > 0))  # NCCL takes no two workers on one
        task = ray.remote(num_cpus=DRIVER_CPU, max_retries=3, retry_exceptions=list(RETRIED))(pretrain_group)
        try:
            return _result_of(task.remote(spec), spec.saved, print_line)
        except RayError as error:
            if isinstance(error, UserError):
                raise _failed(error) from None
            print_line(f"pre-training by {workers} workers failed ({_reason(error)}); one worker continues")
    task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=3)(pretrain_task)
    try:
        return _result_of(task.remote(alone), alone.saved, print_line)
    except RayError as error:
        raise _failed(error) from None


def _failed(error: RayError) -> UserError:
    return UserError(f"pre-training on the cluster: {_reason(error)}")


def _reason(error: RayError) -> str:
    return str(error).strip().splitlines()[-1]


def _result_of(reference: ray.ObjectRef, saved: SavedEpochs, print_line: Print) -> tuple[str, bytes, float]:
    """What a task of pre-training returns; meanwhile prints what it logs."""
    shown = ""
    while not ray.wait([reference], timeout=LINE_INTERVAL_S)[0]:
        if (line := saved.line()) != shown:
            print_line(line)
            shown = line
    return ray.get(reference)


def train_on_any_node(config: Config, study: StudyLocation, run: str, resume: bool, *, cpus: float, gpus: float) -> str:
    """Trains on any node with free resources, into the folder `run` of the study; the node's host name.

    If the node dies, another one resumes the run.

    Raises:
        UserError: the run failed, with the reason.
    """
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=3)(_train)
    try:
        return ray.get(task.remote(to_dict(config), study, run, resume, max(1, int(cpus))))
    except RayError as error:
        raise UserError(f"{study}/{run}: {_reason(error)}") from None


def _train(raw: Mapping[str, Any], study: StudyLocation, run: str, resume: bool, threads: int) -> str:
    use_threads(threads)
    config, folder = localise(build_config(raw), study), study.local() / run
    store = study.store.below(run) if study.store else None
    if store and resume:
        store.pull(folder)
    fit(config, LocalRuntime(choose_device(assigned_gpu(config)), folder, resume=resume))
    if store:
        store.push(folder)
    return socket.gethostname()
