"""Checkpoints of trials that can neither win nor go on are removed; logs, metrics and configs stay.

Kept are those of the base config, of the best trials (as many as become finalists), of every trial that was retrained
in the finals, and of whatever is running.
"""

import shutil
from collections import deque
from typing import Any

import ray.tune
from optuna.trial import FrozenTrial, TrialState
from ray.tune.experiment import Trial

from hearai.search.storage.layout import TRIALS, label_of
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import BASE, TrialStore, primary
from hearai.training.outputs.layout import BEST, LAST, run_folders

HELD = (LAST, BEST, "ray")
"""What of a trial's folder may go; `ray` is the storage of a worker group."""


def unneeded(trials: list[FrozenTrial], keep: int, retrained: set[int]) -> set[int]:
    """Numbers of the ended trials whose checkpoints nobody can need, however the search goes on.

    keep: how many of the best complete trials may still become finalists.
    retrained: trials that the finals know; one of them may be the winner.
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = sorted(complete, key=lambda trial: -primary(trial))[: max(keep, 1)]
    needed = {BASE, *retrained, *(trial.number for trial in best)}
    return {trial.number for trial in trials if trial.state.is_finished() and trial.number not in needed}


class CheckpointCleanup(ray.tune.Callback):
    """Removes checkpoints while trials run, as Tune tells of their ends.

    A stopped trial's process may still be writing when Tune calls it ended, so its folder is swept when twice as many
    trials as there are slots have ended after it, or when all is over.
    """

    def __init__(
        self, sync: StudySync, search: TrialStore, finals: TrialStore, *, keep: int, slots: int, splits: int = 1
    ):
        self._sync, self._folder, self._search, self._finals = sync, sync.folder / TRIALS, search, finals
        self._keep, self._delay, self._splits = keep, 2 * slots, splits
        self._waiting: deque[int] = deque()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks, and the journal is the state."""
        return {}

    def clean(self) -> None:
        """Looks at all trials that have ended; only while none of their processes is alive."""
        self._waiting.clear()
        for number in self._unneeded():
            self._remove(number)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if trial.config["kind"] == "final":
            return
        self._waiting.append(trial.config["number"])
        if len(self._waiting) > self._delay:
            losing = self._unneeded()
            settled = [self._waiting[i] for i in range(len(self._waiting) - self._delay)]
            for number in settled:
                if number in losing:
                    self._remove(number)
                    self._waiting.remove(number)

    on_trial_error = on_trial_complete

    def _unneeded(self) -> set[int]:
        retrained = {trial.user_attrs["source"] for trial in self._finals.trials()}
        return unneeded(self._search.trials(), self._keep, retrained)

    def _remove(self, number: int) -> None:
        trial = self._folder / label_of(number, {})
        held = [folder / name for folder in {trial, *run_folders(trial, self._splits)} for name in HELD]
        for folder in held:
            shutil.rmtree(folder, ignore_errors=True)
        self._sync.drop(trial.name, *(folder.relative_to(trial).as_posix() for folder in held))
