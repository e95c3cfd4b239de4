"""Journals with forged, missing or moved lines are refused with the line; a journal that is gone is not begun again."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hearai.errors import UserError
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.journal_reader import read_journal
from tests.helpers.suggestions import suggest_x


@pytest.fixture
def journal(open_store: Callable, tmp_path: Path) -> Path:
    """Three complete trials, searched in two calls."""
    folder = tmp_path / "study"
    for count in (2, 1):
        with open_store(folder) as store:
            for _ in range(count):
                number = store.propose(suggest_x).number
                store.observe(number, 1, 0.5)
                store.set_user_attrs(number, {"epochs": 1})
                store.finish(number, TrialState.COMPLETE, 0.5)
    return folder / "journal.log"


def refusals(path: Path) -> list[str]:
    """What a report and a search say; the file does not change."""
    before, messages = path.read_bytes(), []
    for read in (lambda: read_journal(path), lambda: open_journal(path.parent).__enter__()):
        with pytest.raises(UserError) as refused:
            read()
        messages.append(str(refused.value))
        assert path.read_bytes() == before
    return messages


def test_a_journal_without_its_beginning_is_refused(journal: Path) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    again = next(i for i in range(1, len(lines)) if json.loads(lines[i])["op_code"] == 0)  # the second call
    for lost in {1, 2, len(lines) // 2, again}:
        journal.write_text("".join(lines[lost:]))
        for message in refusals(journal):
            assert "beginning of the journal is missing" in message or "lines before this one are missing" in message


@pytest.mark.parametrize("seed", range(8))
def test_a_shuffled_journal_is_refused(journal: Path, seed: int) -> None:
    first, *lines = journal.read_text().splitlines(keepends=True)
    random.Random(seed).shuffle(lines)
    journal.write_text("".join([first, *lines]))
    assert all(
        "their order has changed" in message and "put back a copy" in message.lower() for message in refusals(journal)
    )


def test_a_trial_that_changes_after_its_end_is_refused(journal: Path) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    end = next(i for i, line in enumerate(lines) if '"op_code":6' in line)
    journal.write_text("".join([*lines[: end - 2], lines[end], *lines[end - 2 : end], *lines[end + 1 :]]))
    assert all(f"journal.log:{end + 1}" in message or "has ended" in message for message in refusals(journal))


DEEP = "[" * 100_000 + "]" * 100_000
DATE = "2030-01-01T00:00:00"
FORGED = {
    "unknown op code": {"op_code": 77},
    "text as op code": {"op_code": "4"},
    "no trial": {"op_code": 6, "state": 1, "values": None, "datetime_complete": DATE},
    "text as value": {"op_code": 6, "trial_id": 0, "state": 1, "values": ["high"], "datetime_complete": DATE},
    "NaN as value": {"op_code": 7, "trial_id": 0, "step": 1, "intermediate_value": float("nan")},
    "unknown state": {"op_code": 6, "trial_id": 0, "state": 9, "values": None, "datetime_complete": DATE},
    "no date": {"op_code": 4, "study_id": 0, "datetime_start": "yesterday"},
    "list as attributes": {"op_code": 8, "trial_id": 0, "user_attr": ["epochs"]},
    "negative trial": {"op_code": 8, "trial_id": -1, "user_attr": {"epochs": 1}},
    "broken distribution": {
        "op_code": 5,
        "trial_id": 0,
        "param_name": "x",
        "param_value_internal": 1,
        "distribution": "{}",
    },
    "no such choice": {
        "op_code": 5,
        "trial_id": 0,
        "param_name": "x",
        "param_value_internal": 3,
        "distribution": json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}),
    },
}


@pytest.mark.heavy
@pytest.mark.parametrize("line", [DEEP, *(json.dumps({**log, "worker_id": "w"}) for log in FORGED.values())])
def test_a_forged_line_is_refused_with_its_number(journal: Path, line: str) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:6], f"{line}\n", *lines[6:]]))
    assert all(message.startswith(f"{journal}:7: damaged: not a journal line") for message in refusals(journal))


@pytest.mark.parametrize("lost", ["renamed", "deleted", "replaced"])
def test_a_journal_that_is_gone_is_not_begun_again(open_store: Callable, journal: Path, lost: str) -> None:
    folder, moved = journal.parent, journal.parent.with_name("moved")
    with open_store(folder) as store:
        store.propose(suggest_x)
        folder.rename(moved)
        if lost == "replaced":
            folder.mkdir()
            journal.write_text("")
        elif lost == "deleted":
            folder.mkdir()
        content = (moved / "journal.log").read_bytes()
        for _ in range(2):
            with pytest.raises(UserError, match="journal.log: is gone, or was replaced.*Move the folder back"):
                store.propose(suggest_x)
    assert not journal.exists() or not journal.read_bytes()
    assert (moved / "journal.log").read_bytes() == content


def test_a_journal_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.log").mkdir()
    with pytest.raises(UserError, match="not a file"):
        read_journal(tmp_path / "journal.log")
