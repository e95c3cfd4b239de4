"""The trial store: the Optuna journal as this package uses it. It is the source of truth of a search.

A call that changes a trial returns once its lines are on the disk, in `journal.log`, so a search killed at any moment
continues from the file alone. One file holds two Optuna studies: `search` (proposed by the sampler) and `finals` (the
finalists' retraining with new seeds). A journal has one writer.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from hearai.config.search_space.domains import Value
from hearai.metrics import METRICS, OBJECTIVE
from hearai.search.storage.attributes import (
    BREAKS_RULE,
    DUPLICATE_OF,
    KIND,
    PAUSED,
    SLOT_SECONDS,
    WALL_SECONDS,
    WARM_KIND,
)
from hearai.search.storage.journal_backend import Journal

SEARCH, FINALS = "search", "finals"
"""Names of the two Optuna studies in a journal."""
BASE_TRIAL = 0
"""Number of the base config's trial, which is always the first."""
MAX_ASKS, MAX_FALLBACK_DRAWS = 10, 5000
"""How often the sampler is asked for an untried point, and how many fallback points are examined after that, before the
space counts as exhausted. A sampler that is certain of its best point proposes it forever."""

optuna.logging.set_verbosity(optuna.logging.WARNING)

Suggest = Callable[[Trial], Mapping[str, Value]]
"""Asks an Optuna trial for its parameters and returns them."""


@dataclass(frozen=True)
class Proposal:
    """A trial to run: its number in the journal, the searched parameters, and its attributes."""

    number: int
    params: Mapping[str, Value]
    user_attrs: Mapping[str, Any]


def is_own_trial(trial: FrozenTrial) -> bool:
    """Whether it is a trial of this search: neither a rejected proposal nor a trial of another search."""
    return not is_rejected(trial) and trial.user_attrs.get(KIND) != WARM_KIND


def is_rejected(trial: FrozenTrial) -> bool:
    """Whether it was proposed but never started: a duplicate, or its parameters break a rule."""
    return DUPLICATE_OF in trial.user_attrs or BREAKS_RULE in trial.user_attrs


def is_paused(trial: FrozenTrial) -> bool:
    """Whether it has not ended but does not train: it may be trained on later."""
    return trial.state is TrialState.RUNNING and bool(trial.user_attrs.get(PAUSED))


class _Study(optuna.Study):
    """An Optuna study in which trials with several metrics may be pruned by the first of them.

    Optuna's TPE ranks pruned trials by their last intermediate value and the study's `direction`, which raises for
    several metrics. Our intermediate values are of the primary metric, so its direction is the right one. (Other
    samplers only use the values of complete trials.)
    """

    @property
    def direction(self) -> StudyDirection:
        """Of the primary metric."""
        return self.directions[0]


def primary_value(trial: FrozenTrial) -> float | None:
    """The primary metric of a trial: its final value if complete, its last intermediate value if pruned, else None.

    Unlike `trial.value` it does not raise for several metrics. A trial pruned before its first epoch has no value.
    """
    if trial.values:
        return trial.values[0]
    if trial.state is not TrialState.PRUNED or not trial.intermediate_values:
        return None
    return trial.intermediate_values[max(trial.intermediate_values)]


def final_value(trial: FrozenTrial) -> float:
    """The primary metric of a complete trial."""
    return trial.values[0]


