"""TODO."""

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from ray.util.metrics import Gauge

log = logging.getLogger(__name__)


CLIPS, MEMORY = "hearai_clips_per_second", "hearai_gpu_memory"


OF_A_TRIAL = {
    CLIPS: "Training clips of the last epoch / seconds of that epoch (evaluation, and in the first one building the "
    "model, included); an epoch on kept features is many times faster than one on pictures.",
    MEMORY: "Most bytes that the trial's tensors have held on the GPU of its first worker; 0 without a GPU.",
}
"""What a trial shows, with the tags `study` and `trial`; 0 when it has ended."""


BEAT_S = 2.0
"""Ray sends a value once, and forgets it two of its intervals (of 10 s) later; so it is set again and again."""


Told = Callable[[Mapping[str, float], torch.device], None]
"""Hears each report of a trial, and where the trial runs."""


class Gauges:
    """Gauges with the same tags. Their last values go out until `close`, from a thread."""

    def __init__(self, descriptions: Mapping[str, str], tags: Mapping[str, str]):
        self._descriptions, self._tags = descriptions, dict(tags)
        self._gauges: dict[str, Gauge] = {}
        self._values: dict[str, float] = {}
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="gauges")
        self._thread.start()

    def show(self, values: Mapping[str, float]) -> None:
        """values: {name: finite number}."""
        with self._lock:
            self._values.update(values)
        self._send()

    def close(self) -> None:
        """The values of now are the last ones."""
        self._closed.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_S):
            self._send()

    def _send(self) -> None:
        with self._lock, harmless():
            for name, value in self._values.items():
                if name not in self._gauges:
                    self._gauges[name] = Gauge(name, self._descriptions[name], tuple(self._tags))
                self._gauges[name].set(float(value), self._tags)


@contextmanager
def harmless() -> Iterator[None]:
    """What goes wrong inside is told, and nothing more: a curve is missing on a dashboard."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  (whatever an exporter, of any version, has against a value)
        _tell(f"metrics for Prometheus: {type(error).__name__}: {error}")


@functools.cache
def _tell(text: str) -> None:
    """Once a process is enough."""
    log.warning("%s", text)


class TrialMetrics:
    """Shows, from the process that trains a trial, how fast it is and how much of its GPU it takes."""

    def __init__(self, study: str, trial: str):
        self._gauges = Gauges(OF_A_TRIAL, {"study": study, "trial": trial})
        self._epoch, self._seconds = 0.0, 0.0
        with harmless():
            if torch.cuda.is_initialized():
                torch.cuda.reset_peak_memory_stats()  # an actor runs one trial after another

    def on_report(self, metrics: Mapping[str, float], device: torch.device) -> None:
        """metrics: the report of an epoch, of the whole trial where it is scored on several splits."""
        with harmless():
            self._gauges.show({**self._speed(metrics), MEMORY: gpu_memory(device)})

    def _speed(self, metrics: Mapping[str, float]) -> dict[str, float]:
        epochs, seconds = metrics["epoch"] - self._epoch, metrics["seconds"] - self._seconds
        again = not self._epoch and metrics["epoch"] > 1  # what an earlier attempt did, repeated
        self._epoch, self._seconds = metrics["epoch"], metrics["seconds"]
        if again or seconds <= 0 or "clips" not in metrics:  # older reports have no clips
            return {}
        return {CLIPS: metrics["clips"] * epochs / seconds}

    def close(self) -> None:
        self._gauges.show(dict.fromkeys(OF_A_TRIAL, 0.0))
        self._gauges.close()


def gpu_memory(device: torch.device) -> int:
    """Most bytes that tensors have held on it since the trial began; 0 if it is no GPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


@contextmanager
def trial_metrics(study: str | None, trial: str) -> Iterator[Told]:
    """Who hears the reports of a trial. study: None = nobody, where it is not a search's or not the first worker."""
    if study is None:
        yield lambda metrics, device: None
        return
    gauges = TrialMetrics(study, trial)
    try:
        yield gauges.on_report
    finally:
        gauges.close()
