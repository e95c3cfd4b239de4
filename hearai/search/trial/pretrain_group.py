"""Pre-training by several workers, one on each GPU: a Ray Train worker group, which a task drives."""

import functools
import logging
import shutil
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.train
from ray.train import TrainingFailedError, WorkerGroupError

from hearai.config.config import Config, build_config
from hearai.config.model_parts.code_folder import use_sent_code
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import Data
from hearai.errors import UserError
from hearai.files import atomic_write
from hearai.models.backbones.batch_norm import has_batch_norms
from hearai.models.feature_extractors import build_extractor
from hearai.search.storage.layout import PRETRAINING
from hearai.search.trial.pretrain_task import PretrainSpec, lines_to, trained_backbone
from hearai.search.trial.worker_group import GroupMember, GroupSize, run_group
from hearai.threads import usable_cores
from hearai.training.optim.torch_options import use_threads
from hearai.training.outputs.layout import BACKBONE_FILE, LAST
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.backbone_cache import SharedEpochs
from hearai.training.setup.pretrain import pretrain
from hearai.training.setup.stills import stills_bytes

log = logging.getLogger(__name__)

MIN_FRAMES = 16
"""Of each batch, for each worker: with fewer it would mostly wait for the others."""
PROCESS_BYTES = 3e9
"""Memory of a worker without its frames: libraries, model, batches."""
RETRIED = (TrainingFailedError,)
"""Errors of a task after which it is started again, and resumes: a worker died."""


def group_size(config: Config, settings: Pretrain, available: int, *, clips: int, on_gpu: bool) -> int:
    """How many of the available workers pre-train together; 1 = a group gains nothing, or cannot give the same result.

    Args:
        clips: that are trained on; they have at least as many frames.
        on_gpu: whether each worker has a GPU.
    """
    workers = max(1, min(available, min(settings.batch_size, clips) // MIN_FRAMES))
    if workers > 1 and not on_gpu:
        extractor = build_extractor(config.feature_extractor, pretrained=False)
        if has_batch_norms(extractor.backbone):
            log.info("pre-training by one worker: on CPUs several cannot share the statistics of batch norms")
            return 1
    return workers


def worker_memory(config: Config, data: Data) -> float:
    """Bytes of memory that a worker needs: it reads all frames, and batches are drawn from all of them."""
    return PROCESS_BYTES + sum(stills_bytes(config, part) for part in (data.split.train, data.split.val))


def pretrain_group(spec: PretrainSpec) -> tuple[str, bytes, float]:
    """Pre-trains by a group of workers: (this host's name, content of the backbone's file, seconds).

    A backbone in this node's cache is taken from there, and one that has been trained is kept there.

    Raises:
        UserError: it diverged, or the storage or a node's disk cannot be written.
        TrainingFailedError: a worker died; the next call resumes.
    """
    use_sent_code(spec.code)
    return trained_backbone(spec, build_config(spec.config), functools.partial(_train, spec))


def _train(
    spec: PretrainSpec, config: Config, settings: Pretrain, folder: Path, key: str, shared: SharedEpochs | None
) -> None:
    """A `TrainBackbone` by the group; what it saves is in the study, where its first worker finds it again."""
    own = spec.study.local() / PRETRAINING / Path(spec.name).stem / "ray"
    size = GroupSize(spec.workers, spec.cpus, spec.gpus)
    try:
        content = run_group(pretrain_worker, replace(spec, key=key).to_dict(), size, own)
    except WorkerGroupError as error:
        raise _users_error(error) or error from None
    finally:
        shutil.rmtree(own, ignore_errors=True)
    with atomic_write(folder / BACKBONE_FILE) as temporary:
        temporary.write_bytes(content)
    shutil.rmtree(folder / LAST, ignore_errors=True)  # of an earlier attempt on this node alone


def _users_error(error: WorkerGroupError) -> UserError | None:
    """What the user must fix, if that is why a worker failed."""
    return next((failure for failure in error.worker_failures.values() if isinstance(failure, UserError)), None)


class PretrainRuntime(GroupMember, LocalRuntime):
    """The runtime of a worker that pre-trains."""

    def __init__(self, config: Config, folder: Path):
        GroupMember.__init__(self, config)
        LocalRuntime.__init__(self, self.device, folder)


def pretrain_worker(config: dict[str, Any]) -> bytes | None:
    """The function of each worker; the content of the backbone's file on rank 0.

    config: a `PretrainSpec` as a dictionary.
    """
    spec, is_first = PretrainSpec(**config), ray.train.get_context().get_world_rank() == 0
    use_sent_code(spec.code)
    # Trials have not begun: all cores of the node read frames, as those of the driver do when it pre-trains alone.
    use_threads(max(spec.threads, usable_cores() // ray.train.get_context().get_local_world_size()))
    saved, model_config = spec.saved, build_config(spec.config)
    with (
        tempfile.TemporaryDirectory(prefix="hearai-") as scratch,
        lines_to(saved) if is_first else nullcontext(),
    ):
        folder = Path(scratch)
        if is_first:
            saved.fetch(folder)
        out = pretrain(
            model_config,
            PretrainRuntime(model_config, folder),
            folder / BACKBONE_FILE,
            Pretrain(**spec.settings),
            key=spec.key,
            after_save=functools.partial(saved.send, folder),
        )
        return out.read_bytes() if is_first else None
