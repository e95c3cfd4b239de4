"""What a search shows to Prometheus while it runs, through `ray.util.metrics`.

Every node of the cluster serves the gauges of its own processes; Ray writes the addresses of all nodes into
`prom_metrics_service_discovery.json` in its session folder. Prometheus sees each name with Ray's prefix, as
`ray_hearai_trials_running{study="..."}`; `cluster/grafana/` has a dashboard for them. A gauge that cannot be exported
is told once in the log and ends neither a trial nor a search.
"""

import functools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from optuna.trial import TrialState
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.util.metrics import Gauge

from hearai.search.journal import Ledger, primary

log = logging.getLogger(__name__)

PREFIX = "ray_"
"""What Ray puts before every name."""
RUNNING, FINISHED, PRUNED = "hearai_trials_running", "hearai_trials_finished", "hearai_trials_pruned"
FAILED, BEST = "hearai_trials_failed", "hearai_best_objective"
CLIPS, MEMORY = "hearai_clips_per_second", "hearai_gpu_memory"
OF_A_STUDY = {
    RUNNING: "Trials that run now, the finals' among them.",
    FINISHED: "Trials of the search and its finals that ran to their last epoch, over all calls.",
    PRUNED: "Trials that were stopped before their last epoch, over all calls.",
    FAILED: "Trials that failed, over all calls.",
    BEST: "Best objective of a finished trial of the search, in [0, 1]; not there before the first one.",
}
"""What a study shows, with the tag `study`."""
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


class StudyGauges(Callback):
    """Tune's callback that shows how a search stands; numbers come from the journal, so they are those of all calls."""

    def __init__(self, study: str, search: Ledger, finals: Ledger):
        self._search, self._finals = search, finals
        self._running: set[str] = set()
        """Tune's ids. The journal also calls those RUNNING that an earlier call left behind."""
        self._gauges = Gauges(OF_A_STUDY, {"study": study})
        self._show()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks, and the journal is the state."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.add(trial.trial_id)
        self._show()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        self._show()

    on_trial_error = on_trial_complete

    def close(self) -> None:
        """Nothing runs any more."""
        self._running.clear()
        self._show()
        self._gauges.close()

    def _show(self) -> None:
        with harmless():
            self._gauges.show({RUNNING: len(self._running), **ended(self._search, self._finals)})


def ended(search: Ledger, finals: Ledger) -> dict[str, float]:
    """{gauge: value} of the trials that have ended; those of the finals count, but not for the best objective."""
    states = Counter(trial.state for ledger in (search, finals) for trial in ledger.trials())
    values = {
        FINISHED: states[TrialState.COMPLETE],
        PRUNED: states[TrialState.PRUNED],
        FAILED: states[TrialState.FAIL],
    }
    best = max((primary(trial) for trial in search.trials(TrialState.COMPLETE)), default=None)
    return values if best is None else {**values, BEST: best}


class TrialGauges:
    """Shows, from the process that trains a trial, how fast it is and how much of its GPU it takes."""

    def __init__(self, study: str, trial: str):
        self._gauges = Gauges(OF_A_TRIAL, {"study": study, "trial": trial})
        self._epoch, self._seconds = 0.0, 0.0
        with harmless():
            if torch.cuda.is_initialized():
                torch.cuda.reset_peak_memory_stats()  # an actor runs one trial after another

    def told(self, metrics: Mapping[str, float], device: torch.device) -> None:
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
def trial_gauges(study: str | None, trial: str) -> Iterator[Told]:
    """Who hears the reports of a trial. study: None = nobody, where it is not a search's or not the first worker."""
    if study is None:
        yield lambda metrics, device: None
        return
    gauges = TrialGauges(study, trial)
    try:
        yield gauges.told
    finally:
        gauges.close()
