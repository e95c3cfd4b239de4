"""Class probabilities of clips, which need no labels. B clips of a batch, N clips in all, K classes."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.dataset import Batch, build_dataset, build_loader
from hearai.models.model import SignModel
from hearai.training.batches import on_device
from hearai.training.inference.trained_model import TrainedModel
from hearai.training.optim.torch_options import autocast


@torch.no_grad()
def predict(model: SignModel, batches: Iterable[Batch], config: Config, device: torch.device) -> dict[str, Tensor]:
    """{head: probabilities (N, K)} on the CPU, in the order of the batches' clips."""
    model.eval()
    parts: dict[str, list[Tensor]] = {}
    for batch in batches:
        batch = on_device(batch, device)
        with autocast(config, device):
            logits = model(batch.inputs, batch.mask)
        for head, logits_BK in logits.items():
            parts.setdefault(head, []).append(logits_BK.float().softmax(-1).cpu())
    return {head: torch.cat(probabilities) for head, probabilities in parts.items()}


def predict_clips(trained: TrainedModel, clips: Sequence[Clip]) -> dict[str, Tensor]:
    """{head: probabilities (N, K)} of clips.

    Raises:
        DataError: an image or a landmark file is missing or broken.
    """
    dataset = build_dataset(trained.config, clips, train=False)
    batch_size = trained.config.train_parameters.batch_size
    return predict(
        trained.model,
        build_loader(dataset, batch_size=batch_size, shuffle_seed=None),
        trained.config,
        trained.device,
    )
