"""What an earlier attempt left in a trial's folder: the trial resumes from it, or it is removed."""

import logging
from pathlib import Path

import pytest

from hearai.config.config import Config
from hearai.search.trial.resume import clear_unusable
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime

pytestmark = pytest.mark.training


@pytest.fixture
def trial(tiny_config: Config, tmp_path: Path) -> tuple[Path, Config]:
    """A complete run of two epochs, and its config."""
    fit(tiny_config, LocalRuntime("cpu", tmp_path / "0003"))
    return tmp_path / "0003", tiny_config


def test_a_sound_checkpoint_stays_and_a_new_trial_logs_nothing(
    trial: tuple[Path, Config], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, config = trial
    before = (folder / "last" / "state.pt").read_bytes()
    with caplog.at_level(logging.INFO, "hearai"):
        clear_unusable(folder, config)
        clear_unusable(tmp_path / "0004", config)
    assert (folder / "last" / "state.pt").read_bytes() == before
    assert not caplog.records and not (tmp_path / "0004").exists()


def truncate(folder: Path) -> None:
    state = folder / "last" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])


def delete(folder: Path) -> None:
    (folder / "last" / "state.pt").unlink()
    (folder / "last").rmdir()


def replace_config(folder: Path) -> None:
    """As if the journal had lost this trial and given its number to another."""
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("output_size: 16", "output_size: 24"))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (truncate, "cannot be read as a checkpoint"),
        (delete, "the checkpoint of an earlier attempt is missing"),
        (replace_config, "holds a run of another config"),
        (lambda folder: (folder / "config.yaml").unlink(), "config.yaml"),
    ],
)
def test_unusable_checkpoints_are_removed_and_logged(
    trial: tuple[Path, Config], caplog: pytest.LogCaptureFixture, damage, problem: str
) -> None:
    folder, config = trial
    damage(folder)
    with caplog.at_level(logging.INFO, "hearai"):
        clear_unusable(folder, config)
    assert not (folder / "last").exists() and not (folder / "best").exists()
    for text in (caplog.text, (folder / "train.log").read_text()):
        assert problem in text and "the trial starts again from epoch 1" in text


def test_a_trial_that_starts_again_gives_equal_results(trial: tuple[Path, Config]) -> None:
    folder, config = trial
    before = (folder / "metrics.jsonl").read_text()
    truncate(folder)
    clear_unusable(folder, config)
    again = fit(config, LocalRuntime("cpu", folder, resume=True))
    assert again.epochs == 2
    rows = [
        line.partition('"seconds"')[0]
        for text in (before, (folder / "metrics.jsonl").read_text())
        for line in text.splitlines()
    ]
    assert rows[:2] == rows[2:]


def test_an_attempt_without_a_checkpoint_is_no_problem(
    tiny_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "0005" / "last").mkdir(parents=True)
    with caplog.at_level(logging.INFO, "hearai"):
        assert not clear_unusable(tmp_path / "0005", tiny_config)
    assert not caplog.records and not (tmp_path / "0005" / "last").exists()


def test_files_that_a_killed_process_half_wrote_are_removed(trial: tuple[Path, Config]) -> None:
    folder, config = trial
    half = folder / "last" / ".state.pt.123"
    half.write_bytes(b"half")
    clear_unusable(folder, config)
    assert not half.exists() and (folder / "last" / "state.pt").exists()
