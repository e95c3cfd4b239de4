"""What a search engine promises: it proposes who trains next, and judges after each report who continues.

`Stopping` is an Optuna sampler with early stopping: each trial is proposed once, and stopped or not. `Pausing`, in
`hearai.search.sampling.freeze_thaw.pausing`, also pauses trials and proposes them again.
"""

from enum import Enum
from typing import Protocol

from optuna.trial import TrialState

from hearai.search.early_stopping import Stopper
from hearai.search.storage.trial_store import Proposal, Suggest, TrialStore, final_value


class Verdict(Enum):
    """What happens to a trial after a report."""

    CONTINUE = "continue"
    PAUSE = "pause"
    """Its slot becomes free; its checkpoint stays, and it may be proposed again."""
    STOP = "stop"


class Undecided(Enum):
    """The answer of a policy that is still computing."""

    UNDECIDED = "undecided"


UNDECIDED = Undecided.UNDECIDED


class Policy(Protocol):
    """Proposes trials of one store and judges them. Called from one thread, and never blocks."""

    def propose(self, *, room: int, closing: bool) -> Proposal | Undecided | None:
        """Who trains next. None: no trial (for now, while trials are running).

        Args:
            room: how many trials may be started that were not started before.
            closing: the budget is used up, so only trials without which the results would be incomplete are proposed.
        """

    @property
    def depends_on_running(self) -> bool:
        """Whether it may propose a trial again, or stop one that would train on, once running trials have reported."""

    def judge(self, number: int, epoch: int, value: float, *, over_budget: bool) -> Verdict | Undecided:
        """What happens to a trial after an epoch; its value is stored. UNDECIDED: the trial waits for `verdicts`."""

    def verdicts(self) -> dict[int, Verdict]:
        """{number: what happens to it} of trials that `judge` left undecided and that are decided now, each once."""

    def close(self) -> None:
        """The stage has ended: nothing more will be proposed."""

    def finalists(self, count: int) -> list[int]:
        """Numbers of the best complete trials, the best first, without the base config's.

        Costs have no influence. Trials outside of a narrowed space are left out.
        """

    def contenders(self, count: int) -> int:
        """Among how many of the complete trials with the best values those finalists always are."""


class Stopping:
    """A sampler, and early stopping that decides at once."""

    def __init__(
        self, store: TrialStore, suggest: Suggest, stopper: Stopper | None = None, *, protected: int | None = None
    ):
        """stopper: None = no early stopping.

        protected: number of a trial that runs to its end, whatever the stopper and the budget say.
        """
        self._store, self._suggest, self._stopper, self._protected = store, suggest, stopper, protected

    def propose(self, *, room: int, closing: bool) -> Proposal | None:
        if closing or not (room or self._store.has_requeued):
            return None
        return self._store.propose(self._suggest)

    @property
    def depends_on_running(self) -> bool:
        return False

    def judge(self, number: int, epoch: int, value: float, *, over_budget: bool) -> Verdict:
        is_promising = self._stopper is None or self._stopper.should_continue(number, epoch, value)
        continues = number == self._protected or (is_promising and not over_budget)
        return Verdict.CONTINUE if continues else Verdict.STOP

    def verdicts(self) -> dict[int, Verdict]:
        return {}

    def close(self) -> None:
        pass

    def finalists(self, count: int) -> list[int]:
        return best_complete(self._store, count, without=self._protected)

    def contenders(self, count: int) -> int:
        return count


def best_complete(store: TrialStore, count: int, *, without: int | None) -> list[int]:
    """Numbers of the complete trials with the best values, the best first, except one of them.

    Those outside of a narrowed space are left out.
    """
    complete = [trial for trial in store.eligible_trials(TrialState.COMPLETE) if trial.number != without]
    return [trial.number for trial in sorted(complete, key=lambda trial: -final_value(trial))[:count]]
