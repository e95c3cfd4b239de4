"""`budget.stop_when: plateau`: ends a search whose next trials are expected to gain less than a seed changes."""

from collections.abc import Sequence

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
    """

    def __init__(self, search: TrialStore, finals: TrialStore, *, startup_trials: int, epochs: int):
        """startup_trials: those that the sampler draws at random.

        epochs: those of a run.
        """
        self._search, self._finals, self._epochs = search, finals, epochs
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
            if len(complete) >= self._needed and len(complete) != self._judged:
                self._judged = len(complete)
                self._reason = self._judge(complete)
        return self._reason

    def _judge(self, complete: Sequence[FrozenTrial]) -> str | None:
        spread = self._spread(complete)
        gain = expected_gain([final_value(trial) for trial in complete], NEXT_TRIALS)
        return None if spread is None or gain > spread else f"{PLATEAU}: {describe_gain(gain, spread)}"

    def _spread(self, complete: Sequence[FrozenTrial]) -> float | None:
        seeds: dict[int, list[float]] = {}
        for final in self._finals.trials(TrialState.COMPLETE):
            seeds.setdefault(final.user_attrs[SOURCE], []).append(final_value(final))
        measured = seed_spread(seeds)
        return curve_noise((t.intermediate_values for t in complete), self._epochs) if measured is None else measured


def plateau_of(study: Study, search: TrialStore, finals: TrialStore) -> Plateau | None:
    """The criterion of a study; None if it has none."""
    if study.settings.budget.stop_when != PLATEAU:
        return None
    epochs = study.base.train_parameters.epochs
    return Plateau(search, finals, startup_trials=study.settings.sampler.startup_trials, epochs=epochs)
