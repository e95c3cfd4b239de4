"""The rows of trials.csv."""

from pathlib import Path

from tests.helpers.report_files import csv_rows_of
from tests.helpers.study_builder import LR

BLUR = "augmentations_parameters.blur_limit"


def test_one_row_per_trial_with_parameters_scores_and_reason(finished: Path) -> None:
    base, best, stopped, failed, diverged = csv_rows_of(finished)
    assert (base["kind"], base["state"], base["objective"], base["seconds"]) == ("base", "COMPLETE", "0.4", "2.0")
    assert (best["epochs"], best["best_epoch"], best["val/gloss/macro_f1"]) == ("3", "2", "0.61")
    assert (best[LR], best["augmentations_parameters.apply_blur"], best[BLUR]) == ("0.01", "false", "")
    assert (stopped["state"], stopped["epochs"], stopped["objective"]) == ("PRUNED", "1", "0.1")
    assert (failed["state"], failed["objective"], failed["seconds"]) == ("FAIL", "", "")
    assert failed["failure"] == 'ValueError: <b>no, "such"</b>'
    assert (diverged["diverged"], stopped["diverged"]) == ("true", "false")
