"""A disk that fills up during a search: the message names it, no file is torn, and the search continues with room."""

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
from tests.helpers.fault_injection import fill_disk, logged_epochs, small_disk

MakeStudy = Callable[..., Study]
SETTINGS = {"budget": {"trials": 3}, "finalists": {"count": 0}}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "30m"):
        yield tmp_path / "disk"


def temporary_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("leave", "message"),
    [
        (0, r"journal\.log: cannot be written"),
        pytest.param(200_000, r"trial 0001: .*state\.pt: cannot be written, its disk is full", marks=pytest.mark.slow),
    ],
    ids=["no room for the journal", "no room for a checkpoint"],
)
def test_a_search_ends_on_a_full_disk_and_continues_with_room(
    make_study: MakeStudy, disk: Path, leave: int, message: str
) -> None:
    printed: list[str] = []

    def print_line(line: str) -> None:
        printed.append(line)
        if "0000 complete" in line:
            fill_disk(disk, leave)

    study = make_study(SETTINGS, {"train_parameters.epochs": 4})
    with pytest.raises(UserError, match=message):
        run_study(study, Options(disk, max_concurrent=1), print_line)
    assert not any("FAILED" in line for line in printed), "a full disk does not fail the trial"
    assert not temporary_files(disk)
    before = {trial.number: trial.state.name for trial in read_journal(disk / "tiny" / "journal.log")[SEARCH].trials}
    assert before[0] == "COMPLETE" and set(before.values()) <= {"COMPLETE", "RUNNING"}
    metrics = (disk / "tiny" / "trials" / "0000" / "metrics.jsonl").read_bytes()

    (disk / "filler").unlink()
    outcome = run_study(study, Options(disk, max_concurrent=1), print_line)
    trials = read_journal(disk / "tiny" / "journal.log")[SEARCH].trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3 and outcome.succeeded
    assert (disk / "tiny" / "trials" / "0000" / "metrics.jsonl").read_bytes() == metrics
    assert all(logged_epochs(disk / "tiny" / "trials" / f"{number:04d}") == [1, 2, 3, 4] for number in range(3))

    write_results(disk / "tiny")
    summary = (disk / "tiny" / "summary.json").read_bytes()
    fill_disk(disk)
    with pytest.raises(DiskFull, match="its disk is full"):
        write_results(disk / "tiny")
    assert (disk / "tiny" / "summary.json").read_bytes() == summary and not temporary_files(disk)
    (disk / "filler").unlink()
    assert write_results(disk / "tiny")
    assert json.loads(summary) == json.loads((disk / "tiny" / "summary.json").read_bytes())
