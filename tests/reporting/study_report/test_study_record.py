"""Reading a study folder: torn lines are ignored, broken files are named, nothing is changed."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hearai.errors import UserError
from hearai.reporting.study_report.page import write_results
from hearai.reporting.study_report.study_record import read_record
from tests.helpers.report_files import csv_rows_of, summary_of


@pytest.mark.heavy
def test_a_torn_last_journal_line_is_ignored_and_kept(finished: Path) -> None:
    before = summary_of(finished)
    path = finished / "journal.log"
    torn = path.read_bytes() + b'{"op_code":4,"worker'
    path.write_bytes(torn)
    assert summary_of(finished) == before
    assert path.read_bytes() == torn


@pytest.mark.heavy
def test_a_broken_line_inside_the_journal_is_named(finished: Path) -> None:
    path = finished / "journal.log"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{broken\n", *lines[3:]]))
    with pytest.raises(UserError, match=r"journal\.log:4"):
        write_results(finished)


@pytest.mark.heavy
def test_a_torn_line_of_metrics_is_ignored(finished: Path) -> None:
    path = finished / "trials" / "0001" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 4, "val/mac')
    assert csv_rows_of(finished)[1]["val/gloss/macro_f1"] == "0.61"


@pytest.mark.heavy
@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"base": null, "winner": null}'])
def test_broken_test_scores_are_named(finished: Path, content: str) -> None:
    (finished / "test.json").write_text(content)
    with pytest.raises(UserError, match=r"test\.json: no test scores can be read"):
        read_record(finished)


SCORES = {"trial": 1, "std": 0.1, "per_seed": [0.5], "mean_macro_f1": 0.5, "heads": {}}
DEEP = "[" * 100_000


@pytest.mark.heavy
@pytest.mark.parametrize(
    "content",
    [
        DEEP,
        json.dumps({"base": None, "winner": {**SCORES, "mean_macro_f1": float("nan")}}),
        json.dumps({"base": None, "winner": {**SCORES, "std": "small"}}),
        json.dumps({"base": None, "winner": {**SCORES, "heads": ["gloss"]}}),
        json.dumps({"base": None, "winner": {**SCORES, "heads": {"gloss": {"accuracy": 0.5}}}}),
        json.dumps({"base": [SCORES], "winner": SCORES}),
        json.dumps({"base": None, "winner": {**SCORES, "trial": "1"}}),
        '{"base": null, "note": 1e999, "winner": ' + json.dumps(SCORES) + "}",
    ],
)
def test_forged_test_scores_are_named(finished: Path, content: str) -> None:
    (finished / "test.json").write_text(content)
    with pytest.raises(UserError, match=r"test\.json: no test scores can be read \("):
        read_record(finished)


@pytest.mark.heavy
def test_scores_of_a_trial_that_the_journal_lacks(finished: Path) -> None:
    (finished / "journal.log").write_text("")
    with pytest.raises(UserError, match=r"journal\.log: has no trial 0 and 1, of which test\.json has the scores"):
        read_record(finished)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "line",
    [
        DEEP,
        "[1, 2]",
        '{"val/macro_f1": 0.5}',
        '{"epoch": "one", "val/macro_f1": 0.5}',
        '{"epoch": NaN, "val/macro_f1": 0.5}',
        '{"epoch": 1, "val/macro_f1": NaN}',
        '{"epoch": 1, "val/macro_f1": "high"}',
        '{"epoch": 1, "val/macro_f1": 0.5, "val/gloss/macro_f1": [0.5]}',
    ],
)
def test_forged_metrics_are_named(finished: Path, line: str) -> None:
    path = finished / "trials" / "0001" / "metrics.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(UserError, match=r"0001/metrics\.jsonl.*delete the file to report without its curve"):
        read_record(finished)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", "three"),
        ("best_epoch", -1),
        ("seconds", [1]),
        ("seconds", float("inf")),
        ("costs", ["seconds_per_clip"]),
        ("diverged", "no"),
    ],
)
def test_forged_attributes_are_named(finished: Path, key: str, value: Any) -> None:
    path = finished / "journal.log"
    lines = path.read_text().splitlines()
    logs = [json.loads(line) for line in lines]
    number = next(i for i, log in enumerate(logs) if log["op_code"] == 8 and key in log["user_attr"])
    logs[number]["user_attr"][key] = value
    path.write_text("".join(json.dumps(log) + "\n" for log in logs))
    with pytest.raises(UserError, match=rf"journal\.log: trial 0: {key}"):
        read_record(finished)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": ["a"]},
        {"name": ["tiny"]},
        {"space": ["train_parameters.lr"]},
        {"space": None},
        {"config": ["lr"]},
        {"config": {"train_parameters": [1]}},
        {"budget": [1]},
        {"objective": "best"},
    ],
    ids=str,
)
def test_forged_studies_are_named(finished: Path, changes: dict[str, Any]) -> None:
    path = finished / "study.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))
    with pytest.raises(UserError, match=rf"study\.yaml: {next(iter(changes))}"):
        read_record(finished)
