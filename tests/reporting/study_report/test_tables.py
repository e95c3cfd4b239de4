"""The rows of trials.csv."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.reporting.text import csv_cell
from tests.helpers.report_files import csv_rows_of
from tests.helpers.study_builder import LR

BLUR = "augmentations_parameters.blur_limit"


@pytest.mark.heavy
def test_one_row_per_trial_with_parameters_scores_and_reason(finished: Path) -> None:
    base, best, stopped, failed, diverged = csv_rows_of(finished)
    assert (base["kind"], base["state"], base["objective"], base["seconds"]) == ("base", "COMPLETE", "0.4", "2.0")
    assert (best["epochs"], best["best_epoch"], best["val/gloss/macro_f1"]) == ("3", "2", "0.61")
    assert (best[LR], best["augmentations_parameters.apply_blur"], best[BLUR]) == ("0.01", "false", "")
    assert (stopped["state"], stopped["epochs"], stopped["objective"]) == ("PRUNED", "1", "0.1")
    assert (failed["state"], failed["objective"], failed["seconds"]) == ("FAIL", "", "")
    assert failed["failure"] == 'ValueError: <b>no, "such"</b>'
    assert (diverged["diverged"], stopped["diverged"]) == ("true", "false")


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"])
def test_text_that_a_spreadsheet_would_run_is_quoted(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-0.5, "-0.5", "+1e-3", "", None, "ValueError: no", "a=b", True])
def test_numbers_and_other_text_stay(value: object) -> None:
    assert csv_cell(value) is value


@pytest.mark.heavy
def test_failures_are_no_formulas_and_no_escape_sequences(finished: Path, call: Callable) -> None:
    path = finished / "journal.log"
    path.write_text(path.read_text().replace("ValueError: <b>no", "=HYPERLINK(0)\\u001b[2J\\u009b31m"))
    assert csv_rows_of(finished)[3]["failure"].startswith("'=HYPERLINK(0)")
    code, out, _ = call("report", finished)
    assert code == 0 and "=HYPERLINK(0)\\x1b[2J\\x9b31m" in out and "\x1b" not in out and "\x9b" not in out
