"""torch's threads and the layout of images; torch.compile and bfloat16 (`train_parameters`), where they work."""

import functools
import logging

import torch
from torch import nn

from hearai.config.config import Config
from hearai.threads import usable_cores

log = logging.getLogger(__name__)


def use_threads(wanted: int | None = None) -> int:
    """Sets torch's threads on the CPU: never more than the cores that this process may use; returns their number.

    wanted: None = as many as torch has chosen, or the user in OMP_NUM_THREADS.
    """
    cores = usable_cores()
    threads = min(wanted or torch.get_num_threads(), cores)
    if wanted and wanted > cores:
        log.warning(
            "%d threads: this process may use %d (affinity, quota of its container); so many are used", wanted, cores
        )
    torch.set_num_threads(threads)
    return threads


def use_fast_layout(network: nn.Module, device: torch.device) -> None:
    """Stores the weights of convolutions with their channels last, which images then follow: faster on CPUs.

    Values and names stay, and loading keeps the layout. Elsewhere it was not measured, and nothing is changed.
    """
    if device.type != "cpu":
        return
    for parameter in network.parameters():
        if parameter.ndim == 4:  # of two-dimensional convolutions
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def compiled(model: nn.Module, device: torch.device) -> nn.Module:
    """A compiled module that shares the model's weights; the model itself where this machine cannot compile.

    One compilation serves batches of every size, and dropout draws the same numbers as without compiling.
    """
    if not can_compile(device.type):
        return model
    # inductor's own random numbers are a little faster, but then a compiled run is another run
    return torch.compile(model, dynamic=True, options={"fallback_random": True})


@functools.cache
def can_compile(device_type: str) -> bool:
    """Whether torch.compile works here: tried once per process (seconds). If it does not, a line says why."""
    try:
        torch.compile(torch.sin)(torch.ones(2, device=device_type))
    except RuntimeError as error:  # the base class of torch's compiler errors
        log.info("compile: not available on this machine, continuing without (%s)", str(error).splitlines()[0])
        return False
    return True


def precision_of(config: Config, device: torch.device) -> str:
    """ "fp32" or "bf16": what the config asks for; `auto` = bf16 on GPUs that support it."""
    precision = config.train_parameters.precision
    if precision == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return precision


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """A context in which the forward pass has the config's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision_of(config, device) == "bf16")
