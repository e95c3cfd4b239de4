"""What a trial shows to Prometheus while it runs, through `ray.util.metrics`: its speed and its GPU memory.

A gauge that cannot be exported is logged once and ends nothing. `hearai.search.tune.study_metrics` has the gauges of
the whole study.
"""

import functools
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from ray.util.metrics import Gauge

from hearai.threads import BackgroundThread

log = logging.getLogger(__name__)

CLIPS, MEMORY = "hearai_clips_per_second", "hearai_gpu_memory"
TRIAL_GAUGES = {
    CLIPS: "Training clips of the last epoch / seconds of that epoch (including evaluation, and in the first one "
    "building the model); an epoch on cached features is many times faster than one on images.",
    MEMORY: "Peak bytes that the trial's tensors have held on the GPU of its first worker; 0 without a GPU.",
}
"""{gauge: description}, with the tags `study` and `trial`; 0 once the trial has ended."""
RESEND_S = 2.0
"""Seconds between two sends. Ray exports a value once and drops it after two of its intervals of 10 s."""


class Gauges:
    """Gauges with the same tags. A background thread sends their last values again and again until `close`."""

    def __init__(self, descriptions: Mapping[str, str], tags: Mapping[str, str]):
        self._descriptions, self._tags = descriptions, dict(tags)
        self._gauges: dict[str, Gauge] = {}
        self._values: dict[str, float] = {}
        self._lock = threading.Lock()
        self._thread = BackgroundThread(self._resend)

    def show(self, values: Mapping[str, float]) -> None:
        """values: {gauge: finite number}."""
        with self._lock:
            self._values.update(values)
        self._send()

    def close(self) -> None:
        """Ends the thread; the present values are the last ones."""
        self._thread.stop()

    def _resend(self, stop: threading.Event) -> None:
        while not stop.wait(RESEND_S):
            self._send()

    def _send(self) -> None:
        with self._lock, log_errors():
            for name, value in self._values.items():
                if name not in self._gauges:
                    self._gauges[name] = Gauge(name, self._descriptions[name], tuple(self._tags))
                self._gauges[name].set(float(value), self._tags)


@contextmanager
def log_errors() -> Iterator[None]:
    """Logs an error instead of raising it: a dashboard then lacks a curve, nothing else."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  (an exporter, of any version, may reject a value for any reason)
        _warn_once(f"metrics for Prometheus: {type(error).__name__}: {error}")


@functools.cache
def _warn_once(text: str) -> None:
    log.warning("%s", text)


class TrialMetrics:
    """Shows, from the process that trains a trial, how fast it is and how much GPU memory it takes."""

    def __init__(self, study: str, trial: str):
        self._gauges = Gauges(TRIAL_GAUGES, {"study": study, "trial": trial})
        self._epoch, self._seconds = 0.0, 0.0
        with log_errors():
            if torch.cuda.is_initialized():
                torch.cuda.reset_peak_memory_stats()  # an actor runs one trial after another

    def on_report(self, metrics: Mapping[str, float], device: torch.device) -> None:
        """metrics: the report of an epoch; of the whole trial where it is scored on several folds."""
        with log_errors():
            self._gauges.show({**self._speed(metrics), MEMORY: gpu_memory(device)})

    def _speed(self, metrics: Mapping[str, float]) -> dict[str, float]:
        epochs, seconds = metrics["epoch"] - self._epoch, metrics["seconds"] - self._seconds
        is_repeated = not self._epoch and metrics["epoch"] > 1  # the last report of an earlier attempt
        self._epoch, self._seconds = metrics["epoch"], metrics["seconds"]
        if is_repeated or seconds <= 0 or "clips" not in metrics:  # older reports have no clips
            return {}
        return {CLIPS: metrics["clips"] * epochs / seconds}

    def close(self) -> None:
        self._gauges.show(dict.fromkeys(TRIAL_GAUGES, 0.0))
        self._gauges.close()


def gpu_memory(device: torch.device) -> int:
    """Peak bytes that tensors have held on the device since the trial started; 0 if it is not a GPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


@contextmanager
def trial_metrics(study: str | None, trial: str) -> Iterator[TrialMetrics | None]:
    """The gauges of a trial. study: None = none, for a single run or a worker other than the first."""
    if study is None:
        yield None
        return
    metrics = TrialMetrics(study, trial)
    try:
        yield metrics
    finally:
        metrics.close()
