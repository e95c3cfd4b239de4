"""On a GPU: epochs of the plain loop and of ours, and the speed of feature extraction beside the card's bf16 peak."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from hearai.benchmarks.speed.machine import matmul_peak, operations_of
from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.errors import UserError
from hearai.models.model import build_initial_model
from hearai.training.optim.torch_options import autocast

EXTRACTORS: Mapping[str, tuple[str, int]] = {
    "ViT-B/16, 224 px": ("vit_base_patch16_224", 224),
    "efficientnet_b1, 256 px": ("efficientnet_b1", 256),
}
"""{label: (timm's model, pixels)}"""
PEAK_SIDE = 8192
MEASURED_S = 3.0
WARM_UP = 3


@dataclass(frozen=True)
class Extraction:
    """The speed of a backbone's forward pass, as features of a frozen one are computed."""

    images_per_second: float
    share: float
    """Of the card's measured peak of bf16 matrix products."""


def require_gpu() -> torch.device:
    """The first GPU.

    Raises:
        UserError: torch sees none.
    """
    if not torch.cuda.is_available():
        raise UserError(
            f"benchmark gpu: torch {torch.__version__} sees no GPU here; run it where `nvidia-smi` lists one, "
            "with a torch built for CUDA. `throughput`, `launch` and `search-cost` need none"
        )
    return torch.device("cuda", 0)


def bf16_peak() -> float:
    """Operations per second of the fastest bf16 matrix product."""
    return matmul_peak("cuda", torch.bfloat16, side=PEAK_SIDE)


def measure_extraction(base: Config, label: str, *, batch: int, peak: float, device: torch.device) -> Extraction:
    """The forward pass of an extractor in the config's precision on random images, `batch` of them at a time."""
    model, pixels = EXTRACTORS[label]
    config = override(base, {"feature_extractor.model_path": model, "feature_extractor.pretrained": False})
    backbone = build_initial_model(config, {"gloss": 2}).feature_extractor.backbone.to(device).eval()
    images_NCHW = torch.randn(batch, 3, pixels, pixels, device=device)
    with torch.inference_mode(), autocast(config, device):
        operations = operations_of(lambda: backbone(images_NCHW))
        for _ in range(WARM_UP):
            backbone(images_NCHW)
        torch.cuda.synchronize(device)
        passes, started = 0, time.perf_counter()
        while time.perf_counter() - started < MEASURED_S:
            backbone(images_NCHW)
            torch.cuda.synchronize(device)
            passes += 1
        seconds = (time.perf_counter() - started) / passes
    return Extraction(batch / seconds, operations / seconds / peak)
