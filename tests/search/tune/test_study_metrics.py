"""What a search shows to Prometheus: the values, and that a real Prometheus gets them from a running search."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
import yaml
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.config.study import Study
from hearai.search.cluster.resources import TrialResources
from hearai.search.run import Options, run_study
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore
from hearai.search.trial.trial_metrics import CLIPS, MEMORY, TRIAL_GAUGES
from hearai.search.tune.study_metrics import (
    BEST_OBJECTIVE,
    FAILED,
    FINISHED,
    PAUSED,
    PREFIX,
    PRUNED,
    RUNNING,
    SLOTS,
    STUDY_GAUGES,
    SUGGESTION,
    ended_trials,
)
from tests.helpers import ROOT
from tests.helpers.prometheus import needs_prometheus, prometheus, query

CONFIG = ROOT / "cluster" / "grafana" / "prometheus.yml"
DISCOVERY = Path(yaml.safe_load(CONFIG.read_text())["scrape_configs"][0]["file_sd_configs"][0]["files"][0])
"""A link to the file of the node that started last; the tests follow the name in the folder of their own session."""


def test_counts_cover_the_whole_journal(tmp_path: Path) -> None:
    with open_journal(tmp_path) as storage:
        search = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        finals = TrialStore(storage, FINALS, RandomSampler(0), unique=False)
        assert ended_trials(search, finals) == {FINISHED: 0, PRUNED: 0, FAILED: 0, PAUSED: 0}, "no best objective yet"
        ends = [(TrialState.COMPLETE, 0.5), (TrialState.COMPLETE, 0.7), (TrialState.PRUNED, None)]
        for state, value in [*ends, (TrialState.FAIL, None)]:
            number = search.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)}).number
            search.observe(number, 1, 0.9)  # the last value of a stopped trial is not a best objective
            search.finish(number, state, value)
        search.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)})  # runs
        number = finals.propose(lambda trial: {}).number
        finals.finish(number, TrialState.COMPLETE, 0.8)
    with open_journal(tmp_path) as storage:  # as in a search that continues
        search = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        finals = TrialStore(storage, FINALS, RandomSampler(0), unique=False)
        assert ended_trials(search, finals) == {FINISHED: 3, PRUNED: 1, FAILED: 1, PAUSED: 0, BEST_OBJECTIVE: 0.7}


@needs_prometheus
def test_prometheus_sees_paused_trials(ray_session: None, make_study: Callable[..., Study], tmp_path: Path) -> None:
    settings = {"budget": {"trials": 4}, "finalists": {"count": 0}, "sampler": {"name": "freeze_thaw"}}
    study = make_study(settings | {"early_stopping": {"name": "none"}}, {"train_parameters.epochs": 60}, "watched")
    with prometheus(tmp_path / "prometheus", discovery_file()) as address:
        run_study(study, Options(tmp_path, max_concurrent=1), lambda line: None)
        until = time.monotonic() + 60
        while not (most := highest(address))[PAUSED] and time.monotonic() < until:
            time.sleep(0.5)
    assert most[PAUSED] >= 1 and most[RUNNING] == most[SLOTS] == 1 and most[SUGGESTION] > 0


@needs_prometheus
def test_prometheus_gets_all_gauges_without_a_token(
    ray_session: None, make_study: Callable[..., Study], tmp_path: Path
) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://{ray._private.worker.get_dashboard_url()}/api/jobs/", timeout=10)
    long = {"train_parameters.epochs": 150}  # several times the scrape interval of Prometheus
    study = make_study({"budget": {"trials": 3}, "finalists": {"count": 0}}, long, "watched")
    with prometheus(tmp_path / "prometheus", discovery_file()) as address:
        run_study(study, Options(tmp_path, max_concurrent=1), lambda line: None)
        until = time.monotonic() + 60  # until the last values have arrived
        while (most := highest(address))[FINISHED] != 3 and time.monotonic() < until:
            time.sleep(0.5)
        with_speed = query(address, f'count by (trial) (max_over_time({PREFIX}{CLIPS}{{study="watched"}}[5m]) > 0)')
    expected = {RUNNING: 1, FINISHED: 3, PRUNED: 0, FAILED: 0, PAUSED: 0, MEMORY: 0, SLOTS: 1}
    assert {name: most[name] for name in expected} == expected
    assert 0 < most[BEST_OBJECTIVE] <= 1 and most[CLIPS] > 1 and 0 < most[SUGGESTION] < 60
    assert {entry["metric"]["trial"] for entry in with_speed} == {"0000", "0001", "0002"}


def discovery_file() -> Path:
    """The scrape targets of this Ray session."""
    assert DISCOVERY.resolve().name == DISCOVERY.name, "Ray keeps the link that our Prometheus file names"
    return Path(ray._private.worker._global_node.get_session_dir_path()) / DISCOVERY.name


def highest(address: str) -> dict[str, float | None]:
    """{gauge: highest value that Prometheus has seen of the study `watched`}."""
    names = (*STUDY_GAUGES, *TRIAL_GAUGES)
    found = {name: query(address, f'max(max_over_time({PREFIX}{name}{{study="watched"}}[5m]))') for name in names}
    return {name: float(series[0]["value"][1]) if series else None for name, series in found.items()}


@pytest.mark.slow
@needs_prometheus
def test_the_first_worker_of_a_group_shows_the_speed_of_all(
    ray_session: None, make_study: Callable[..., Study], tmp_path: Path
) -> None:
    long = {"train_parameters.epochs": 60}
    study = make_study({"budget": {"trials": 1}, "finalists": {"count": 0}}, long, "grouped")
    with prometheus(tmp_path / "prometheus", discovery_file()) as address:
        run_study(study, Options(tmp_path, resources=TrialResources(workers=2)), lambda line: None)
        processes = query(address, f'max_over_time({PREFIX}{CLIPS}{{study="grouped"}}[5m]) > 0')
    assert [entry["metric"]["trial"] for entry in processes] == ["0000"], "one series, of one process"
