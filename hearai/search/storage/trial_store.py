"""The Optuna journal: the source of truth of a search, with one writer.

Every suggestion, intermediate value and state goes to `journal.log` before anything else hears of it, so a
search that died at any moment continues from the file alone. One file holds two Optuna studies: `search`
(proposed by the sampler) and `finals` (the finalists' retraining with fresh seeds).

Optuna's own journal survives neither a torn last line nor a lock left by a dead process, hence `open_journal`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from hearai.config.domains import Value
from hearai.metrics import METRICS, OBJECTIVE
from hearai.search.storage.journal_backend import Journal
from hearai.search.storage.journal_repair import repair
from hearai.search.storage.layout import JOURNAL
from hearai.search.storage.lock import owned

SEARCH, FINALS = "search", "finals"
BASE = 0
"""Number of the base config's trial: always the first."""
DUPLICATE, BREAKS_RULE = "duplicate_of", "breaks_rule"
"""Attributes of proposals that were put aside: their point was tried before, or is not to be tried."""
WARM = "warm"
"""`kind` of a trial that another search has run, see `hearai.search.sampling.warm_start`."""
ASK_AGAIN, DRAW_AGAIN = 10, 5000
"""How often the sampler is asked for a point that was not tried yet, and how many random ones are then looked at before
the space counts as exhausted. A sampler that is sure of its best point proposes it for ever."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


@contextmanager
def open_journal(folder: Path, synced: AbstractContextManager | None = None) -> Iterator[Journal]:
    """The study folder's journal, ours alone while the context lasts.

    kept: entered when the folder is ours and before the journal is read, see `hearai.search.storage.study_sync`.

    Raises:
        UserError: another process is searching in this folder, or the journal is damaged beyond its end.
    """
    path = folder / JOURNAL
    with owned(folder), synced or nullcontext():
        repair(path)
        path.with_name(path.name + ".lock").unlink(missing_ok=True)  # left by a dead dashboard: blocks it for 30 s
        yield Journal(path)


@dataclass(frozen=True)
class Proposal:
    """A trial to run: its number in the journal, the searched parameters, and notes kept with it."""

    number: int
    params: Mapping[str, Value]
    notes: Mapping[str, Any]


def is_real(trial: FrozenTrial) -> bool:
    """Whether it is a trial of this search: not a proposal that was put aside, nor one of another search."""
    return not is_rejected(trial) and trial.user_attrs.get("kind") != WARM


def is_rejected(trial: FrozenTrial) -> bool:
    """Whether it was proposed and not begun."""
    return DUPLICATE in trial.user_attrs or BREAKS_RULE in trial.user_attrs


class _Study(optuna.Study):
    """An Optuna study in which trials of several metrics may be stopped by the first of them.

    Optuna's TPE ranks stopped trials by their last intermediate value in the study's one `direction`, and raises
    where there are several. Ours are values of the primary metric, so its direction is the one that is asked for.
    (Other samplers look at the values of complete trials only.)
    """

    @property
    def direction(self) -> StudyDirection:
        """Of the primary metric."""
        return self.directions[0]


def primary(trial: FrozenTrial) -> float | None:
    """Its value of the primary metric: the final one of a complete trial, the last one of a stopped trial.

    None where it failed, has not ended, or was stopped before it had any. (`trial.value` raises where there are
    several metrics, of which a stopped trial has no values.)
    """
    if trial.values:
        return trial.values[0]
    if trial.state is not TrialState.PRUNED or not trial.intermediate_values:
        return None
    return trial.intermediate_values[max(trial.intermediate_values)]


class TrialStore:
    """One Optuna study in the journal, spoken to in our words."""

    def __init__(
        self,
        storage: Journal,
        name: str,
        sampler: BaseSampler,
        *,
        unique: bool,
        points: Iterator[Mapping[str, Value]] | None = None,
        spare: Iterator[Mapping[str, Value]] | None = None,
        broken_rule: Callable[[Mapping[str, Value]], str | None] | None = None,
        metrics: Sequence[str] = (OBJECTIVE,),
    ):
        """unique: a point of the space is tried once; finalists repeat theirs with other seeds.

        points: what to try, one after another, in place of what the sampler proposes.
        spare: where untried points come from when the sampler has none.
        broken_rule: what is wrong with a point that is not to be tried, or None.
        metrics: what a complete trial has values of, the primary one first (see `hearai.metrics`).
        """
        self.metrics = tuple(metrics)
        optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=True,
            directions=[METRICS[metric].direction for metric in metrics],
        )
        # the scheduler stops trials, nobody else
        self.optuna = _Study(name, storage, sampler=sampler, pruner=optuna.pruners.NopPruner())
        for trial in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if is_rejected(trial):  # killed between the note and the verdict
                self.finish(trial.number, TrialState.FAIL)
        self._storage, self._points, self._spare = storage, points, spare or iter(())
        self._broken_rule = broken_rule or (lambda _: None)
        self._left_running = [trial.number for trial in self.trials(TrialState.RUNNING)]
        tried = self.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL) if unique else []
        self._seen = {_key(trial.params): trial.number for trial in tried} if unique else None

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Real trials (see `is_real`), of the given states or of all."""
        return [trial for trial in self.optuna.get_trials(deepcopy=False, states=states or None) if is_real(trial)]

    def __getitem__(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def enqueue(self, params: Mapping[str, Value], notes: Mapping[str, Any]) -> None:
        """Puts a trial first in the queue, unless one with these notes is already in the journal."""
        if not any(trial.user_attrs.items() >= dict(notes).items() for trial in self.trials()):
            self.optuna.enqueue_trial(dict(params), user_attrs=dict(notes))

    def add_known(self, trial: FrozenTrial) -> None:
        """Adds a trial that has ended elsewhere, for the sampler to learn from."""
        self.optuna.add_trial(trial)

    def is_full(self, limit: int) -> bool:
        """Whether `limit` trials were begun here, and none waits to be taken up again."""
        begun = [trial for trial in self.trials() if trial.state is not TrialState.WAITING]
        return not self._left_running and len(begun) >= limit

    def propose(self, choose: Callable[[Trial], Mapping[str, Value]]) -> Proposal | None:
        """The next trial: those left running by a dead process come first, as they were.

        choose: asks Optuna's trial for its parameters. None: nothing untried could be found.
        """
        with self._storage.batch():
            return self._taken_up(choose) if self._left_running else self._asked(choose)

    @property
    def has_left(self) -> bool:
        """Whether a trial waits to be taken up again."""
        return bool(self._left_running)

    def requeue(self, number: int) -> None:
        """A running trial whose machine died is proposed again before any other, as it was."""
        self._left_running.insert(0, number)

    def _taken_up(self, choose: Callable[[Trial], Mapping[str, Value]]) -> Proposal:
        """The next of those left running. One that died while it was asked gets the parameters that it lacks."""
        trial = Trial(self.optuna, self._id(self._left_running.pop(0)))
        params = choose(trial)
        if self._seen is not None:
            self._seen.setdefault(_key(params), trial.number)
        return Proposal(trial.number, params, trial.user_attrs)

    def _asked(self, choose: Callable[[Trial], Mapping[str, Value]]) -> Proposal | None:
        for _ in range(ASK_AGAIN):
            if self._points is not None and not self._queue_one_of(self._points):
                return None
            if proposal := self._proposed_once(choose):
                return proposal
        spare = islice(self._spare, DRAW_AGAIN)
        return self._proposed_once(choose) if self._queue_one_of(spare) else None

    def _proposed_once(self, choose: Callable[[Trial], Mapping[str, Value]]) -> Proposal | None:
        """What waits in the queue, or what the sampler says; None if that breaks a rule or was tried before."""
        trial = self.optuna.ask()
        params = choose(trial)
        if broken := self._broken_rule(params):
            trial.set_user_attr(BREAKS_RULE, broken)
            self.optuna.tell(trial.number, state=TrialState.FAIL)
            return None
        earlier = trial.number if self._seen is None else self._seen.setdefault(_key(params), trial.number)
        if earlier == trial.number:
            return Proposal(trial.number, params, trial.user_attrs)
        trial.set_user_attr(DUPLICATE, earlier)
        self.optuna.tell(trial.number, state=TrialState.FAIL)  # samplers ignore it
        return None

    def _queue_one_of(self, points: Iterator[Mapping[str, Value]]) -> bool:
        """Whether something waits in the queue: the next untried point is put there if nothing does."""
        if self.trials(TrialState.WAITING):
            return True
        point = next((point for point in points if _key(point) not in (self._seen or {})), None)
        if point is not None:
            self.optuna.enqueue_trial(dict(point))
        return point is not None

    def observe(self, number: int, epoch: int, value: float) -> None:
        """Stores the primary metric (finite) at an epoch; told twice, the first stays."""
        if epoch not in self[number].intermediate_values:
            self._storage.set_trial_intermediate_value(self._id(number), epoch, value)

    def note(self, number: int, **notes: Any) -> None:
        """Keeps plain values with a trial."""
        with self._storage.batch():
            for key, value in notes.items():
                self._storage.set_trial_user_attr(self._id(number), key, value)

    def finish(self, number: int, state: TrialState, value: float | Sequence[float] | None = None) -> None:
        """COMPLETE with its best value (one of each metric, finite), PRUNED at its last epoch, or FAIL.

        A finished trial stays as it is.
        """
        assert value is None or all(map(math.isfinite, value if isinstance(value, Sequence) else [value]))
        self.optuna.tell(number, value, state, skip_if_finished=True)

    def add_wall_time(self, seconds: float, slots: int) -> None:
        """Adds wall seconds to what this phase took so far."""
        known = self.optuna.user_attrs
        with self._storage.batch():
            self.optuna.set_user_attr("wall_seconds", round(self.wall_seconds + seconds, 3))
            self.optuna.set_user_attr("slot_seconds", round(known.get("slot_seconds", 0.0) + seconds * slots, 3))

    @property
    def wall_seconds(self) -> float:
        """What this phase took so far, over all calls."""
        return self.optuna.user_attrs.get("wall_seconds", 0.0)

    def _id(self, number: int) -> int:
        """Optuna's id of a trial, over all studies of the journal."""
        return self._storage.get_trial_id_from_study_id_trial_number(self.optuna._study_id, number)


def _key(params: Mapping[str, Value]) -> str:
    """The same for the same point; 2 x 0.1 and 0.2 may differ in their last digit."""
    return repr(sorted((name, f"{v:.12g}" if isinstance(v, float) else v) for name, v in params.items()))
