"""What a search shows to Prometheus: the numbers, and that a real Prometheus gets them from a running search."""

import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
import torch
import yaml
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.config.study import Study
from hearai.search.run import Options, run_study
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore, open_journal
from hearai.search.trial.trial_metrics import CLIPS, MEMORY, OF_A_TRIAL, TrialMetrics
from hearai.search.tune import study_metrics as gauges
from hearai.search.tune.study_metrics import (
    BEST_OBJECTIVE,
    FAILED,
    FINISHED,
    OF_A_STUDY,
    PREFIX,
    PRUNED,
    RUNNING,
    ended,
)
from tests.helpers import ROOT
from tests.helpers.prometheus import needs_prometheus, prometheus, query

CPU = torch.device("cpu")
CONFIG = ROOT / "cluster" / "grafana" / "prometheus.yml"
DISCOVERY = Path(yaml.safe_load(CONFIG.read_text())["scrape_configs"][0]["file_sd_configs"][0]["files"][0])


def report(epoch: float, seconds: float, clips: float = 30) -> dict[str, float]:
    return {"epoch": epoch, "seconds": seconds, "clips": clips}


@pytest.fixture
def trial() -> Iterator[TrialMetrics]:
    shown = TrialMetrics("tiny", "0003")
    yield shown
    shown.close()


def values(shown: TrialMetrics) -> dict[str, float]:
    return dict(shown._gauges._values)


def test_numbers_are_those_of_the_whole_journal_and_agree_with_how_trials_ended(tmp_path: Path) -> None:
    with open_journal(tmp_path) as storage:
        search = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        finals = TrialStore(storage, FINALS, RandomSampler(0), unique=False)
        assert ended(search, finals) == {FINISHED: 0, PRUNED: 0, FAILED: 0}, "no best objective yet"
        ends = [(TrialState.COMPLETE, 0.5), (TrialState.COMPLETE, 0.7), (TrialState.PRUNED, None)]
        for state, value in [*ends, (TrialState.FAIL, None)]:
            number = search.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)}).number
            search.observe(number, 1, 0.9)  # the last value of a stopped trial is no best objective
            search.finish(number, state, value)
        search.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)})  # runs
        number = finals.propose(lambda trial: {}).number
        finals.finish(number, TrialState.COMPLETE, 0.8)
    with open_journal(tmp_path) as storage:  # as a search that continues
        search = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        finals = TrialStore(storage, FINALS, RandomSampler(0), unique=False)
        assert ended(search, finals) == {FINISHED: 3, PRUNED: 1, FAILED: 1, BEST_OBJECTIVE: 0.7}


def test_speed_is_the_clips_of_an_epoch_over_its_seconds(trial: TrialMetrics) -> None:
    trial.on_report(report(1, 10), CPU)
    assert values(trial) == {CLIPS: 3, MEMORY: 0}, "no memory without a GPU"
    trial.on_report(report(2, 15), CPU)
    assert values(trial)[CLIPS] == 6, "of this epoch, not of all so far"


def test_a_report_of_an_earlier_attempt_says_nothing_of_this_one(trial: TrialMetrics) -> None:
    trial.on_report(report(7, 70), CPU)
    assert CLIPS not in values(trial)
    trial.on_report(report(8, 73), CPU)
    assert values(trial)[CLIPS] == 10


def test_a_report_of_older_code_has_no_clips(trial: TrialMetrics) -> None:
    trial.on_report({"epoch": 1, "seconds": 2.0}, CPU)
    assert values(trial) == {MEMORY: 0}


def test_a_trial_that_has_ended_shows_zero_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(SystemExit), gauges.trial_metrics("tiny", "0000") as on_report:
        on_report(report(1, 10), CPU)
        shown = on_report.__self__
        assert values(shown)[CLIPS] > 0
        raise SystemExit  # how Tune stops a trial
    assert values(shown) == {CLIPS: 0, MEMORY: 0}
    assert threading.active_count() == before


def test_only_the_first_worker_of_a_search_shows_anything() -> None:
    before = threading.active_count()
    with gauges.trial_metrics(None, "") as on_report:
        on_report(report(1, 10), CPU)
        assert threading.active_count() == before


def test_what_cannot_be_exported_is_told_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    odd = TrialMetrics("tiny", 7)  # Ray takes words as tags, and raises where they are not
    with caplog.at_level(logging.WARNING, "hearai"):
        for epoch in (1, 2):
            odd.on_report(report(epoch, epoch), CPU)
        odd.on_report({}, CPU)
        odd.close()
    texts = [record.getMessage() for record in caplog.records]
    assert len([text for text in texts if "Tag values must be str" in text]) == 1
    assert len([text for text in texts if "KeyError" in text]) == 1


@needs_prometheus
def test_prometheus_gets_every_number_of_a_running_search_and_needs_no_token(
    ray_session: None, make_study: Callable[..., Study], tmp_path: Path
) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://{ray._private.worker.get_dashboard_url()}/api/jobs/", timeout=10)
    long = {"train_parameters.epochs": 250}  # several times what lies between two looks of Prometheus
    study = make_study({"budget": {"trials": 3}, "finalists": {"count": 0}}, long, "watched")
    with prometheus(tmp_path / "prometheus", DISCOVERY) as address:
        run_study(study, Options(tmp_path), lambda line: None)
        until = time.monotonic() + 15  # the last numbers are still on their way
        while (most := highest(address))[FINISHED] != 3 and time.monotonic() < until:
            time.sleep(0.5)
        at_work = query(address, f'count by (trial) (max_over_time({PREFIX}{CLIPS}{{study="watched"}}[5m]) > 0)')
    expected = {RUNNING: 2, FINISHED: 3, PRUNED: 0, FAILED: 0, MEMORY: 0}
    assert {name: most[name] for name in expected} == expected
    assert 0 < most[BEST_OBJECTIVE] <= 1 and most[CLIPS] > 1
    assert {entry["metric"]["trial"] for entry in at_work} == {"0000", "0001", "0002"}


def highest(address: str) -> dict[str, float | None]:
    """{gauge: highest value that Prometheus has seen of the study `watched`}."""
    names = (*OF_A_STUDY, *OF_A_TRIAL)
    found = {name: query(address, f'max(max_over_time({PREFIX}{name}{{study="watched"}}[5m]))') for name in names}
    return {name: float(series[0]["value"][1]) if series else None for name, series in found.items()}


@pytest.mark.slow
@needs_prometheus
def test_of_a_group_of_workers_the_first_one_shows_the_speed_of_all(
    ray_session: None, make_study: Callable[..., Study], tmp_path: Path
) -> None:
    long = {"train_parameters.epochs": 60}
    study = make_study({"budget": {"trials": 1}, "finalists": {"count": 0}}, long, "grouped")
    with prometheus(tmp_path / "prometheus", DISCOVERY) as address:
        run_study(study, Options(tmp_path, workers=2), lambda line: None)
        processes = query(address, f'max_over_time({PREFIX}{CLIPS}{{study="grouped"}}[5m]) > 0')
    assert [entry["metric"]["trial"] for entry in processes] == ["0000"], "one series, of one process"
