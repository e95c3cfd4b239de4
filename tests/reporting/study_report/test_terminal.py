"""The text for the terminal: 80 columns, all figures, the files and the command."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.reporting.study_report.page import write_results
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from hearai.reporting.study_report.summary import RetrainedWinner
from hearai.reporting.study_report.terminal import terminal_text
from tests.helpers.report_files import page_of


@pytest.mark.heavy
def test_80_columns_with_figures_files_and_command(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.parent.parent)
    text = write_results(Path("runs/tiny"))
    assert max(map(len, text.splitlines())) <= 80
    assert "5 trials (2 complete, 2 stopped early, 1 failed; 1 diverged)" in text
    assert re.search(r"gloss +0\.410 +0\.520 +0\.\d{3}", text)
    assert re.search(r"trial 1 +0\.580 \+- 0\.042 +2 seeds", text)
    assert "importance of parameters: too few complete trials (2; 10 are needed)" in text
    assert "wall time 30.0 s; training time 10.0 s" in text
    assert "per trial 0.4 s of the slots' time went to starts, waiting and idle slots\n  peak memory 1.23 GB" in text
    assert "runs/tiny/report.html" in text
    assert text.endswith("  python experiments/train.py --config runs/tiny/best.yaml")


@pytest.mark.heavy
def test_one_seed_has_no_spread(build_study: Callable) -> None:
    with build_study() as builder:
        builder.run(builder.study.base_params(), [0.2, 0.4], "COMPLETE")
        builder.retrain(0, 1, 0.3)
    text = write_results(builder.folder)
    assert re.search(r"base config +0\.300 +1 seed\n", text) and "+- 0.000" not in text


@pytest.mark.heavy
def test_a_failed_base_config_is_a_dash(finished: Path) -> None:
    test = json.loads((finished / "test.json").read_text())
    (finished / "test.json").write_text(json.dumps({**test, "base": None}))
    text, page = write_results(finished), page_of(finished)
    assert "The base config failed" in " ".join(text.split())
    assert re.search(r"gloss +- +0\.520", text)
    assert "The base config failed" in page.text


@pytest.mark.heavy
def test_the_training_command_has_the_threads_of_the_trial(finished: Path, build_study: Callable) -> None:
    with build_study(finished) as builder:
        builder.search.optuna_study.set_user_attr("threads", 3)
    assert write_results(finished).endswith("train.py --config " + str(finished / "best.yaml") + " --threads 3")


@pytest.mark.heavy
@pytest.mark.parametrize("ended_by", ["trial budget (24)", "the budget of 24 trials"], ids=["current", "older"])
def test_the_stopping_criterion_is_named(finished: Path, ended_by: str) -> None:
    record = read_record(finished)
    known = replace(summarize(record), ended_by=ended_by)
    assert f"1 failed; 1 diverged); stopping criterion: {ended_by}" in " ".join(terminal_text(record, known).split())


def test_a_retrained_winner_has_no_scores_of_its_own(finished: Path) -> None:
    record = read_record(finished)
    text = terminal_text(record, replace(summarize(record), retrained=RetrainedWinner("final/best", "final.yaml")))
    assert "No held-out clips remain" in text and "final/best" in text


@pytest.mark.heavy
def test_the_training_command_has_the_users_own_code(finished: Path) -> None:
    (run := finished / "trials" / "0000").mkdir(parents=True, exist_ok=True)
    (run / "code.json").write_text(json.dumps({"path": "my code", "sha256": "0"}))
    assert write_results(finished).endswith(" --code 'my code'")
    for damaged in ("{", "[]", '{"path": 1}', json.dumps({"path": "a\x1b[31m"})):
        (run / "code.json").write_text(damaged)
        assert "--code" not in write_results(finished)