class TrialStore:
    """One Optuna study of the journal: proposes trials and stores their progress."""

    def __init__(
        self,
        storage: Journal,
        name: str,
        sampler: BaseSampler,
        *,
        unique: bool,
        points: Iterator[Mapping[str, Value]] | None = None,
        fallback: Iterator[Mapping[str, Value]] | None = None,
        violation: Callable[[Mapping[str, Value]], str | None] | None = None,
        metrics: Sequence[str] = (OBJECTIVE,),
        is_hidden: Callable[[FrozenTrial], bool] = lambda _: False,
    ):
        """unique: try each point of the space once; finals repeat points with new seeds.

        points: tried one after another, instead of asking the sampler.
        fallback: points to try when the sampler only proposes known ones.
        violation: the rule that a point breaks, so that it must not be tried, or None.
        metrics: those that a complete trial has values of, the primary one first (see `hearai.metrics`).
        is_hidden: whether a trial lies outside of a narrowed space.
        """
        self._is_hidden = is_hidden
        self.metrics = tuple(metrics)
        optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=True,
            directions=[METRICS[metric].direction for metric in metrics],
        )
        # only the scheduler prunes
        self.optuna_study = _Study(name, storage, sampler=sampler, pruner=optuna.pruners.NopPruner())
        for trial in self.optuna_study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if is_rejected(trial):  # killed between setting the attribute and ending the trial
                self.finish(trial.number, TrialState.FAIL)
        self._storage, self._points, self._fallback = storage, points, fallback or iter(())
        self._violation = violation or (lambda _: None)
        self._requeued = [trial.number for trial in self.trials(TrialState.RUNNING) if not is_paused(trial)]
        """Trials to propose again before any other. At first those that an earlier process left RUNNING."""
        tried = self.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL) if unique else []
        self._seen = {_key(trial.params): trial.number for trial in tried} if unique else None

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """This search's trials (see `is_own_trial`) in the given states, or in any."""
        found = self.optuna_study.get_trials(deepcopy=False, states=states or None)
        return [trial for trial in found if is_own_trial(trial)]

    def eligible_trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials that may become finalists: inside the space. The base config's is always among them."""
        return [trial for trial in self.trials(*states) if trial.number == BASE_TRIAL or not self._is_hidden(trial)]

    @property
    def hidden_count(self) -> int:
        """How many trials lie outside of a narrowed space."""
        return sum(map(self._is_hidden, self.trials()))

    def __getitem__(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def enqueue(self, params: Mapping[str, Value], user_attrs: Mapping[str, Any]) -> None:
        """Queues a trial, to be proposed before new ones, unless the journal has one with these attributes."""
        if not any(trial.user_attrs.items() >= dict(user_attrs).items() for trial in self.trials()):
            self.optuna_study.enqueue_trial(dict(params), user_attrs=dict(user_attrs))

    def batch(self) -> AbstractContextManager[None]:
        """Writes what a with block changes together at its end: a killed process has written all of it, or nothing."""
        return self._storage.batch()

    def add_finished(self, trial: FrozenTrial) -> None:
        """Adds a trial of another search, from which the sampler learns."""
        self.optuna_study.add_trial(trial)

    def room(self, limit: int) -> int:
        """How many trials may be started until `limit` were; those that are paused count as started."""
        started = [trial for trial in self.trials() if trial.state is not TrialState.WAITING]
        return max(limit - len(started), 0)

    def is_full(self, limit: int) -> bool:
        """Whether `limit` trials were started and none is requeued."""
        return not self._requeued and not self.room(limit)

    def propose(self, suggest: Suggest) -> Proposal | None:
        """The next trial; requeued ones come first, with the same parameters. None: no untried point was found."""
        with self._storage.batch():
            return self._propose_requeued(suggest) if self._requeued else self._propose_new(suggest)

    @property
    def has_queued(self) -> bool:
        """Whether trials wait in the queue, such as the base config's."""
        return bool(self.trials(TrialState.WAITING))

    @property
    def has_requeued(self) -> bool:
        """Whether a trial is to be proposed again."""
        return bool(self._requeued)

    def requeue(self, number: int) -> None:
        """A running trial that lost its node is proposed again before any other, with the same parameters."""
        self._requeued.insert(0, number)

    def pause(self, number: int, epoch: int) -> None:
        """A running trial is paused after an epoch (from 1)."""
        self.set_user_attrs(number, {PAUSED: epoch})

    def resume(self, number: int) -> Proposal:
        """A paused trial trains on, with the same parameters."""
        self.set_user_attrs(number, {PAUSED: 0})
        trial = self[number]
        return Proposal(number, trial.params, trial.user_attrs)

    def propose_point(self, params: Mapping[str, Value], suggest: Suggest) -> Proposal | None:
        """A new trial with these parameters; with the next fallback point if they were tried or break a rule."""
        with self._storage.batch():
            self.optuna_study.enqueue_trial(dict(params))
            return self._ask(suggest) or self._propose_fallback(suggest)

    def _propose_requeued(self, suggest: Suggest) -> Proposal:
        """The next requeued trial. If its process died while suggesting, the missing parameters are suggested now."""
        trial = Trial(self.optuna_study, self._id(self._requeued.pop(0)))
        params = suggest(trial)
        if self._seen is not None:
            self._seen.setdefault(_key(params), trial.number)
        return Proposal(trial.number, params, trial.user_attrs)

    def _propose_new(self, suggest: Suggest) -> Proposal | None:
        for _ in range(MAX_ASKS):
            if self._points is not None and not self._fill_queue(self._points):
                return None
            if proposal := self._ask(suggest):
                return proposal
        return self._propose_fallback(suggest)

    def _propose_fallback(self, suggest: Suggest) -> Proposal | None:
        fallback = islice(self._fallback, MAX_FALLBACK_DRAWS)
        return self._ask(suggest) if self._fill_queue(fallback) else None

    def _ask(self, suggest: Suggest) -> Proposal | None:
        """A trial from the queue, else from the sampler; None if it was rejected."""
        trial = self.optuna_study.ask()
        params = suggest(trial)
        if rule := self._violation(params):
            self._reject(trial, BREAKS_RULE, rule)
            return None
        earlier = trial.number if self._seen is None else self._seen.setdefault(_key(params), trial.number)
        if earlier != trial.number:
            self._reject(trial, DUPLICATE_OF, earlier)
            return None
        return Proposal(trial.number, params, trial.user_attrs)

    def _reject(self, trial: Trial, attribute: str, value: Any) -> None:
        """Ends a proposal as failed: samplers ignore failed trials."""
        trial.set_user_attr(attribute, value)
        self.optuna_study.tell(trial.number, state=TrialState.FAIL)

    def _fill_queue(self, points: Iterator[Mapping[str, Value]]) -> bool:
        """Queues the next untried point if the queue is empty; returns whether the queue has an entry."""
        if self.trials(TrialState.WAITING):
            return True
        point = next((point for point in points if _key(point) not in (self._seen or {})), None)
        if point is not None:
            self.optuna_study.enqueue_trial(dict(point))
        return point is not None

    def observe(self, number: int, epoch: int, value: float) -> None:
        """Stores the primary metric (finite) at an epoch; of several values for an epoch the first is kept."""
        if epoch not in self[number].intermediate_values:
            self._storage.set_trial_intermediate_value(self._id(number), epoch, value)

    def set_user_attrs(self, number: int, user_attrs: Mapping[str, Any]) -> None:
        """Stores attributes of a trial, see `hearai.search.storage.attributes`; the values are plain JSON types."""
        with self._storage.batch():
            for key, value in user_attrs.items():
                self._storage.set_trial_user_attr(self._id(number), key, value)

    def finish(self, number: int, state: TrialState, value: float | Sequence[float] | None = None) -> None:
        """Ends a trial: COMPLETE with its best value (finite, one per metric), PRUNED at its last epoch, or FAIL.

        A finished trial does not change.
        """
        assert value is None or all(map(math.isfinite, value if isinstance(value, Sequence) else [value]))
        self.optuna_study.tell(number, value, state, skip_if_finished=True)

    def add_wall_time(self, seconds: float, slots: int) -> None:
        """Adds wall time of this study's trials."""
        slot_seconds = self.optuna_study.user_attrs.get(SLOT_SECONDS, 0.0)
        with self._storage.batch():
            self.optuna_study.set_user_attr(WALL_SECONDS, round(self.wall_seconds + seconds, 3))
            self.optuna_study.set_user_attr(SLOT_SECONDS, round(slot_seconds + seconds * slots, 3))

    @property
    def wall_seconds(self) -> float:
        """Wall time of this study's trials, over all calls."""
        return self.optuna_study.user_attrs.get(WALL_SECONDS, 0.0)

    def _id(self, number: int) -> int:
        """Optuna's id of a trial, unique over all studies of the journal."""
        return self._storage.get_trial_id_from_study_id_trial_number(self.optuna_study._study_id, number)


def _key(params: Mapping[str, Value]) -> str:
    """Equal for equal points; 2 x 0.1 and 0.2 may differ in their last digit."""
    return repr(sorted((name, f"{v:.12g}" if isinstance(v, float) else v) for name, v in params.items()))
