"""Evaluates a model against labels: during a run, and on a split after it."""

from collections.abc import Iterable

import torch
from torch import Tensor

from hearai.config.config import Config
from hearai.data.dataset import Batch
from hearai.models.model import SignModel
from hearai.training.batches import on_device
from hearai.training.optim.loss import head_losses, trained_heads, weighted_loss
from hearai.training.optim.torch_options import autocast
from hearai.training.runtime import Runtime
from hearai.training.scores import Evaluation, confusion


@torch.no_grad()
def evaluate(model: SignModel, batches: Iterable[Batch], config: Config, runtime: Runtime) -> Evaluation:
    """Loss and confusion matrices over all batches of all workers. Every head is scored, trained or not."""
    model.eval()
    trained, weights = trained_heads(config, runtime.device)
    losses = torch.zeros(2, len(trained), dtype=torch.float64, device=runtime.device)
    matrices: dict[str, Tensor] = {}
    for batch in batches:
        batch = on_device(batch, runtime.device)
        with autocast(config, runtime.device):
            logits = model(batch.inputs, batch.mask)
        losses += torch.stack(head_losses(logits, batch.labels, trained, config.train_parameters.loss))
        for head, logits_BK in logits.items():
            matrix_KK = confusion(logits_BK.argmax(-1), batch.labels[head], logits_BK.shape[-1])
            matrices[head] = matrices[head] + matrix_KK if head in matrices else matrix_KK
    sums, counts = runtime.sum(losses)
    matrices = {head: runtime.sum(matrix).cpu() for head, matrix in matrices.items()}
    labelled = {head: matrix for head, matrix in matrices.items() if matrix.sum() > 0}
    return Evaluation(float(weighted_loss(sums, counts, weights)), labelled)
