"""The verdict: whether the search helped, and by more than the noise."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.reporting.study_report.findings.score_checks import validation_against_test
from hearai.reporting.study_report.page import write_results
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from hearai.reporting.study_report.verdict import gain_remark, score_remarks, stopping_remark
from tests.helpers.report_files import page_of
from tests.helpers.study_builder import LR, SHARP, StudyBuilder, write_test_scores


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("base", "best", "winner", "verdict", "colour"),
    [
        ([0.40, 0.42], [0.50, 0.54], 1, "The winner, trial 1, beats the base config", "pass"),
        ([0.40, 0.50], [0.44, 0.54], 1, "is not clearly better than the base config", "warning"),
        ([0.40, 0.50], [0.40, 0.44], 1, "does not beat the base config", "fail"),
        ([0.40, 0.50], [0.42, 0.48], 1, "is level with the base config", "fail"),
        ([0.40, 0.50], [0.40, 0.50], 0, "The base config itself is the winner", "warning"),
    ],
)
def test_the_verdict_compares_gain_and_spread(
    finished: Path, base: list[float], best: list[float], winner: int, verdict: str, colour: str
) -> None:
    write_test_scores(finished, winner=winner, base=base, best=best)
    text = write_results(finished)
    assert verdict in " ".join(text.split())
    assert verdict in page_of(finished).text
    assert f'<p class="verdict {colour}">' in (finished / "report.html").read_text()


@pytest.mark.heavy
def test_a_single_run_each_may_be_chance(finished: Path) -> None:
    scores = json.loads((finished / "test.json").read_text())
    for one in scores.values():
        one.update(seeds=[None], per_seed=[one["mean_macro_f1"]], std=0.0)
    (finished / "test.json").write_text(json.dumps(scores))
    assert "With one run each, this may be chance" in " ".join(write_results(finished).split())


@pytest.mark.heavy
def test_older_test_scores_are_compared_by_the_mean_of_heads(finished: Path) -> None:
    scores = json.loads((finished / "test.json").read_text())
    assert not any("objective" in one for one in scores.values())
    assert "macro-F1 0.520 +- 0.028 against 0.410 +- 0.014" in " ".join(write_results(finished).split())


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("test", "remark"),
    [
        ([0.45, 0.47], "The test score is 0.120 lower"),
        ([0.69, 0.71], "The test score is 0.120 higher"),
        ([0.57, 0.59], None),
    ],
)
def test_a_gap_between_validation_and_test_is_remarked_on(
    finished: Path, test: list[float], remark: str | None
) -> None:
    write_test_scores(finished, winner=1, base=[0.40, 0.42], best=test)  # the winner's finals have 0.58 on validation
    text, page = " ".join(write_results(finished).split()), page_of(finished).text
    for shown in (text, page):
        assert (remark in shown) if remark else ("Validation and test differ" not in shown)
        assert "The test scores are of 2 runs with new seeds. best/ has the winner's run in the search" in shown


@pytest.mark.heavy
def test_without_finals_the_run_of_the_search_is_compared(finished: Path) -> None:
    summary = summarize(read_record(finished))
    lucky = replace(summary, best=replace(summary.best, value=0.7), finalists=[])
    *_, gap = score_remarks(lucky)
    assert "the winner, in the search, has macro-F1 0.700" in gap and "0.180 lower" in gap
    scores = replace(summary.test.winner, seeds=(), objective=0.58)
    assert score_remarks(replace(lucky, best=summary.best, test=replace(summary.test, winner=scores))) == []


@pytest.mark.heavy
def test_a_winner_whose_search_run_failed_has_a_final(build_study: Callable) -> None:
    with build_study() as builder:
        builder.run(builder.study.base_params(), [], "FAIL", reason="killed by SIGKILL")
        builder.run(SHARP, [0.3, 0.6], "COMPLETE")
        for seed, base, best in ((1, 0.70, 0.5), (2, 0.72, 0.4)):
            builder.retrain(0, seed, base)
            builder.retrain(1, seed, best)
    write_test_scores(builder.folder, winner=0, base=[0.6, 0.6], best=[0.6, 0.6])
    text, page = " ".join(write_results(builder.folder).split()), page_of(builder.folder).text
    for shown in (text, page):
        assert "best/ has the best of them on the validation clips, with seed 2" in shown
        assert "epoch None" not in shown and "has the winner's run in the search" not in shown


@pytest.mark.heavy
def test_a_lucky_run_of_the_search_is_no_gap_after_finals(finished: Path) -> None:
    record = read_record(finished)
    summary = summarize(record)
    close = replace(summary.test, winner=replace(summary.test.winner, objective=0.58))
    lucky = replace(summary, best=replace(summary.best, value=0.7), test=close)
    assert not any("differ" in remark for remark in score_remarks(lucky))
    assert validation_against_test(record, lucky).status == "PASS"


def write_trials(builder: StudyBuilder, scores: list[list[float]], states: dict[int, str] | None = None) -> None:
    """The base config with a score of 0.1, and trials 1, 2, ... with these scores of their epochs."""
    builder.run(builder.study.base_params(), [0.1] * 3, "COMPLETE")
    for number, values in enumerate(scores, start=1):
        builder.run({**SHARP, LR: 0.001 * number}, values, (states or {}).get(number, "COMPLETE"))


def remarks_of(folder: Path) -> tuple[str, str | None]:
    summary = summarize(read_record(folder))
    return stopping_remark(summary), gain_remark(summary)


LATE_WINNER = [*([0.5 - number / 100] * 3 for number in range(10)), [0.2, 0.7, 0.8]]
"""Ten trials of which each is worse than the one before it, and one that is poor in its first epoch and ends best."""


@pytest.mark.heavy
def test_what_earlier_stopping_would_have_saved_is_said(build_study: Callable) -> None:
    with build_study() as builder:
        write_trials(builder, LATE_WINNER)
    text, _ = remarks_of(builder.folder)
    # From epoch 2, of trials 1 to 11 the first, the best of each third, and the winner train their last epoch.
    assert text.startswith("With the same trials, stopping from epoch 2 (asha, one in 3 continues) would have saved ")
    assert text.endswith(" and kept trial 11, the best one; from epoch 1, it would have been lost.")
    assert text in page_of(builder.folder).text
    assert "would have saved" in " ".join(write_results(builder.folder).split())


@pytest.mark.heavy
def test_the_winner_and_the_other_finalists_are_counted(build_study: Callable) -> None:
    with build_study() as builder:
        write_trials(builder, LATE_WINNER)
        for source in (0, 1, 10, 11):
            builder.retrain(source, 1, 0.5)
    write_test_scores(builder.folder, winner=11, base=[0.1, 0.1], best=[0.7, 0.7])
    assert "kept the winner and 1 of 2 other finalists; from epoch 1, " in remarks_of(builder.folder)[0]


@pytest.mark.heavy
def test_stopping_that_loses_the_best_trial_everywhere_is_said(build_study: Callable) -> None:
    with build_study() as builder:
        write_trials(builder, [*([0.5 - number / 100] * 3 for number in range(10)), [0.2, 0.2, 0.8]])
    assert remarks_of(builder.folder)[0].endswith(" of the epochs and lost trial 11, the best one.")


@pytest.mark.heavy
def test_with_early_stopping_only_more_of_it_is_judged(build_study: Callable) -> None:
    with build_study() as builder:
        write_trials(builder, [*LATE_WINNER, [0.2, 0.2]], {12: "PRUNED"})
    text, _ = remarks_of(builder.folder)
    assert "stopping also from epoch 1 (asha" in text and text.endswith("and lost trial 11, the best one.")


@pytest.mark.heavy
def test_why_nothing_is_known_of_earlier_stopping_is_said(finished: Path) -> None:
    text, gain = remarks_of(finished)
    assert text == "What earlier stopping would have saved is unknown: only 2 trials are complete; 5 are needed."
    assert gain is None and text in page_of(finished).text
    assert "earlier stopping" not in write_results(finished)


@pytest.mark.heavy
def test_the_expected_gain_is_compared_with_the_spread_of_seeds(build_study: Callable) -> None:
    with build_study() as builder:
        write_trials(builder, [[0.5 + number / 1000] * 3 for number in range(12)])
        assert remarks_of(builder.folder)[1] is None, "no config has several seeds"
        builder.retrain(0, 1, 0.40)
        builder.retrain(0, 2, 0.44)
    text = remarks_of(builder.folder)[1]
    assert text is not None and text.startswith("10 more trials are expected to gain 0.0")
    assert text.endswith(", a seed moves 0.028.")
    assert text in page_of(builder.folder).text and text in " ".join(write_results(builder.folder).split())


@pytest.mark.heavy
def test_the_gain_of_freeze_thaw_is_that_of_its_own_model(build_study: Callable) -> None:
    """Two complete trials say nothing about others; nine that were stopped count."""
    with build_study(sampler={"name": "freeze_thaw"}) as builder:
        write_trials(builder, [[0.5, 0.55, 0.6]] * 2)
        builder.retrain(0, 1, 0.40)
        builder.retrain(0, 2, 0.44)
        assert remarks_of(builder.folder)[1] is None, "too few"
        for number in range(9):
            builder.run({**SHARP, LR: 0.02 + number / 200}, [0.3 + number / 100], "PRUNED")
    text = remarks_of(builder.folder)[1]
    gain = re.fullmatch(r"10 more trials are expected to gain (0\.\d{3}), a seed moves 0\.028\.", text or "")
    assert gain and 0 < float(gain[1]) < 0.5
