"""Outputs of a model for clips, which need no labels. B clips of a batch, N in all, K classes, D width of a vector."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from hearai.config.config import Config, frame_patterns
from hearai.data.annotations.clip import Clip
from hearai.data.dataset import Batch, build_dataset, build_loader
from hearai.data.unlabelled import unlabelled_clips
from hearai.models.model import SignModel
from hearai.training.batches import on_device
from hearai.training.inference.calibration import calibrated
from hearai.training.inference.reliability import Reliability
from hearai.training.inference.trained_model import TrainedModel
from hearai.training.optim.torch_options import autocast

Output = TypeVar("Output")


def outputs_of(
    function: Callable[[Mapping[str, Tensor], Tensor], Output],
    batches: Iterable[Batch],
    config: Config,
    device: torch.device,
) -> Iterator[Output]:
    """What a model or a part of it gives for the inputs and the mask of each batch."""
    for batch in batches:
        batch = on_device(batch, device)
        with autocast(config, device):
            output = function(batch.inputs, batch.mask)
        yield output


@dataclass(frozen=True, eq=False)
class ClipOutputs:
    """What a model gives for N clips, on the CPU."""

    logits: Mapping[str, Tensor]
    """{head: (N, K)}"""
    vectors_ND: Tensor
    """Outputs of the sequence encoder, of length 1."""

    def probabilities(self, reliability: Reliability | None = None) -> dict[str, Tensor]:
        """{head: (N, K)}, calibrated by the temperatures that were measured for the model."""
        temperatures = reliability.temperatures if reliability else {}
        return {head: calibrated(logits_NK, temperatures.get(head, 1.0)) for head, logits_NK in self.logits.items()}


@torch.no_grad()
def model_outputs(model: SignModel, batches: Iterable[Batch], config: Config, device: torch.device) -> ClipOutputs:
    """The outputs for all clips, in the order of the batches; one pass gives both kinds."""
    model.eval()
    vectors: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {}

    def forward(inputs: Mapping[str, Tensor], mask_BT: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        vectors_BD = model.embed(inputs, mask_BT)
        return vectors_BD, model.heads(vectors_BD)

    for vectors_BD, logits in outputs_of(forward, batches, config, device):
        vectors.append(vectors_BD.float().cpu())
        for head, logits_BK in logits.items():
            parts.setdefault(head, []).append(logits_BK.float().cpu())
    logits = {head: torch.cat(logits) for head, logits in parts.items()}
    return ClipOutputs(logits, torch.nn.functional.normalize(torch.cat(vectors), dim=-1))


def outputs_of_clips(trained: TrainedModel, clips: Sequence[Clip]) -> ClipOutputs:
    """The outputs for clips.

    Raises:
        DataError: an image or a landmark file is missing or broken.
    """
    return model_outputs(trained.model, eval_loader(trained, clips), trained.config, trained.device)


def eval_loader(trained: TrainedModel, clips: Sequence[Clip]) -> Iterable[Batch]:
    """The batches of clips, in their order, as they are evaluated."""
    dataset = build_dataset(trained.config, clips, train=False)
    return build_loader(dataset, batch_size=trained.config.train_parameters.batch_size, shuffle_seed=None)


def predict_paths(trained: TrainedModel, paths: Sequence[Path], **reading: Any) -> dict[str, Tensor]:
    """{head: calibrated probabilities (N, K)} of frame folders and video files; arguments, errors: `clips_of_paths`."""
    with clips_of_paths(trained, paths, **reading) as clips:
        return outputs_of_clips(trained, clips).probabilities(trained.reliability)


@contextmanager
def clips_of_paths(
    trained: TrainedModel,
    paths: Sequence[Path],
    *,
    frame_pattern: str | None = None,
    keep_damaged: bool = False,
    landmark_models: Path | None = None,
) -> Iterator[list[Clip]]:
    """A clip for each frame folder (NAME/NAME_0.jpg ...) or video file, with what the model reads, within the block.

    Args:
        frame_pattern: file names in the frame folders; None = as in the model's own data, or NAME_0.jpg ...
        keep_damaged: use the readable frames of truncated and damaged videos; the log says what is wrong with them.
        landmark_models: folder of MediaPipe's models, for videos and a model on landmarks; None = the cache.

    Raises:
        DataError: every path that is not a usable clip, and why.
    """
    train = trained.config.train_parameters
    with unlabelled_clips(
        paths,
        trained.num_class,
        frames=train.frames,
        landmarks=train.landmarks,
        needs_fps=train.time is not None,
        keep_damaged=keep_damaged,
        frame_patterns=[frame_pattern] if frame_pattern else [*frame_patterns(trained.config), None],
        landmark_models=landmark_models,
        face=trained.config.feature_extractor.reads_face,
    ) as clips:
        yield clips
