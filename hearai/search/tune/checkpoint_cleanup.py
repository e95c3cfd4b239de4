"""Removes checkpoints of trials that have ended and cannot win; logs, metrics and configs stay.

Checkpoints are kept of the base config, of the best trials (as many as become finalists), of every trial that was
retrained in the finals, and of all running trials.
"""

import shutil
from collections import deque
from typing import Any

import ray.tune
from optuna.trial import FrozenTrial, TrialState
from ray.tune.experiment import Trial

from hearai.search.storage import attributes
from hearai.search.storage.layout import TRIALS, label_of
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import BASE_TRIAL, TrialStore, final_value
from hearai.search.trial.spec import TrialSpec
from hearai.training.outputs.layout import BEST, LAST, run_folders

REMOVABLE = (LAST, BEST, "ray")
"""Folders of a run that may be removed; `ray` is the storage of a worker group."""


def unneeded(trials: list[FrozenTrial], keep: int, retrained: set[int]) -> set[int]:
    """Numbers of the ended trials whose checkpoints cannot be needed any more, however the search continues.

    Args:
        keep: how many of the best complete trials may still become finalists.
        retrained: trials with entries in the finals; one of them may be the winner.
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = sorted(complete, key=lambda trial: -final_value(trial))[: max(keep, 1)]
    needed = {BASE_TRIAL, *retrained, *(trial.number for trial in best)}
    return {trial.number for trial in trials if trial.state.is_finished() and trial.number not in needed}


class CheckpointCleanup(ray.tune.Callback):
    """Removes checkpoints while other trials run.

    A stopped trial's process may still be writing when Tune reports its end, so its folder is cleaned once twice as
    many trials as there are slots have ended or paused after it, or at the end of the search. That of a paused trial is
    cleaned in the same way once it is closed.
    """

    def __init__(
        self, sync: StudySync, search: TrialStore, finals: TrialStore, *, keep: int, slots: int, folds: int = 1
    ):
        self._sync, self._folder, self._search, self._finals = sync, sync.folder / TRIALS, search, finals
        self._keep, self._folds = keep, folds
        self._recent: deque[int] = deque(maxlen=2 * slots)
        """Trials whose processes may still be writing."""
        self._cleaned: set[int] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks, and the state is in the journal."""
        return {}

    def clean(self) -> None:
        """Cleans the folders of all ended trials. Only while no process of theirs is alive."""
        self._recent.clear()
        self._cleaned.clear()
        self._clean()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        spec = TrialSpec.of(trial)
        if spec.kind != attributes.FINAL_KIND:
            self._recent.append(spec.number)
            self._clean()

    on_trial_error = on_trial_complete

    def _clean(self) -> None:
        for number in sorted(self._unneeded() - self._cleaned - set(self._recent)):
            self._remove(number)
            self._cleaned.add(number)

    def _unneeded(self) -> set[int]:
        retrained = {trial.user_attrs[attributes.SOURCE] for trial in self._finals.trials()}
        inside = self._search.eligible_trials()  # those outside of a narrowed space are back once it is widened again
        needed = {trial.number for trial in inside} - unneeded(inside, self._keep, retrained)
        return unneeded(self._search.trials(), self._keep, retrained) - needed

    def _remove(self, number: int) -> None:
        trial = self._folder / label_of(number, {})
        removable = [folder / name for folder in {trial, *run_folders(trial, self._folds)} for name in REMOVABLE]
        for folder in removable:
            shutil.rmtree(folder, ignore_errors=True)
        self._sync.remove(trial.name, *(folder.relative_to(trial).as_posix() for folder in removable))
