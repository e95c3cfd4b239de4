"""The verdict: whether the search helped, and by more than the noise."""

import json
from pathlib import Path

import pytest

from hearai.reporting.study_report.page import write_results
from tests.helpers.report_files import page_of
from tests.helpers.study_builder import write_test_scores


@pytest.mark.parametrize(
    ("base", "best", "winner", "verdict"),
    [
        ([0.40, 0.42], [0.50, 0.54], 1, "The winner, trial 1, beats the base config"),
        ([0.40, 0.50], [0.44, 0.54], 1, "is not clearly better than the base config"),
        ([0.40, 0.50], [0.40, 0.44], 1, "does not beat the base config"),
        ([0.40, 0.50], [0.40, 0.50], 0, "The base config itself is the winner"),
    ],
)
def test_the_verdict_compares_gain_and_spread(
    finished: Path, base: list[float], best: list[float], winner: int, verdict: str
) -> None:
    write_test_scores(finished, winner=winner, base=base, best=best)
    text = write_results(finished)
    assert verdict in " ".join(text.split())
    assert verdict in page_of(finished).text


def test_a_single_run_each_may_be_chance(finished: Path) -> None:
    scores = json.loads((finished / "test.json").read_text())
    for one in scores.values():
        one.update(seeds=[None], per_seed=[one["mean_macro_f1"]], std=0.0)
    (finished / "test.json").write_text(json.dumps(scores))
    assert "With one run each, this may be chance" in " ".join(write_results(finished).split())


def test_older_test_scores_are_compared_by_the_mean_of_heads(finished: Path) -> None:
    scores = json.loads((finished / "test.json").read_text())
    assert not any("objective" in one for one in scores.values())
    assert "macro-F1 0.520 +- 0.028 against 0.410 +- 0.014" in " ".join(write_results(finished).split())
