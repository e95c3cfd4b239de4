"""Numbers, durations and names as people read them."""

import time

import pytest

from hearai.reporting.text import age_text, csv_cell, duration, gain, plain, score, short_names, shorten


def test_paths_are_shortened_to_unique_suffixes() -> None:
    names = short_names(["train_parameters.lr", "heads.a.x.loss_weight", "heads.a.y.loss_weight", "transformer.lr"])
    assert names == {
        "train_parameters.lr": "train_parameters.lr",
        "heads.a.x.loss_weight": "x.loss_weight",
        "heads.a.y.loss_weight": "y.loss_weight",
        "transformer.lr": "transformer.lr",
    }
    assert short_names(["a.b", "b"]) == {"a.b": "a.b", "b": "b"}


def test_values_have_four_digits() -> None:
    assert [plain(value) for value in (None, "", True, 0.000123456, 12, "tpe")] == [
        "-",
        "-",
        "true",
        "0.0001235",
        "12",
        "tpe",
    ]


def test_durations_have_readable_units() -> None:
    assert [duration(s) for s in (None, 7.46, 59.99, 750, 11100)] == [
        "unknown",
        "7.5 s",
        "60.0 s",
        "12 min 30 s",
        "3 h 05 min",
    ]


def test_scores_have_three_decimals_and_a_dash_for_unknown() -> None:
    assert (score(0.12345), score(None), gain(0.5, 0.512), gain(None, 0.5)) == ("0.123", "-", "+0.012", "-")


def test_ages_have_one_unit() -> None:
    now = time.time()
    ages = [age_text(now - seconds) for seconds in (5, 130, 7300, 90000, 180000)]
    assert ages == ["just now", "2 min ago", "2 h ago", "1 day ago", "2 days ago"]


def test_long_text_ends_in_an_ellipsis() -> None:
    assert (shorten("abcdef", 6), shorten("abcdefg", 6)) == ("abcdef", "abc...")


@pytest.mark.parametrize(
    "formula", ["=1+1", "+a1", "-1+cmd()", "@SUM(A1)", "\t=1", " =1", "\r\n-a1", "\uff1d1", "\ufeff=1"]
)
def test_cells_that_a_spreadsheet_would_run_are_escaped(formula: str) -> None:
    assert csv_cell(formula) == f"'{formula}"


@pytest.mark.parametrize("text", ["", "  ", "house", "a=b", "c-1", "data/-1", "'=1", "\u00bd"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert csv_cell(text) == text
