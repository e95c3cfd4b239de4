"""Class probabilities of clips, which need no labels. B clips of a batch, N clips in all, K classes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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


@torch.no_grad()
def predict(model: SignModel, batches: Iterable[Batch], config: Config, device: torch.device) -> dict[str, Tensor]:
    """{head: probabilities (N, K)} on the CPU, in the order of the batches' clips."""
    model.eval()
    parts: dict[str, list[Tensor]] = {}
    for logits in outputs_of(model, batches, config, device):
        for head, logits_BK in logits.items():
            parts.setdefault(head, []).append(logits_BK.float().softmax(-1).cpu())
    return {head: torch.cat(probabilities) for head, probabilities in parts.items()}


def predict_clips(trained: TrainedModel, clips: Sequence[Clip]) -> dict[str, Tensor]:
    """{head: probabilities (N, K)} of clips.

    Raises:
        DataError: an image or a landmark file is missing or broken.
    """
    return predict(trained.model, eval_loader(trained, clips), trained.config, trained.device)


def eval_loader(trained: TrainedModel, clips: Sequence[Clip]) -> Iterable[Batch]:
    """The batches of clips, in their order, as they are evaluated."""
    dataset = build_dataset(trained.config, clips, train=False)
    return build_loader(dataset, batch_size=trained.config.train_parameters.batch_size, shuffle_seed=None)


def predict_paths(trained: TrainedModel, paths: Sequence[Path], **reading: Any) -> dict[str, Tensor]:
    """{head: probabilities (N, K)} of frame folders and video files; arguments and errors as of `clips_of_paths`."""
    with clips_of_paths(trained, paths, **reading) as clips:
        return predict_clips(trained, clips)


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
