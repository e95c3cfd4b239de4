"""A model against labels: during a run, on a split after it, or without labels at all."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hearai.config import Config
from hearai.data.annotations import Clip
from hearai.data.dataset import Batch, build_dataset, build_loader
from hearai.data.folders import load_data
from hearai.errors import ConfigError
from hearai.models.model import SignModel
from hearai.overrides import override
from hearai.training.features import load_or_compute, shares_features
from hearai.training.feed import prepared, still_batches
from hearai.training.objective import Evaluation, confusion, head_losses, trained_heads, weighted_loss
from hearai.training.precision import autocast
from hearai.training.runtime import Runtime
from hearai.training.trained import Trained, check_classes, load_trained


@torch.no_grad()
def evaluate(model: SignModel, batches: Iterable[Batch], config: Config, runtime: Runtime) -> Evaluation:
    """Loss and confusion matrices over all batches of all workers. Every head is judged, trained or not."""
    model.eval()
    trained, weights = trained_heads(config, runtime.device)
    losses = torch.zeros(2, len(trained), dtype=torch.float64, device=runtime.device)
    matrices: dict[str, Tensor] = {}
    for batch in batches:
        batch = prepared(batch, runtime.device)
        with autocast(config, runtime.device):
            logits = model(batch.inputs, batch.mask)
        losses += torch.stack(head_losses(logits, batch.labels, trained, config.train_parameters.loss))
        for head, logits_BK in logits.items():
            found = confusion(logits_BK.argmax(-1), batch.labels[head], logits_BK.shape[-1])
            matrices[head] = matrices[head] + found if head in matrices else found
    sums, counts = runtime.sum(losses)
    matrices = {head: runtime.sum(matrix).cpu() for head, matrix in matrices.items()}
    labelled = {head: matrix for head, matrix in matrices.items() if matrix.sum() > 0}
    return Evaluation(float(weighted_loss(sums, counts, weights)), labelled)


@torch.no_grad()
def predict(model: SignModel, batches: Iterable[Batch], config: Config, device: torch.device) -> dict[str, Tensor]:
    """{head: probabilities (N, K)} on the CPU, in the order of the batches' clips."""
    model.eval()
    found: dict[str, list[Tensor]] = {}
    for batch in batches:
        batch = prepared(batch, device)
        with autocast(config, device):
            logits = model(batch.inputs, batch.mask)
        for head, logits_BK in logits.items():
            found.setdefault(head, []).append(logits_BK.float().softmax(-1).cpu())
    return {head: torch.cat(parts) for head, parts in found.items()}


def predict_clips(trained: Trained, clips: Sequence[Clip]) -> dict[str, Tensor]:
    """{head: probabilities (N, K)} of clips, which need no labels.

    Raises:
        DataError: a picture or a landmark file is missing or broken.
    """
    dataset = build_dataset(trained.config, clips, train=False)
    batch_size = trained.config.train_parameters.batch_size
    return predict(
        trained.model,
        build_loader(dataset, batch_size=batch_size, shuffle_seed=None),
        trained.config,
        trained.device,
    )


def score_split(
    checkpoint: str | Path, runtime: Runtime, *, split: str = "test", data_path: Sequence[str] = ()
) -> dict[str, Any]:
    """Scores of a run's `best` folder on a split ("train", "val" or "test") of its own data, or that in `data_path`.

    Returns {"objective", "mean_macro_f1", "mean_accuracy", "loss", "clips", "heads": {head: {"accuracy", "macro_f1"}}};
    the objective is the mean over the heads of `train_parameters.objective_heads`, "mean_macro_f1" that over all.

    Raises:
        ConfigError: no such checkpoint; or the split is empty, or has classes that the model was not built for.
    """
    trained = load_trained(checkpoint, runtime.device)
    config = trained.config
    if data_path:
        config = override(config, {"general_parameters.data_path": list(data_path)})
    data = load_data(config)
    clips = getattr(data.split, split)
    if not clips:
        raise ConfigError(f"{checkpoint}: the {split} split is empty; give a config with such clips")
    check_classes(trained, data)
    lookup = None
    if shares_features(config, data):  # a backbone that other runs share, and so its features
        lookup = load_or_compute(config, data, clips, trained.model.feature_extractor, runtime.device)
    evaluation = evaluate(trained.model, still_batches(config, clips, runtime, lookup), config, runtime)
    return {
        "objective": evaluation.score(config.train_parameters.objective_heads),
        "mean_macro_f1": evaluation.macro_f1,
        "mean_accuracy": evaluation.accuracy,
        "loss": evaluation.loss,
        "clips": len(clips),
        "heads": evaluation.heads,
    }
