"""A disk that fills up: a message that names it, nothing half-written, and the same command goes on with room."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hearai.config.study import Study
from hearai.errors import DiskFull, UserError
from hearai.reporting.study_report.page import write_results
from hearai.search.run import Options, run_study
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import SEARCH
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint
from tests.helpers.killing import epochs_of, fill, small_disk

MakeStudy = Callable[..., Study]
SETTINGS = {"budget": {"trials": 3}, "finalists": {"count": 0}}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "30m"):
        yield tmp_path / "disk"


def temporary_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(disk: Path) -> None:
    import torch

    save_checkpoint(disk / "last", {"epoch": 1, "weights": torch.zeros(100_000)})
    filler = fill(disk, leave=100_000)
    with pytest.raises(DiskFull, match=r"last/state\.pt: cannot be written, its disk is full"):
        save_checkpoint(disk / "last", {"epoch": 2, "weights": torch.zeros(100_000)})
    assert load_checkpoint(disk / "last")["epoch"] == 1 and not temporary_files(disk)
    filler.unlink()
    save_checkpoint(disk / "last", {"epoch": 2, "weights": torch.zeros(100_000)})
    assert load_checkpoint(disk / "last")["epoch"] == 2


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("leave", "words"),
    [
        (0, r"journal\.log: cannot be written"),
        (200_000, r"trial 0001: .*state\.pt: cannot be written, its disk is full"),
    ],
    ids=["no room for the journal", "no room for a checkpoint"],
)
def test_a_search_ends_in_words_and_goes_on_when_there_is_room(
    make_study: MakeStudy, disk: Path, leave: int, words: str
) -> None:
    said: list[str] = []

    def print_line(line: str) -> None:
        said.append(line)
        if "0000 complete" in line:
            fill(disk, leave)

    study = make_study(SETTINGS, {"train_parameters.epochs": 4})
    with pytest.raises(UserError, match=words):
        run_study(study, Options(disk, max_concurrent=1), print_line)
    assert not any("FAILED" in line for line in said), "it is no fault of a trial"
    assert not temporary_files(disk)
    before = {trial.number: trial.state.name for trial in read_journal(disk / "tiny" / "journal.log")[SEARCH].trials}
    assert before[0] == "COMPLETE" and set(before.values()) <= {"COMPLETE", "RUNNING"}
    synced = (disk / "tiny" / "trials" / "0000" / "metrics.jsonl").read_bytes()

    (disk / "filler").unlink()
    outcome = run_study(study, Options(disk, max_concurrent=1), print_line)
    trials = read_journal(disk / "tiny" / "journal.log")[SEARCH].trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3 and outcome.succeeded
    assert (disk / "tiny" / "trials" / "0000" / "metrics.jsonl").read_bytes() == synced
    assert all(epochs_of(disk / "tiny" / "trials" / f"{number:04d}") == [1, 2, 3, 4] for number in range(3))

    write_results(disk / "tiny")
    whole = (disk / "tiny" / "summary.json").read_bytes()
    fill(disk)
    with pytest.raises(DiskFull, match="its disk is full"):
        write_results(disk / "tiny")
    assert (disk / "tiny" / "summary.json").read_bytes() == whole and not temporary_files(disk)
    (disk / "filler").unlink()
    assert write_results(disk / "tiny")
    assert json.loads(whole) == json.loads((disk / "tiny" / "summary.json").read_bytes())
