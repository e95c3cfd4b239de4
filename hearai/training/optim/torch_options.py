"""`train_parameters.compile`: torch.compile where it works, and a line where it does not."""

import functools
import logging

import torch
from torch import nn

from hearai.config.config import Config

log = logging.getLogger(__name__)


def compiled(model: nn.Module, device: torch.device) -> nn.Module:
    """The model to call in its place, sharing its weights; the model itself where this machine cannot compile.

    One compilation serves batches of every size, and dropout draws what it draws without compiling.
    """
    if not can_compile(device.type):
        return model
    # inductor's own random numbers are a little faster, but then a compiled run is another run
    return torch.compile(model, dynamic=True, options={"fallback_random": True})


@functools.cache
def can_compile(device_type: str) -> bool:
    """Whether torch.compile works here: it is tried, once a process (seconds). If not, a line says why."""
    try:
        torch.compile(torch.sin)(torch.ones(2, device=device_type))
    except RuntimeError as error:  # torch's compiler errors are such
        log.info("compile: not on this machine, going on without (%s)", str(error).splitlines()[0])
        return False
    return True


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """bfloat16 where the config asks for it; `auto` = on GPUs that have it."""
    wanted = config.train_parameters.precision
    if wanted == "auto":
        wanted = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted == "bf16")
