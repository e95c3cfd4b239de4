"""`budget.stop_when: plateau`: ends a search whose next trials are expected to gain less than a seed changes."""

from collections.abc import Callable, Sequence

from optuna.trial import FrozenTrial, TrialState

from hearai.config.study import Study
from hearai.config.study_schema import PLATEAU
from hearai.search.early_stopping.expected_gain import (
    MIN_VALUES,
    NEXT_TRIALS,
    curve_noise,
    describe_gain,
    expected_gain,
    seed_spread,
)
from hearai.search.storage.attributes import ENDED_BY, SOURCE
from hearai.search.storage.trial_store import TrialStore, final_value

TRIALS_AFTER_STARTUP = 5
"""Complete trials beyond the sampler's random ones before a plateau is looked for."""


class Plateau:
    """Compares the expected gain of the next trials with the spread of seeds, whenever a trial has become complete.

    The spread is that of repeated seeds in the finals of an earlier call; without any, it is estimated from the curves
    of complete trials. Once reached, a plateau stays, also if the last running trials raise the expected gain, and in
    later calls: until one without `stop_when: plateau` has ended for another reason.

    A freeze-thaw search completes few trials, and those only that are good, so that their values do not say what others
    would have: its own model of the curves does, and trials count once they have reported.
    """

    def __init__(
        self,
        search: TrialStore,
        finals: TrialStore,
        *,
        startup_trials: int,
        epochs: int,
        gain: Callable[[int], float] | None = None,
    ):
        """startup_trials: those that the sampler draws at random.

        epochs: those of a run.
        gain: what so many further complete trials are expected to gain; None = estimated from the complete ones.
        """
        self._search, self._finals, self._epochs, self._gain = search, finals, epochs, gain
        self._needed = max(startup_trials + TRIALS_AFTER_STARTUP, MIN_VALUES)
        self._judged = 0
        """Number of complete trials when it was last judged."""
        ended_by = str(search.optuna_study.user_attrs.get(ENDED_BY, ""))
        self._reason = ended_by if ended_by.startswith(PLATEAU) else None

    @property
    def reason(self) -> str | None:
        """Why the search ends, as text; None if it does not."""
        if self._reason is None:
            complete = self._search.trials(TrialState.COMPLETE)
            known = complete if self._gain is None else [t for t in self._search.trials() if t.intermediate_values]
            if len(known) >= self._needed and len(complete) != self._judged:
                self._judged = len(complete)
                self._reason = self._judge(complete)
        return self._reason

    def _judge(self, complete: Sequence[FrozenTrial]) -> str | None:
        spread = self._spread(complete)
        if spread is None:
            return None
        values = [final_value(trial) for trial in complete]
        gain = expected_gain(values, NEXT_TRIALS) if self._gain is None else self._gain(NEXT_TRIALS)
        return None if gain > spread else f"{PLATEAU}: {describe_gain(gain, spread)}"

    def _spread(self, complete: Sequence[FrozenTrial]) -> float | None:
        measured = seed_spread(values_by_source(self._finals))
        return curve_noise((t.intermediate_values for t in complete), self._epochs) if measured is None else measured


def values_by_source(finals: TrialStore) -> dict[int, list[float]]:
    """{trial of the search: the values of its config with new seeds}."""
    values: dict[int, list[float]] = {}
    for final in finals.trials(TrialState.COMPLETE):
        values.setdefault(final.user_attrs[SOURCE], []).append(final_value(final))
    return values


def plateau_of(
    study: Study, search: TrialStore, finals: TrialStore, gain: Callable[[int], float] | None = None
) -> Plateau | None:
    """The criterion of a study; None if it has none. gain: see `Plateau`."""
    if study.settings.budget.stop_when != PLATEAU:
        return None
    epochs = study.base.train_parameters.epochs
    return Plateau(search, finals, startup_trials=study.settings.sampler.startup_trials, epochs=epochs, gain=gain)
