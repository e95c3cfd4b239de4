"""The format of summary.json, which scripts read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from tests.helpers.report_files import summary_of

STORED = Path(__file__).with_name("summary.json")
"""The summary of the fixture's study as an earlier version wrote it."""


@pytest.mark.heavy
def test_keys_order_and_values_equal_the_stored_file(finished: Path) -> None:
    stored = json.loads(STORED.read_text())
    summary = summary_of(finished)
    del summary["health"]  # newer than the stored file
    assert summary.keys() == stored.keys() and summary["versions"].keys() == stored["versions"].keys()
    assert json.dumps({**summary, "versions": stored["versions"]}) == json.dumps(stored)


@pytest.mark.heavy
def test_the_file_is_indented_by_one_space(finished: Path) -> None:
    summary_of(finished)
    lines = (finished / "summary.json").read_text().splitlines()
    assert lines[:2] == STORED.read_text().splitlines()[:2] and lines[-1] == "}"


@pytest.mark.heavy
def test_pretraining_time_is_listed_only_where_there_was_some(finished: Path, build_study: Callable) -> None:
    assert "pretraining" not in summary_of(finished)["seconds"]
    with build_study(finished) as builder:
        builder.search.optuna_study.set_user_attr("pretraining_seconds", 12.5)
    assert summary_of(finished)["seconds"]["pretraining"] == 12.5


@pytest.mark.heavy
def test_running_trials_are_those_that_have_not_ended(finished: Path) -> None:
    trials = summarize(read_record(finished)).trials
    assert trials.running == 0
    assert replace(trials, total=9).running == 4


@pytest.mark.heavy
def test_a_retrained_winner_is_listed_with_its_files(finished: Path) -> None:
    assert summary_of(finished)["retrained"] is None
    best = finished / "final" / "best"
    best.mkdir(parents=True)
    (best / "state.pt").touch()
    assert summary_of(finished)["retrained"] == {"checkpoint": str(best), "config": "final.yaml"}
