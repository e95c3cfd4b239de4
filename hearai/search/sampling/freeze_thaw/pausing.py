"""Runs a freeze-thaw search: asks the engine at each level of a learning curve who trains on, and keeps the journal.

The engine computes in a thread of its own. A trial that has reached a level waits for the answer with its model on the
device; if another trial is to train, it is paused: its slot becomes free at once and its checkpoint stays. When the
budget is used up, the trials with the best expected final values and the base config's are trained to their end: they
are what is compared. Those that are still paused are then closed as pruned.
"""

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from hearai.config.search_space.domains import Value
from hearai.search.sampling.freeze_thaw.curves import Curve, State
from hearai.search.sampling.freeze_thaw.engine import FreezeThaw
from hearai.search.sampling.policy import UNDECIDED, Undecided, Verdict, best_complete
from hearai.search.storage.attributes import DIVERGED
from hearai.search.storage.trial_store import (
    BASE_TRIAL,
    Proposal,
    Suggest,
    TrialStore,
    is_paused,
    is_rejected,
)

PAUSED_PER_SLOT = 8
"""How many paused trials are kept for each slot. Beyond, the least promising one is closed: its checkpoint goes."""

OPEN = ("complete", "paused", "running")
"""States of trials that may be among the best in the end."""


@dataclass(frozen=True)
class _Answer:
    """Of the engine."""

    choice: int | Mapping[str, Value] | None
    """Number of the paused trial or parameters of the new one that trains next."""
    hopeless: int | None = None
    """A paused trial to close."""
    to_end: frozenset[int] = frozenset()
    """Trials that train to their last epoch although the budget is used up."""


@dataclass(frozen=True)
class _Job:
    """A question to the engine."""

    asked_by: int | None
    """The trial that waits at a level; None: a free slot."""
    answer: Future[_Answer]
    situation: "_Situation"
    """When it was asked."""


@dataclass(frozen=True)
class _Situation:
    """What an answer of the engine depends on, as far as it is compared."""

    reports: int
    running: int
    """Number of trials that train."""
    may_start: bool
    """Whether a new trial may be started."""
    closing: bool
    """Whether the budget is used up."""


