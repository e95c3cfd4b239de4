"""What a model costs: its size, and the time of one forward pass. Measured once per run, before the first epoch.

parameters: number of weights, frozen ones included. size_mb: megabytes (10^6 bytes) of weights and buffers.
seconds_per_clip: a complete forward pass for one clip, from images on the device to logits; it includes the extractor
even where training uses cached features.
"""

import statistics
import time
from collections.abc import Sequence

import torch
from torch import nn

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data
from hearai.data.dataset import Batch, build_dataset, collate
from hearai.models.model import SignModel
from hearai.training.batches import on_device
from hearai.training.optim.torch_options import autocast
from hearai.training.runtime import Runtime

WARM_UP_PASSES = 3
"""Not timed: memory is allocated, kernels are chosen."""
MIN_PASSES, MIN_SECONDS = 15, 0.5
"""How long passes are timed: other processes on the machine come and go, so a fast pass is repeated more often."""


def costs_of(model: SignModel, config: Config, data: Data, runtime: Runtime) -> dict[str, float]:
    """{"parameters", "size_mb"}, and "seconds_per_clip" where `general_parameters.measure_speed` asks for it.

    Seconds are those of the run's own device, threads and precision; the mean over its workers.
    """
    costs = size_of(model)
    if config.general_parameters.measure_speed:
        seconds = seconds_per_clip(model, one_clip(config, data.split.val), config, runtime.device)
        costs["seconds_per_clip"] = float(runtime.sum(torch.tensor(seconds, dtype=torch.float64))) / runtime.world
    return costs


def size_of(model: nn.Module) -> dict[str, float]:
    """{"parameters": number of weights, frozen or not; "size_mb": bytes of its state dict / 10^6}."""
    tensors = model.state_dict().values()
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "size_mb": sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6,
    }


def one_clip(config: Config, clips: Sequence[Clip]) -> Batch:
    """A batch of the clip of median length, read as for an evaluation, with its images."""
    ranked = sorted(clips, key=lambda clip: (clip.end - clip.start, clip.key))
    return collate([build_dataset(config, [ranked[len(ranked) // 2]], train=False)[0]])


@torch.no_grad()
def seconds_per_clip(model: SignModel, batch: Batch, config: Config, device: torch.device) -> float:
    """Seconds of a forward pass for `batch` (one clip) in evaluation mode; the model is left as it was.

    The lower decile of many passes: the time of a pass that nothing interrupts. Trials run concurrently, and on busy
    cores the median measures the other trials too: for one model it was 6 to 15 ms in twelve measurements, the decile
    5 to 6 ms in eleven of them.
    """
    was_training = {module: module.training for module in model.modules()}
    model.eval()
    batch = on_device(batch, device)
    seconds: list[float] = []
    for _ in range(WARM_UP_PASSES):
        _time_pass(model, batch, config, device)
    while len(seconds) < MIN_PASSES or sum(seconds) < MIN_SECONDS:
        seconds.append(_time_pass(model, batch, config, device))
    for module, training in was_training.items():
        module.training = training
    return statistics.quantiles(seconds, n=10)[0]


def _time_pass(model: SignModel, batch: Batch, config: Config, device: torch.device) -> float:
    _wait_for(device)
    started = time.perf_counter()
    with autocast(config, device):
        model(batch.inputs, batch.mask)
    _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    """Calls only queue work on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
