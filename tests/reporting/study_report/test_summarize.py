"""The figures of a search, checked against numbers worked out by hand (see tests/helpers/study_builder.py)."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hearai.reporting.study_report.page import write_results
from tests.helpers.report_files import csv_rows_of, page_of, summary_of
from tests.helpers.study_builder import LR, SHARP

BLUR = "augmentations_parameters.blur_limit"


@pytest.mark.heavy
def test_the_summary_holds_the_figures_of_the_search(finished: Path) -> None:
    summary = summary_of(finished)
    assert summary["study"] == "tiny" and summary["space"] == "space" and summary["finished"]
    assert summary["objective"] == {
        **{"metric": "val/macro_f1", "mode": "max", "words": "macro-F1"},
        **{"heads": [], "metrics": ["objective"]},
    }
    assert summary["pareto"] == []
    assert summary["trials"] == {"total": 5, "complete": 2, "pruned": 2, "failed": 1, "paused": 0}
    assert summary["diverged"] == 1
    assert {key: summary["best"][key] for key in ("trial", "value", "epoch")} == {"trial": 1, "value": 0.6, "epoch": 2}
    assert summary["best"]["params"][LR] == 0.01 and BLUR not in summary["best"]["params"]
    assert summary["baseline"] == {"trial": 0, "value": 0.4, "epoch": 2}
    assert summary["memory_pss_gb"] == 1.234
    assert summary["importance"] == {} and summary["warnings"] == []
    assert summary["importance_note"] == "too few complete trials (2; 10 are needed)"
    assert set(summary["versions"]) == {"python", "torch", "ray", "optuna", "timm", "hearai"}


@pytest.mark.heavy
def test_finalists_have_mean_and_sample_std_best_first(finished: Path) -> None:
    best, base = summary_of(finished)["finalists"]
    assert (best["trial"], best["seeds"], best["values"], best["is_base"]) == (1, [1, 2], [0.55, 0.61], False)
    assert best["mean"] == pytest.approx(0.58)
    assert best["std"] == pytest.approx(0.06 / 2**0.5)
    assert (base["trial"], base["mean"], base["is_base"]) == (0, pytest.approx(0.42), True)


@pytest.mark.heavy
def test_overhead_is_slot_time_outside_training(finished: Path) -> None:
    seconds = summary_of(finished)["seconds"]
    training = 2.0 + 2.5 + 0.5 + 1.0 + 4 * 1.0  # five trials, of which one failed, and four finals
    assert seconds["trial_phase"] == 7.0 and seconds["training"] == pytest.approx(training)
    assert seconds["overhead_per_trial"] == pytest.approx((7.0 * 2 - training) / 9, abs=1e-3)
    assert seconds["wall"] == 30.0


@pytest.mark.heavy
def test_the_test_scores_are_those_of_the_file(finished: Path) -> None:
    summary = summary_of(finished)
    assert summary["test"] == json.loads((finished / "test.json").read_text())


@pytest.mark.heavy
def test_a_duplicate_point_is_counted_once(finished: Path, build_study: Callable) -> None:
    with build_study(finished) as builder:
        builder.search.enqueue(SHARP, {"wish": "the winner's point"})
        proposal = builder.search.propose(lambda trial: builder.ask(trial, SHARP))
        assert proposal.number == 6  # a random point; number 5 is the winner's, asked again
        builder.search.finish(proposal.number, TrialState.FAIL)
    assert summary_of(finished)["trials"]["total"] == 6
    assert [row["number"] for row in csv_rows_of(finished)] == ["0", "1", "2", "3", "4", "6"]


@pytest.mark.heavy
def test_a_search_continued_after_its_test_scores_is_unfinished(finished: Path, build_study: Callable) -> None:
    with build_study(finished) as builder:
        builder.run({LR: 0.05}, [0.7], "RUNNING")
    summary = summary_of(finished)
    assert not summary["finished"] and summary["best"]["trial"] == 1
    assert "Trials started after the test clips were scored are not included" in page_of(finished).text


@pytest.mark.heavy
def test_a_search_without_test_scores_shows_its_current_state(build_study: Callable) -> None:
    with build_study() as builder:
        builder.run(builder.study.base_params(), [0.2, 0.4, 0.3], "COMPLETE")
        builder.run({LR: 0.05}, [0.5], "RUNNING")
    summary, page = summary_of(builder.folder), page_of(builder.folder)
    assert summary["trials"] == {"total": 2, "complete": 1, "pruned": 0, "failed": 0, "paused": 0}
    assert summary["test"] is None and summary["finalists"] == [] and summary["best"]["trial"] == 0
    assert summary["seconds"]["wall"] is None and summary["seconds"]["overhead_per_trial"] is None
    assert "Best validation macro-F1 so far: 0.400 (trial 0)" in page.text
    assert "Not scored yet" in page.text and "running" in page.text
    assert "train.py" not in write_results(builder.folder)


@pytest.mark.heavy
def test_a_search_without_a_complete_trial(build_study: Callable) -> None:
    with build_study() as builder:
        builder.run(builder.study.base_params(), [], "FAIL")
    assert summary_of(builder.folder)["best"] is None
    assert summary_of(builder.folder)["baseline"] == {"trial": 0, "value": None, "epoch": None}
    text = " ".join(write_results(builder.folder).split())
    assert "No trial succeeded: 1 of 1 failed." in text
    assert "No epoch has been finished yet" in page_of(builder.folder).text


@pytest.mark.heavy
@pytest.mark.parametrize("journal", ["without trials", "empty", "absent"])
def test_a_search_without_trials(build_study: Callable, journal: str) -> None:
    with build_study() as builder:
        path = builder.folder / "journal.log"
    if journal == "empty":
        path.write_text("")
    elif journal == "absent":
        path.unlink()
    assert summary_of(builder.folder)["trials"]["total"] == 0
    assert "No trial has started yet." in page_of(builder.folder).text
    assert csv_rows_of(builder.folder) == []


@pytest.mark.heavy
def test_writing_again_gives_the_same_tables(finished: Path) -> None:
    first = summary_of(finished), csv_rows_of(finished)
    assert (summary_of(finished), csv_rows_of(finished)) == first
