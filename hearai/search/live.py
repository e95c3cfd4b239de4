"""What a person sees while trials run: one line for each trial that ended, and a heartbeat between."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from hearai.search.trial import failure_of

Say = Callable[[str], None]
HEARTBEAT_S = 30.0


class LiveLines(Callback):
    """Says how each trial ended, the best so far, and now and then what is running."""

    def __init__(self, say: Say):
        self.say = say
        self.best, self.best_trial = 0.0, "-"
        self._running: dict[str, int] = {}
        self._spoke = time.monotonic()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running[trial.config["label"]] = 0

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        if "epoch" in result:
            self._running[trial.config["label"]] = int(result["epoch"])
        if time.monotonic() - self._spoke > HEARTBEAT_S:
            running = ", ".join(f"{label} epoch {epoch}" for label, epoch in self._running.items())
            self._line(f"  running: {running}")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        label, result = trial.config["label"], trial.last_result or {}
        self._running.pop(label, None)
        if "objective" not in result:
            return
        whole = result["epoch"] >= result["epochs"]
        how = "diverged" if result["diverged"] else "complete" if whole else "stopped "
        if result["objective"] > self.best:
            self.best, self.best_trial = result["objective"], label
        self._line(
            f"{_counter(trial)} {label:<10} {how} epoch {result['epoch']:>3.0f}  macro-F1 {result['objective']:.3f}"
            f"  {result['seconds']:5.1f} s   best {self.best:.3f} ({self.best_trial})"
        )

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        label = trial.config["label"]
        self._running.pop(label, None)
        self._line(f"{_counter(trial)} {label:<10} FAILED: {failure_of(Path(trial.config['folder']))}")

    def _line(self, text: str) -> None:
        self._spoke = time.monotonic()
        self.say(text)


def _counter(trial: Trial) -> str:
    """`[3/32]`: which of how many."""
    total = trial.config["of"]
    return f"[{trial.config['number'] + 1:>{len(str(total))}}/{total}]"
