"""Evaluates a model against labels: during a run, and on a split after it.

B clips, K classes, P pairs of classes, W workers.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from hearai.config.config import Config
from hearai.data.dataset import Batch
from hearai.models.model import SignModel
from hearai.training.batches import on_device
from hearai.training.optim.loss import build_loss, head_losses, trained_heads, weighted_loss
from hearai.training.optim.torch_options import autocast
from hearai.training.outputs.confusion import Confusion
from hearai.training.outputs.ranks import Ranks, ranks_of
from hearai.training.runtime import Runtime
from hearai.training.scores import Evaluation


@torch.no_grad()
def evaluate(
    model: SignModel, batches: Iterable[Batch], config: Config, runtime: Runtime, *, ranks: bool = False
) -> Evaluation:
    """Loss and confusions over all batches of all workers. Every head is scored, trained or not.

    ranks: also those of the true classes. Each epoch needs them only where the objective is made of them.
    """
    model.eval()
    trained, weights = trained_heads(config, runtime.device)
    loss = build_loss(config, runtime.device)
    losses = torch.zeros(2, len(trained), dtype=torch.float64, device=runtime.device)
    num_class: dict[str, int] = {}
    found: dict[str, list[Tensor]] = {}
    for batch in batches:
        batch = on_device(batch, runtime.device)
        with autocast(config, runtime.device):
            logits = model(batch.inputs, batch.mask)
        losses += torch.stack(head_losses(logits, batch.labels, trained, loss))
        for head, logits_BK in logits.items():
            num_class[head] = logits_BK.shape[-1]
            labels_B = batch.labels[head]
            rows = [labels_B, logits_BK.argmax(-1)] + ([ranks_of(logits_BK, labels_B)] if ranks else [])
            found.setdefault(head, []).append(torch.stack(rows))
    sums, counts = runtime.sum(losses)
    own, own_ranks, predictions = {}, {}, {}
    for head, parts in found.items():
        labels, predicted, *rank = torch.cat(parts, dim=1).cpu()
        predictions[head] = predicted
        own[head] = Confusion.count(predicted, labels, num_class[head])
        if ranks:
            own_ranks[head] = Ranks.count(rank[0], labels, num_class[head]).counts
    labelled = {head: one for head, one in sum_over_workers(own, runtime).items() if one.clips > 0}
    counts_of_ranks = sum_over_workers(own_ranks, runtime) if ranks else {}
    ranked = {head: Ranks(num_class[head], counts_of_ranks[head]) for head in labelled if ranks}
    return Evaluation(float(weighted_loss(sums, counts, weights)), labelled, ranked, predictions)


def sum_over_workers(confusions: Mapping[str, Confusion], runtime: Runtime) -> dict[str, Confusion]:
    """{head: counts of all workers}; every worker calls it, with the same heads in the same order.

    Workers hold different numbers of pairs: each writes its own rows of a table that is summed, so that only
    `Runtime.sum` is needed, and integers stay exact.
    """
    if runtime.world == 1:
        return dict(confusions)
    rows_P3 = torch.cat(
        [
            torch.stack([torch.full_like(one.cells_P, number), one.cells_P, one.counts_P], dim=1)
            for number, one in enumerate(confusions.values())
        ]
    )
    sizes_W = torch.zeros(runtime.world, dtype=torch.int64)
    sizes_W[runtime.rank] = len(rows_P3)
    table_WP3 = torch.zeros(runtime.world, int(runtime.sum(sizes_W).max()), 3, dtype=torch.int64)
    table_WP3[runtime.rank, : len(rows_P3)] = rows_P3
    heads, cells, counts = runtime.sum(table_WP3).flatten(0, 1).unbind(1)
    summed = {}
    for number, (head, one) in enumerate(confusions.items()):
        of_head = (heads == number) & (counts > 0)  # rows that a worker did not fill have no count
        summed[head] = Confusion.of_counts(cells[of_head], counts[of_head], one.num_class)
    return summed
