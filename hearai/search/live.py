"""What a person sees while trials run: one line for each trial that ended, and a heartbeat between."""

import time
from collections.abc import Callable
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from ray.tune import Callback
from ray.tune.experiment import Trial

from hearai.search.journal import primary
from hearai.search.searcher import JournalSearcher, Stage
from hearai.search.trial_folder import label_of

Say = Callable[[str], None]
HEARTBEAT_S = 30.0


class LiveLines(Callback):
    """Says how each trial ended, the best of its stage so far, and now and then what is running."""

    def __init__(self, say: Say, searcher: JournalSearcher):
        self.say, self._searcher = say, searcher
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
        return self._searcher.stage_of(trial.trial_id).ledger[trial.config["number"]]

    def _ended(self, trial: Trial, how: str) -> None:
        label = trial.config["label"]
        self._running.pop(label, None)
        done, best = standing(self._searcher.stage_of(trial.trial_id))
        self._line(f"{done} {label} {how}{'' if how.startswith('FAILED') else best}")

    def _line(self, text: str) -> None:
        self._spoke = time.monotonic()
        self.say(text)


def standing(stage: Stage) -> tuple[str, str]:
    """`[ 3/32]`, the trials of the stage that have ended, and its best one: `  best 0.402 (0001)`."""
    ended = [trial for trial in stage.ledger.trials() if trial.state.is_finished()]
    whole = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    best = max(whole, key=primary, default=None)
    counter = f"[{len(ended):>{len(str(stage.limit))}}/{stage.limit}]"
    return counter, f"  best {primary(best):.3f} ({label_of(best.number, best.user_attrs)})" if best else ""
