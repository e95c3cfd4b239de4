"""In which floating-point format a run computes."""

import torch

from hearai.config import Config


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """bfloat16 where the config asks for it; `auto` = on GPUs that have it."""
    wanted = config.train_parameters.precision
    if wanted == "auto":
        wanted = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted == "bf16")
