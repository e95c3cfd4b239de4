"""A study that older code began, and that was killed in its second trial, continues with today's code."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import FINALS, SEARCH
from hearai.training.inference.assess import score_split
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint
from hearai.training.runtime import LocalRuntime
from tests.helpers.search_process import SearchProcess

ARCHIVE = Path(__file__).with_name("study_before_rebuild.tar.gz")
"""Dataset, space and study: trial 0 is complete, trial 1 was in epoch 10 of 40, the third of 3 had not started."""
COMPLETED_EPOCHS, EPOCHS = 9, 40

pytestmark = [pytest.mark.training, pytest.mark.usefixtures("ray_session")]


def replace_paths(value: Any, old: str, new: str) -> Any:
    """A tree of plain values with another folder in its strings."""
    if isinstance(value, dict):
        return {key: replace_paths(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replace_paths(inner, old, new) for inner in value)
    return value.replace(old, new) if isinstance(value, str) else value


@pytest.fixture
def older_study(tmp_path: Path) -> Path:
    """The study folder, as if it had been made in `tmp_path`."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    study = tmp_path / "runs" / "tiny"
    data_path = yaml.safe_load((study / "study.yaml").read_text())["config"]["general_parameters"]["data_path"][0]
    old, new = str(Path(data_path).parent), str(tmp_path)
    for path in (study / "study.yaml", *study.glob("trials/*/config.yaml")):
        path.write_text(path.read_text().replace(old, new))
    for checkpoint in (path.parent for path in study.glob("trials/*/*/state.pt")):
        save_checkpoint(checkpoint, replace_paths(load_checkpoint(checkpoint), old, new))
    os.utime(study / "journal.log", (0, 0))  # its search has been dead for long, whatever this machine's clock says
    return study


def test_a_study_of_older_code_continues(older_study: Path, tmp_path: Path) -> None:
    before = read_journal(older_study / "journal.log")[SEARCH].trials
    assert [trial.state.name for trial in before] == ["COMPLETE", "RUNNING"]
    metrics = [(older_study / "trials" / f"{trial:04d}" / "metrics.jsonl").read_text() for trial in (0, 1)]

    options = ["--space", tmp_path / "tiny.yaml", "--data-path", tmp_path / "data", "--storage", tmp_path / "runs"]
    address = ray.get_runtime_context().gcs_address
    search = SearchProcess(*options, "--name", "tiny", "--max-concurrent", 1, "--address", address)
    assert search.finish() == 0, search.output
    assert "the code has changed since the previous call" in search.output

    journal = read_journal(older_study / "journal.log")
    trials = journal[SEARCH].trials
    assert [(trial.number, trial.state.name) for trial in trials] == [(n, "COMPLETE") for n in range(3)]
    assert [trial.params for trial in trials[:2]] == [trial.params for trial in before]
    assert (trials[0].values, trials[0].user_attrs) == (before[0].values, before[0].user_attrs)
    assert (older_study / "trials" / "0000" / "metrics.jsonl").read_text() == metrics[0]
    resumed = (older_study / "trials" / "0001" / "metrics.jsonl").read_text()
    assert resumed.startswith(metrics[1]) and metrics[1].count("\n") == COMPLETED_EPOCHS
    assert [json.loads(line)["epoch"] for line in resumed.splitlines()] == list(range(1, EPOCHS + 1))
    assert {trial.state.name for trial in journal[FINALS].trials} == {"COMPLETE"}
    assert journal[FINALS].trials and (older_study / "test.json").is_file()


def test_a_checkpoint_of_older_code_can_be_evaluated(older_study: Path, tmp_path: Path) -> None:
    scores = score_split(older_study / "trials" / "0000" / "best", LocalRuntime("cpu", tmp_path / "scores"))
    assert 0 <= scores["mean_macro_f1"] <= 1 and scores["clips"] > 0
