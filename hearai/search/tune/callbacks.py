"""Callbacks of a Tune run: progress lines, hang detection, log download, interruption, reasons of failures."""

import time
from typing import Any

import ray
from optuna.trial import FrozenTrial, TrialState
from ray.tune import Callback
from ray.tune.experiment import Trial

from hearai.cli import Print
from hearai.cli.progress.events import TrialLine
from hearai.metrics import MACRO_F1, SCORES
from hearai.search.cluster.resources import plural
from hearai.search.stage import Stage
from hearai.search.storage import attributes
from hearai.search.storage.layout import label_of
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import final_value, is_paused
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.failures import classify_failure
from hearai.search.tune.searcher import JournalSearcher

HEARTBEAT_S = 30.0
"""Seconds without a line after which the running trials are listed."""
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 3600.0
"""Seconds without a running trial after which that is said; twice as many each time until the longest."""


class ProgressLines(Callback):
    """Prints how each trial ended, with the best of its stage so far, and now and then what is running."""

    def __init__(self, print_line: Print, searcher: JournalSearcher, needed: str):
        """needed: what a trial needs of the cluster, as text."""
        self.print_line, self._searcher, self._needed = print_line, searcher, needed
        self._wait_s = FIRST_WAIT_S
        self._running: dict[str, int] = {}
        """{label: last reported epoch} of running trials."""
        self._lost: dict[str, int] = {}
        """{label: how many nodes the trial had lost when it started}."""
        self._last_line = time.monotonic()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        label, self._wait_s = TrialSpec.of(trial).label, FIRST_WAIT_S
        self._running[label], self._lost[label] = 0, self._known(trial).user_attrs.get(attributes.LOST, 0)

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        if "epoch" in result:
            self._running[TrialSpec.of(trial).label] = int(result["epoch"])
        if time.monotonic() - self._last_line > HEARTBEAT_S:
            running = ", ".join(f"{label} epoch {epoch}" for label, epoch in self._running.items())
            self._print(f"  running: {running}")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        result = trial.last_result or {}
        if self._searcher.closed:
            return  # the search is interrupted; the trial has not ended
        if "objective" not in result:
            return self.on_trial_error(iteration, trials, trial)
        is_complete = result["epoch"] >= result["epochs"]
        is_waiting = is_paused(self._known(trial))
        how = "diverged" if result["diverged"] else "complete" if is_complete else "paused" if is_waiting else "stopped"
        self._ended(
            trial,
            f"{how:<8} epoch {result['epoch']:>3.0f}  {_score_name(trial)} {result['objective']:.3f}  "
            f"{result['seconds']:5.1f} s",
        )

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        known = self._known(trial)
        if known.state.is_finished():
            self._ended(trial, f"FAILED: {known.user_attrs.get(attributes.REASON, '')}")
        elif not self._searcher.closed:
            label = TrialSpec.of(trial).label
            self._running.pop(label, None)
            lost = known.user_attrs.get(attributes.LOST, 0) > self._lost.get(label, 0)
            what, since = ("lost its node", "epoch") if lost else ("preempted", "step")
            self._print(f"  {label} {what}; it will resume from its last {since} on another node")

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Others may use the cluster: then trials wait, perhaps for hours."""
        is_late = time.monotonic() - self._last_line > self._wait_s
        if is_late and not self._running and any(trial.status == Trial.PENDING for trial in trials):
            free, all_ = ray.available_resources(), ray.cluster_resources()
            room = ", ".join(
                f"{free.get(key, 0):g} of {plural(all_[key], key)}" for key in ("CPU", "GPU") if key in all_
            )
            self._print(f"  waiting for room on the cluster: a trial needs {self._needed}; free now: {room}")
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def _known(self, trial: Trial) -> FrozenTrial:
        """The trial in the journal."""
        return self._searcher.stage_of(trial.trial_id).store[TrialSpec.of(trial).number]

    def _ended(self, trial: Trial, how: str) -> None:
        label = TrialSpec.of(trial).label
        self._running.pop(label, None)
        done, best = standing(self._searcher.stage_of(trial.trial_id))
        self._print(f"{done} {label} {how}{'' if how.startswith('FAILED') else best}")

    def _print(self, text: str) -> None:
        self._last_line = time.monotonic()
        self.print_line(TrialLine(text))


def _score_name(trial: Trial) -> str:
    return SCORES[TrialSpec.of(trial).config["train_parameters"].get("objective_metric", MACRO_F1)]


def standing(stage: Stage) -> tuple[str, str]:
    """`[ 3/32]`, how many trials of the stage have ended, and its best one: `  best 0.402 (0001)`."""
    ended = [trial for trial in stage.store.trials() if trial.state.is_finished()]
    complete = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    best = max(complete, key=final_value, default=None)
    counter = f"[{len(ended):>{len(str(stage.limit))}}/{stage.limit}]"
    return counter, f"  best {final_value(best):.3f} ({label_of(best.number, best.user_attrs)})" if best else ""


class LogFetcher(Callback):
    """Downloads what a trial has written to an object store, without its checkpoints, when the trial ends."""

    def __init__(self, sync: StudySync, searcher: JournalSearcher):
        self._sync, self._searcher = sync, searcher

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Trial, **info: Any) -> None:
        self.fetch(trial)

    def fetch(self, trial: Trial) -> None:
        with self._searcher.abort_on_error():
            self._sync.fetch_trial(TrialSpec.of(trial).label)


class FailureReporter:
    """Tells the searcher why a trial failed."""

    def __init__(self, logs: LogFetcher, searcher: JournalSearcher):
        self._logs, self._searcher = logs, searcher

    def on_failure(self, trial: Trial) -> None:
        """Called before Tune reports the failure to the searcher."""
        self._logs.fetch(trial)  # the reason is there
        self._searcher.on_trial_failure(trial.trial_id, classify_failure(trial))


class Interruption(Callback):
    """Ends a search that is closed between two steps of Tune, where no file is half-written."""

    def __init__(self, searcher: JournalSearcher):
        self._searcher = searcher

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._searcher.trouble:
            raise self._searcher.trouble
        if self._searcher.closed:
            raise KeyboardInterrupt


HANG_GRACE_S = 5.0
"""Seconds given to a hung process to write its stacks to its log, see `hearai.search.trial.stack_dump`."""


class HangDetector(Callback):
    """Kills the actor of a trial that has not reported for so many seconds; Tune then finds that it died.

    Time counts from the trial's start or its last report. A group of workers may wait for room on the cluster for
    hours, so it starts with its first report, in which the workers say that they have started. The workers of a Ray
    Train group belong to their trial's actor and end with it.
    """

    def __init__(self, searcher: JournalSearcher, seconds: float):
        self._searcher, self._seconds = searcher, seconds
        self._last_report: dict[Trial, float] = {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if TrialSpec.of(trial).workers == 1:
            self._last_report[trial] = time.monotonic()

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        self._last_report[trial] = time.monotonic()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._last_report.pop(trial, None)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._last_report.pop(trial, None)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        oldest = time.monotonic() - self._seconds - HANG_GRACE_S
        for trial in [trial for trial, reported in self._last_report.items() if reported < oldest]:
            del self._last_report[trial]
            if trial.temporary_state.ray_actor is not None:
                ray.kill(trial.temporary_state.ray_actor)
        for trial in trials:
            if trial.status == Trial.ERROR:  # the searcher knows, unless the trial's actor could not be reused
                self._searcher.on_trial_lost(trial.trial_id)
