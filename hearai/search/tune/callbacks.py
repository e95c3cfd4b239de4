"""What a person sees while trials run: one line for each trial that ended, and a heartbeat between."""

import time
from typing import Any

import ray
import ray.tune
from optuna.trial import FrozenTrial, TrialState
from ray.tune import Callback
from ray.tune.experiment import Trial

from hearai.cli import Print
from hearai.search.stage import Stage
from hearai.search.storage.layout import label_of
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import primary
from hearai.search.tune.searcher import JournalSearcher

HEARTBEAT_S = 30.0


class LiveLines(Callback):
    """Says how each trial ended, the best of its stage so far, and now and then what is running."""

    def __init__(self, print_line: Print, searcher: JournalSearcher):
        self.print_line, self._searcher = print_line, searcher
        self._running: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        """How many machines each trial had lost when it started."""
        self._spoke = time.monotonic()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        label = trial.config["label"]
        self._running[label], self._lost[label] = 0, self._known(trial).user_attrs.get("lost", 0)

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        if "epoch" in result:
            self._running[trial.config["label"]] = int(result["epoch"])
        if time.monotonic() - self._spoke > HEARTBEAT_S:
            running = ", ".join(f"{label} epoch {epoch}" for label, epoch in self._running.items())
            self._line(f"  running: {running}")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        result = trial.last_result or {}
        if self._searcher.closed:
            return  # it has not ended, it is only put away
        if "objective" not in result:
            return self.on_trial_error(iteration, trials, trial)
        whole = result["epoch"] >= result["epochs"]
        how = "diverged" if result["diverged"] else "complete" if whole else "stopped"
        self._ended(
            trial,
            f"{how:<8} epoch {result['epoch']:>3.0f}  macro-F1 {result['objective']:.3f}  {result['seconds']:5.1f} s",
        )

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        known = self._known(trial)
        if known.state.is_finished():
            self._ended(trial, f"FAILED: {known.user_attrs.get('reason', '')}")
        elif not self._searcher.closed:
            label = trial.config["label"]
            self._running.pop(label, None)
            lost = known.user_attrs.get("lost", 0) > self._lost.get(label, 0)
            why, since = ("lost", "epoch") if lost else ("is told to leave", "step")
            self._line(f"  {label} {why} its machine: it goes on from its last {since} elsewhere")

    def _known(self, trial: Trial) -> FrozenTrial:
        return self._searcher.stage_of(trial.trial_id).store[trial.config["number"]]

    def _ended(self, trial: Trial, how: str) -> None:
        label = trial.config["label"]
        self._running.pop(label, None)
        done, best = standing(self._searcher.stage_of(trial.trial_id))
        self._line(f"{done} {label} {how}{'' if how.startswith('FAILED') else best}")

    def _line(self, text: str) -> None:
        self._spoke = time.monotonic()
        self.print_line(text)


def standing(stage: Stage) -> tuple[str, str]:
    """`[ 3/32]`, the trials of the stage that have ended, and its best one: `  best 0.402 (0001)`."""
    ended = [trial for trial in stage.store.trials() if trial.state.is_finished()]
    whole = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    best = max(whole, key=primary, default=None)
    counter = f"[{len(ended):>{len(str(stage.limit))}}/{stage.limit}]"
    return counter, f"  best {primary(best):.3f} ({label_of(best.number, best.user_attrs)})" if best else ""


class _Fetching(ray.tune.Callback):
    """Brings what a trial has written in an object store to the driver's disk when it ends."""

    def __init__(self, sync: StudySync, searcher: JournalSearcher):
        self._sync, self._searcher = sync, searcher

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Trial, **info: Any) -> None:
        with self._searcher.abort_on_error():
            self._sync.fetch(trial.config["label"])


class _Interruption(ray.tune.Callback):
    """Ends the search between two steps of Tune, where no file is half-written."""

    def __init__(self, searcher: JournalSearcher):
        self._searcher = searcher

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._searcher.trouble:
            raise self._searcher.trouble
        if self._searcher.closed:
            raise KeyboardInterrupt


GRACE_S = 5.0
"""How much longer than its process the watch waits: that one writes to its log where it stands, see `stack_dump`."""


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