class Pausing:
    """A `Policy`: trials are paused at levels of their curves, and resumed when the engine expects more of them."""

    def __init__(self, store: TrialStore, suggest: Suggest, engine: FreezeThaw, *, finalists: int, slots: int):
        """finalists: how many of the best trials must be complete in the end."""
        self._store, self._suggest, self._engine = store, suggest, engine
        self._finalists, self._most_paused = max(finalists, 1), PAUSED_PER_SLOT * slots
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="freeze-thaw")
        self._job: _Job | None = None
        self._waiting: deque[int] = deque()
        """Trials that have reached a level, and that the engine has not been asked about yet."""
        self._verdicts: dict[int, Verdict] = {}
        self._started: deque[Proposal] = deque()
        """Trials that take the next free slots; in the journal they are running."""
        self._judged: dict[int, int] = {}
        """{trial: the last level at which it was judged}: a resumed trial reports its last epoch again."""
        self._to_end: set[int] = set()
        """Trials that train to their last epoch although the budget is used up."""
        self._reports = 0
        self._idle: _Situation | None = None
        """The situation in which the engine had nothing to propose."""
        self._room = 0
        """How many new trials may be started."""
        self._closing = False
        self._is_closed = False

    def propose(self, *, room: int, closing: bool) -> Proposal | Undecided | None:
        self._room, self._closing = room, closing
        self._advance()
        if self._store.has_requeued:  # such as those that were running when an earlier process was killed
            return self._store.propose(self._suggest)
        if self._started:
            return self._started.popleft()
        if room and not closing and self._store.has_queued:
            return self._store.propose(self._suggest)
        if self._job is None and self._idle != self._situation():
            self._ask(None)
        return None if self._job is None else UNDECIDED

    @property
    def depends_on_running(self) -> bool:
        return any(trial.number not in self._to_end for trial in self._running())

    def judge(self, number: int, epoch: int, value: float, *, over_budget: bool) -> Verdict | Undecided:
        self._reports += 1
        if number in self._to_end:
            return Verdict.CONTINUE
        if self._is_closed:
            return Verdict.STOP
        if over_budget:
            return Verdict.PAUSE
        is_level = epoch in self._engine.levels[:-1] and epoch > self._judged.get(number, 0)
        if self._closing or not is_level:
            return Verdict.CONTINUE
        self._judged[number] = epoch
        self._waiting.append(number)
        return UNDECIDED

    def verdicts(self) -> dict[int, Verdict]:
        self._advance()
        decided, self._verdicts = self._verdicts, {}
        return decided

    def close(self) -> None:
        self._is_closed = True
        self._thread.shutdown(cancel_futures=True)
        asked_by = [self._job.asked_by] if self._job is not None and self._job.asked_by is not None else []
        for number in (*asked_by, *self._waiting):
            self._verdicts[number] = Verdict.CONTINUE if number in self._to_end else Verdict.STOP
        self._job = None
        self._waiting.clear()
        for trial in self._store.trials(TrialState.RUNNING):
            if is_paused(trial):
                self._store.finish(trial.number, TrialState.PRUNED)

    def finalists(self, count: int) -> list[int]:
        expected = self._engine.expected_finals(curves_of(self._store))
        best = best_complete(self._store, self.contenders(count), without=BASE_TRIAL)
        return sorted(best, key=lambda number: -expected[number][0])[:count]

    def contenders(self, count: int) -> int:
        return 2 * count + 3

    def expected_best(self) -> int:
        """The trial with the best expected final value, whether it has been trained to its end or not."""
        expected = self._engine.expected_finals(curves_of(self._store))
        reported = [trial.number for trial in self._store.trials() if trial.intermediate_values]
        return max(reported, key=lambda number: expected[number][0])

    def _advance(self) -> None:
        """Acts on an answer of the engine, and asks the next question."""
        if self._job is not None and self._job.answer.done():
            job, self._job = self._job, None
            if job.situation.closing is self._closing:
                self._act(job, job.answer.result())
            elif job.asked_by is not None:  # the answer is out of date: the budget has been used up meanwhile
                self._verdicts[job.asked_by] = Verdict.PAUSE
        if self._job is None and self._waiting:
            self._ask(self._waiting.popleft())

    def _ask(self, number: int | None) -> None:
        curves, situation = curves_of(self._store, at_level=number), self._situation()
        if self._closing:
            answer = self._thread.submit(self._next_incomplete, curves)
        else:
            answer = self._thread.submit(self._next, curves, situation.may_start)
        self._job = _Job(number, answer, situation)

    def _situation(self) -> _Situation:
        return _Situation(self._reports, len(self._running()), self._room > 0, self._closing)

    def _running(self) -> list[FrozenTrial]:
        return [trial for trial in self._store.trials(TrialState.RUNNING) if not is_paused(trial)]

    def _next(self, curves: list[Curve], allow_new: bool) -> _Answer:
        """Runs in the thread."""
        choice = self._engine.next(curves, allow_new=allow_new)
        paused = [curve.number for curve in curves if curve.state == "paused" and curve.number != choice]
        if len(paused) <= self._most_paused:
            return _Answer(choice)
        expected = self._engine.expected_finals(curves)
        hopes = {number: expected[number][0] + 2 * expected[number][1] for number in paused if number != BASE_TRIAL}
        return _Answer(choice, min(hopes, key=lambda number: hopes[number]))

    def _next_incomplete(self, curves: list[Curve]) -> _Answer:
        """A trial without which the best ones and the base config's would not be complete. Runs in the thread."""
        expected = self._engine.expected_finals(curves)
        states = {curve.number: curve.state for curve in curves if not curve.is_prior}
        candidates = [number for number, state in states.items() if state in OPEN and number != BASE_TRIAL]
        best = sorted(candidates, key=lambda number: -expected[number][0])[: self._finalists]
        needed = frozenset((*best, BASE_TRIAL))
        return _Answer(next((number for number in needed if states.get(number) == "paused"), None), to_end=needed)

    def _act(self, job: _Job, answer: _Answer) -> None:
        asked_by = job.asked_by
        self._to_end |= answer.to_end
        if answer.hopeless is not None and is_paused(self._store[answer.hopeless]):
            self._store.finish(answer.hopeless, TrialState.PRUNED)
        proposal = None if answer.choice in (None, asked_by) else self._start(answer.choice)
        if proposal is not None:
            self._started.append(proposal)
        if asked_by is not None:
            is_kept = proposal is None and not (self._closing and asked_by not in self._to_end)
            self._verdicts[asked_by] = Verdict.CONTINUE if is_kept else Verdict.PAUSE
        elif proposal is None:
            self._idle = job.situation

    def _start(self, choice: int | Mapping[str, Value]) -> Proposal | None:
        """The trial in the journal; None: there is no untried point, or no room for a new trial any more."""
        if isinstance(choice, int):
            return self._store.resume(choice)
        if self._room <= 0:
            return None
        self._room -= 1
        return self._store.propose_point(choice, self._suggest)


def curves_of(store: TrialStore, *, at_level: int | None = None) -> list[Curve]:
    """The curves of all trials that were started. The trial that waits at a level counts as paused.

    Those outside of a narrowed space are data, like those of another search, but are not resumed.
    """
    trials = store.optuna_study.get_trials(deepcopy=False)
    started = [trial for trial in trials if trial.state is not TrialState.WAITING and not is_rejected(trial)]
    own = {trial.number for trial in store.eligible_trials()}
    return [_curve(trial, is_at_level=trial.number == at_level, is_prior=trial.number not in own) for trial in started]


def _curve(trial: FrozenTrial, *, is_at_level: bool, is_prior: bool) -> Curve:
    state: State
    if trial.state is TrialState.RUNNING:
        state = "paused" if is_at_level or is_paused(trial) else "running"
    else:
        state = "complete" if trial.state is TrialState.COMPLETE else "stopped"
    return Curve(
        trial.number,
        dict(trial.params),
        dict(trial.intermediate_values),
        state,
        diverged=bool(trial.user_attrs.get(DIVERGED)),
        is_prior=is_prior,
    )
