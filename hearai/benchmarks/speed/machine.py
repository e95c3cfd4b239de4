"""The machine that a benchmark ran on, and the speed of its matrix products."""

import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from hearai.threads import usable_cores

SIDE = 512
PEAK_S = 1.0
"""Seconds over which the best matrix product is looked for."""


def describe_machine() -> dict[str, Any]:
    """Processor, cores, threads, load, GPU, and versions: what figures in seconds depend on."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def machine_line(machine: dict[str, Any]) -> str:
    """`describe_machine` as a line."""
    gpu = machine["gpu"] or "no GPU"
    return (
        f"{machine['processor']}, {machine['cores']} cores, {gpu}; {machine['threads']} threads, "
        f"torch {machine['torch']}; load {machine['load']:g}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def matmul_peak(device: str = "cpu", dtype: torch.dtype = torch.float32, *, side: int = SIDE) -> float:
    """The fastest of many products of square matrices, in operations (multiplications and additions) per second.

    Measured with the present number of threads. The best is taken, because other work only makes products slower.
    """
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + PEAK_S
    while time.perf_counter() < end:
        started = time.perf_counter()
        a @ b
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def operations_of(step: Callable[[], object]) -> int:
    """Multiplications and additions of the matrix products and convolutions that calling `step` makes."""
    backward = {torch.ops.aten.convolution_backward: _convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=backward) as counter:
        step()
    return counter.get_total_flops()


def _convolution_backward(
    grad_out: Sequence[int],
    x: Sequence[int],
    weight: Sequence[int],
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Sequence[bool],
    **outputs: Any,
) -> int:
    """Operations of the backward pass of a convolution, from shapes: each gradient costs what the forward pass does.

    torch's own formula ignores `groups`: for a depthwise convolution it gives up to as many times too many as there are
    channels.
    """
    forward = 2 * math.prod(x if transposed else grad_out) * math.prod(weight[1:])
    return forward * sum(output_mask[:2])
