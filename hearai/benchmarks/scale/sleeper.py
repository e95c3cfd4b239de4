"""A trial that sleeps, to measure the overhead of a search. Must not import torch, directly or indirectly.

Dozens of its processes run on two cores, where importing torch in each would take as long as the whole benchmark.
"""

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import ray.tune

from hearai.search.trial.spec import TrialSpec

RECORD = "slept.json"
"""File in a trial's folder with what its process measured; see `sleep_trial`."""


def sleep_trial(config: dict[str, Any], epoch_seconds: float) -> None:
    """Sleeps in place of each epoch of the trial's config, and reports as a real trial does.

    Writes a JSON object to its folder: pid; start, end and spans of the epochs (`time.time()`); pss (bytes of the
    process); torch (whether the process has imported it).

    config: a `TrialSpec` as a dictionary.
    """
    spec, started, spans = TrialSpec.from_dict(config), time.time(), []
    epochs = spec.config["train_parameters"]["epochs"]
    for epoch in range(1, epochs + 1):
        epoch_start = time.time()
        time.sleep(epoch_seconds)
        spans.append((epoch_start, epoch_start + epoch_seconds))  # waking up late is not counted as training
        ray.tune.report(report_of(spec.number, epoch, epochs, time.time() - started))
    record = {
        "pid": os.getpid(),
        "start": started,
        "end": time.time(),
        "spans": spans,
        "pss": psutil.Process().memory_full_info().pss,
        "torch": "torch" in sys.modules,
    }
    folder = Path(spec.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")


def report_of(number: int, epoch: int, epochs: int, seconds: float) -> dict[str, float]:
    """Epoch metrics of a learning curve that rises to a limit of 0.5 to 1, which depends on the trial's number."""
    value = random.Random(number).uniform(0.5, 1.0) * (1 - 0.5**epoch)
    return {
        "epoch": epoch,
        "epochs": epochs,
        "objective": value,
        "best_epoch": epoch,
        "diverged": 0.0,
        "seconds": seconds,
    }
