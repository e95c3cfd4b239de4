"""`optuna-dashboard runs/STUDY/journal.log`: a search that is under way, in the browser."""

import re
from pathlib import Path

from optuna.samplers import RandomSampler

from hearai.search.storage.trial_store import SEARCH, TrialStore, open_journal
from tests.helpers.optuna_dashboard import dashboard, fetch


def test_the_dashboard_shows_a_search_that_is_under_way(tmp_path: Path) -> None:
    with open_journal(tmp_path) as storage:
        store = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        number = store.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)}).number
        store.observe(number, 1, 0.25)
        with dashboard(tmp_path / "journal.log") as address:
            studies = fetch(f"{address}/api/studies")["study_summaries"]
            assert [study["study_name"] for study in studies] == [SEARCH]
            store.observe(number, 2, 0.5)
            trials = fetch(f"{address}/api/studies/{studies[0]['study_id']}?after=0")["trials"]
    assert [trial["state"] for trial in trials] == ["Running"]
    assert [(value["step"], value["value"]) for value in trials[0]["intermediate_values"]] == [(1, 0.25), (2, 0.5)]
    assert re.fullmatch(r"0\.\d+", trials[0]["params"][0]["param_external_value"])
