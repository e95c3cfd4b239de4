"""A trial that reports nothing for too long is ended; the others go on."""

import time
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from hearai.search.searcher import JournalSearcher

GRACE_S = 5.0
"""How much longer than its process the watch waits: that one writes to its log where it stands, see `fault_log`."""


class HangWatch(Callback):
    """Kills the actor of a trial that has not reported for so long; Tune then hears that it died.

    Workers of a Ray Train group belong to their trial's actor and end with it.

    seconds: since its last report, or its start. A group of workers starts when they report that they have begun; it
    may have waited for room on the cluster for hours.
    """

    def __init__(self, searcher: JournalSearcher, seconds: float):
        self._searcher, self._seconds = searcher, seconds
        self._heard: dict[Trial, float] = {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if trial.config["workers"] == 1:
            self._heard[trial] = time.monotonic()

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        self._heard[trial] = time.monotonic()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._heard.pop(trial, None)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._heard.pop(trial, None)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        late = time.monotonic() - self._seconds - GRACE_S
        for trial in [trial for trial, heard in self._heard.items() if heard < late]:
            del self._heard[trial]
            if trial.temporary_state.ray_actor is not None:
                ray.kill(trial.temporary_state.ray_actor)
        for trial in trials:
            if trial.status == Trial.ERROR:  # usually long told; not if its actor could not be taken over
                self._searcher.on_trial_lost(trial.trial_id)
