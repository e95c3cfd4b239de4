"""A trial's folder on its node: of two attempts at a trial, the later one alone writes there."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hearai.config.config import to_dict
from hearai.errors import Superseded
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.context import ATTEMPT, open_trial_folder
from hearai.search.trial.log import failure_of, trial_log
from tests.helpers.s3_server import Bucket

Payload = Callable[[str | None], dict[str, Any]]


@pytest.fixture
def payload(make_config: Callable, tiny_dataset: Path, tmp_path: Path) -> Payload:
    """payload(storage): of trial 7 of a study."""

    def made(storage: str | None) -> dict[str, Any]:
        study = tmp_path / "study"
        where = {"home": str(study), "folder": str(study / "trials" / "0007"), "storage": storage}
        return {
            "study": "study",
            "number": 7,
            "label": "0007",
            "splits": 1,
            "config": to_dict(make_config(tiny_dataset)),
            **where,
        }

    return made


def test_an_attempt_that_was_taken_for_dead_is_told_so_and_the_later_one_goes_on(payload: Payload) -> None:
    with open_trial_folder(payload(None)) as dead, open_trial_folder(payload(None)) as alive:
        with pytest.raises(Superseded, match=r"taken for dead, and goes on in process \d+ on "):
            dead.ensure_current_attempt()
        alive.ensure_current_attempt()
        (alive.folder / ATTEMPT).unlink()
        alive.ensure_current_attempt(), dead.ensure_current_attempt()  # somebody tidied up: no reason to end either


def test_the_other_workers_of_a_group_are_no_attempt_of_their_own(payload: Payload) -> None:
    with open_trial_folder(payload(None)) as first, open_trial_folder(payload(None), writes=False) as other:
        first.ensure_current_attempt(), other.ensure_current_attempt()


def test_an_attempt_that_was_taken_for_dead_sends_nothing_to_the_store(
    payload: Payload, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on(node: str) -> dict[str, Any]:
        monkeypatch.setenv("HEARAI_HOME", str(tmp_path / node))
        return payload(bucket.uri)

    trial = StudyLocation(tmp_path / "study", bucket.uri).store.below("trials", "0007")
    with pytest.raises(Superseded), ExitStack() as stack:
        dead = stack.enter_context(open_trial_folder(on("one")))
        dead.folder.mkdir(parents=True)
        (dead.folder / "metrics.jsonl").write_text("epoch 1")
        dead.send()
        with open_trial_folder(on("other")) as alive:
            assert (alive.folder / "metrics.jsonl").read_text() == "epoch 1"
            (alive.folder / "metrics.jsonl").write_text("epoch 1, epoch 2")
            alive.send()
            (dead.folder / "metrics.jsonl").write_text("epoch 1, another epoch 2")
            with pytest.raises(Superseded):
                dead.send()
        mark = trial.read(ATTEMPT)
    assert trial.read("metrics.jsonl") == b"epoch 1, epoch 2"
    assert trial.read(ATTEMPT) == mark and b"process" in mark


def test_the_log_tells_of_the_end_of_such_an_attempt_and_blames_nobody(tmp_path: Path) -> None:
    with pytest.raises(Superseded), trial_log(tmp_path):
        raise Superseded("the trial was taken for dead, and goes on in process 5 on other")
    log = (tmp_path / "train.log").read_text()
    assert "ends: the trial was taken for dead, and goes on in process 5 on other" in log
    assert failure_of(tmp_path, killed="killed").startswith("killed"), "no error of the trial's own"
