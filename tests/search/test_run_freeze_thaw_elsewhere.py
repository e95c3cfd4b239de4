"""A paused trial resumes on another machine, with the scores of one that never paused."""

import json
import signal
from pathlib import Path

import pytest
import torch

from hearai.config.config import load_config
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.trial_store import SEARCH, is_paused
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from tests.helpers.s3_server import Bucket
from tests.helpers.search_process import SearchProcess, StudyFolder
from tests.helpers.small_space import small_space

pytestmark = pytest.mark.slow
TRIALS, EPOCHS, WAIT_S = 3, 12, 600
STARTS_AGAIN = "starts again from epoch 1"


def history(folder: Path) -> list[dict[str, float]]:
    """The metrics of a run's epochs without durations."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def paused_trials(study: StudyFolder) -> list[int]:
    path = study.folder / "journal.log"
    trials = read_journal(path).get(SEARCH, JournalSnapshot()).trials if path.exists() else []
    return [trial.number for trial in trials if is_paused(trial)]


def test_a_paused_trial_resumes_from_a_bucket_on_another_machine(
    bucket: Bucket, tmp_path: Path, tiny_dataset: Path
) -> None:
    space = tmp_path / "tiny.yaml"
    space.write_text(small_space(trials=TRIALS, epochs=EPOCHS).replace("{name: random}", "{name: freeze_thaw}"))
    command = ["--space", space, "--data-path", tiny_dataset, "--storage", bucket.uri]
    command += ["--epoch-budget", TRIALS * EPOCHS, "--max-concurrent", 1]
    first, second = (StudyFolder(tmp_path / name) for name in ("first", "second"))
    search = SearchProcess(*command, environment={"HEARAI_HOME": str(first.folder)})
    search.wait_until(lambda: list(first.folder.glob("mirrors/*/tiny")), WAIT_S)
    first = StudyFolder(next(first.folder.glob("mirrors/*/tiny")))
    search.wait_until(lambda: len(paused_trials(first)) > 1, WAIT_S)
    search.process.send_signal(signal.SIGINT)
    search.finish()
    left = {number: first.epoch(number) for number in paused_trials(first)}
    assert left, search.output

    again = SearchProcess(*command, environment={"HEARAI_HOME": str(second.folder)})
    assert again.finish(WAIT_S) == 0, again.output
    second = StudyFolder(next(second.folder.glob("mirrors/*/tiny")))
    second.assert_complete(TRIALS, EPOCHS)
    assert second.epochs_lost() == 0 and not any(STARTS_AGAIN in second.log(number) for number in range(TRIALS))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a trial
    for number in left:
        folder = second.folder / "trials" / f"{number:04d}"
        fit(load_config(folder / "config.yaml"), LocalRuntime("cpu", tmp_path / "alone" / folder.name))
        assert history(folder) == history(tmp_path / "alone" / folder.name)
    torch.set_num_threads(threads)
