"""What a trial's log says about its end."""

import logging
from pathlib import Path

import pytest

from hearai.search.trial_folder import failure_of, label_of, trial_log


def test_the_reason_of_a_failure_is_the_last_line_of_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError), trial_log(tmp_path):
        raise ValueError("no such thing")
    assert failure_of(tmp_path) == "ValueError: no such thing"


def test_a_process_that_was_killed_is_not_blamed_on_its_last_log_line(tmp_path: Path) -> None:
    with trial_log(tmp_path):
        logging.getLogger("hearai.training").info("epoch 1: train loss 0.3")
    assert failure_of(tmp_path).startswith("the process died; its last words: ")
    assert failure_of(tmp_path).endswith("epoch 1: train loss 0.3")


def test_a_process_that_died_at_once_left_no_log(tmp_path: Path) -> None:
    assert "before the run began" in failure_of(tmp_path)


def test_folders_are_named_by_number_and_finals_by_their_source_and_seed() -> None:
    assert label_of(7, {"kind": "search"}) == "0007"
    assert label_of(31, {"source": 7, "seed": 2}) == "0007-seed2"
