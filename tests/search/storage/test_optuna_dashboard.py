"""`optuna-dashboard runs/STUDY/journal.log` shows a running search."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hearai.search.storage.trial_store import SEARCH, TrialStore
from tests.helpers.optuna_dashboard import dashboard, fetch
from tests.helpers.suggestions import suggest_x


@pytest.mark.heavy
def test_a_running_search_is_shown(store: TrialStore, tmp_path: Path) -> None:
    number = store.propose(suggest_x).number
    store.observe(number, 1, 0.25)
    with dashboard(tmp_path / "journal.log") as address:
        studies = fetch(f"{address}/api/studies")["study_summaries"]
        assert [study["study_name"] for study in studies] == [SEARCH]
        store.observe(number, 2, 0.5)
        trials = fetch(f"{address}/api/studies/{studies[0]['study_id']}?after=0")["trials"]
    assert [trial["state"] for trial in trials] == ["Running"]
    assert [(value["step"], value["value"]) for value in trials[0]["intermediate_values"]] == [(1, 0.25), (2, 0.5)]
    assert re.fullmatch(r"0\.\d+", trials[0]["params"][0]["param_external_value"])


@pytest.mark.heavy
def test_all_metrics_and_the_epochs_of_the_first_are_shown(open_store: Callable, tmp_path: Path) -> None:
    with open_store(tmp_path, metrics=("objective", "seconds_per_clip")) as store:
        for state, value, values in ((TrialState.COMPLETE, 0.7, [0.7, 0.03]), (TrialState.PRUNED, 0.4, None)):
            number = store.propose(suggest_x).number
            store.observe(number, 1, value)
            store.observe(number, 2, value)
            store.finish(number, state, values)
        with dashboard(tmp_path / "journal.log") as address:
            study = fetch(f"{address}/api/studies")["study_summaries"][0]
            assert study["directions"] == ["maximize", "minimize"]
            trials = fetch(f"{address}/api/studies/{study['study_id']}?after=0")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete", "Pruned"]
    assert trials[0]["values"] == [0.7, 0.03]
    assert [value["value"] for value in trials[1]["intermediate_values"]] == [0.4, 0.4]
