"""What a study shows to Prometheus while it runs, through `ray.util.metrics`.

Every node of the cluster serves the gauges of its own processes; Ray writes the addresses of all nodes into
`prom_metrics_service_discovery.json` in its session folder. Prometheus sees each name with Ray's prefix, as
`ray_hearai_trials_running{study="..."}`; `cluster/grafana/` has a dashboard for them. A gauge that cannot be exported
is logged once and ends neither a trial nor a search.
"""

from collections import Counter
from typing import Any

from optuna.trial import TrialState
from ray.tune import Callback
from ray.tune.experiment import Trial

from hearai.search.storage.trial_store import TrialStore, final_value, is_paused
from hearai.search.trial.trial_metrics import Gauges, log_errors

PREFIX = "ray_"
"""What Ray puts before every name."""
RUNNING, FINISHED, PRUNED = "hearai_trials_running", "hearai_trials_finished", "hearai_trials_pruned"
FAILED, BEST_OBJECTIVE, PAUSED = "hearai_trials_failed", "hearai_best_objective", "hearai_trials_paused"
SLOTS, SUGGESTION = "hearai_slots", "hearai_suggestion_seconds"
STUDY_GAUGES = {
    RUNNING: "Trials that run now, including those of the finals.",
    FINISHED: "Trials of the search and its finals that ran to their last epoch, over all calls.",
    PRUNED: "Trials that were stopped before their last epoch, over all calls.",
    FAILED: "Trials that failed, over all calls.",
    PAUSED: "Trials that were paused and may be trained on.",
    SLOTS: "Trials that can run at the same time.",
    SUGGESTION: "Seconds for which the last proposed trial of the search waited for its parameters; absent before the "
    "first one.",
    BEST_OBJECTIVE: "Best objective of a finished trial of the search, in [0, 1]; absent before the first one.",
}
"""{gauge: description}, with the tag `study`."""


class StudyMetrics(Callback):
    """Tune's callback that shows the state of a search. Counts come from the journal, so they cover all calls."""

    def __init__(self, study: str, slots: int, search: TrialStore, finals: TrialStore):
        """slots: how many trials run at the same time at most."""
        self._search, self._finals, self._slots = search, finals, slots
        self._running: set[str] = set()
        """Tune's ids. In the journal, trials that an earlier call left behind are RUNNING as well."""
        self._gauges = Gauges(STUDY_GAUGES, {"study": study})
        self._show()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks, and the state is in the journal."""
        return {}

    def on_proposal(self, seconds: float) -> None:
        """seconds: for which a trial of the search waited until it was proposed."""
        with log_errors():
            self._gauges.show({SUGGESTION: seconds})

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.add(trial.trial_id)
        self._show()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        self._show()

    on_trial_error = on_trial_complete

    def close(self) -> None:
        """Shows that no trial runs any more."""
        self._running.clear()
        self._show()
        self._gauges.close()

    def _show(self) -> None:
        with log_errors():
            self._gauges.show(
                {RUNNING: len(self._running), SLOTS: self._slots, **ended_trials(self._search, self._finals)}
            )


def ended_trials(search: TrialStore, finals: TrialStore) -> dict[str, float]:
    """{gauge: value} of the trials that have ended. The finals count as trials, but not for the best objective."""
    states = Counter(trial.state for store in (search, finals) for trial in store.trials())
    values: dict[str, float] = {
        FINISHED: states[TrialState.COMPLETE],
        PRUNED: states[TrialState.PRUNED],
        FAILED: states[TrialState.FAIL],
        PAUSED: sum(map(is_paused, search.trials(TrialState.RUNNING))),
    }
    best = max((final_value(trial) for trial in search.trials(TrialState.COMPLETE)), default=None)
    return values if best is None else {**values, BEST_OBJECTIVE: best}
