"""A trial that sleeps: what a search costs beside its training. Imports neither torch nor what brings it along.

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

RECORD = "slept.json"
"""In a trial's folder, what its process knows of it; see `sleep_trial`."""


def sleep_trial(payload: dict[str, Any], epoch_seconds: float) -> None:
    """Sleeps in place of each epoch of the payload's config, and reports as a real trial does.

    Leaves in its folder a JSON object: pid; start and end of the trial and spans of its epochs (`time.time()`); pss
    (bytes of the process); torch (whether the process has imported it).

    payload: see `hearai.search.trial.one_worker`.
    """
    started, spans = time.time(), []
    epochs = payload["config"]["train_parameters"]["epochs"]
    for epoch in range(1, epochs + 1):
        began = time.time()
        time.sleep(epoch_seconds)
        spans.append((began, began + epoch_seconds))  # a process that wakes up late has done no more for it
        ray.tune.report(report_of(payload["number"], epoch, epochs, time.time() - started))
    record = {
        "pid": os.getpid(),
        "start": started,
        "end": time.time(),
        "spans": spans,
        "pss": psutil.Process().memory_full_info().pss,
        "torch": "torch" in sys.modules,
    }
    folder = Path(payload["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")


def report_of(number: int, epoch: int, epochs: int, seconds: float) -> dict[str, float]:
    """What searcher and scheduler read: a learning curve that rises to what the trial's number decides, 0.5 to 1."""
    value = random.Random(number).uniform(0.5, 1.0) * (1 - 0.5**epoch)
    return {
        "epoch": epoch,
        "epochs": epochs,
        "objective": value,
        "best_epoch": epoch,
        "diverged": 0.0,
        "seconds": seconds,
    }
