"""Complete searches on a tiny dataset: their files, how they continue, what they refuse."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from hearai.config.config import load_config
from hearai.config.model_parts.code_folder import code_record, use_code
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.data.annotations.load import forget_data
from hearai.errors import ConfigError, DataError
from hearai.reporting.study_report.page import write_results
from hearai.search.cluster.resources import TrialResources
from hearai.search.run import Options, run_study
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import is_same_model
from hearai.training.outputs.saved_state import load_best
from hearai.training.runtime import LocalRuntime
from tests.helpers import ROOT
from tests.helpers.fault_injection import kill_when_started
from tests.helpers.text_files import write_text

pytestmark = pytest.mark.usefixtures("ray_session")
MakeStudy = Callable[..., Study]


def search(study: Study, storage: Path, slots: int = 1) -> dict:
    """Runs the study; returns its summary, with the printed lines under `printed`.

    A slot is a process, which imports torch for several seconds.
    """
    printed: list[str] = []
    outcome = run_study(study, Options(storage, max_concurrent=slots), printed.append)
    write_results(outcome.folder)
    summary = json.loads((outcome.folder / "summary.json").read_text())
    return {**summary, "printed": printed, "succeeded": outcome.succeeded}


def test_a_search_writes_its_files_and_a_reproducible_winner(make_study: MakeStudy, tmp_path: Path) -> None:
    summary = search(make_study(), tmp_path, slots=2)
    folder = tmp_path / "tiny"
    left = {path.name for path in folder.iterdir()}
    assert {"study.yaml", "command.txt", "journal.log", "trials.csv", "split.csv", "test.json"} <= left
    assert {"best.yaml", "best", "summary.json", "report.html", "trials", "output.log"} <= left
    assert {"data.json", "test_confusion.json", "test_examples.json"} <= left
    assert not [check for check in summary["health"] if check["id"] == "slots" and check["status"] == "UNKNOWN"]
    assert set(summary["printed"]) <= set((folder / "output.log").read_text().splitlines())
    assert summary["trials"] == {"total": 3, "complete": 3, "pruned": 0, "failed": 0, "paused": 0}
    assert summary["baseline"]["trial"] == 0
    assert {entry["trial"] for entry in summary["finalists"]} >= {0, summary["best"]["trial"]}
    assert all(len(entry["seeds"]) == 2 for entry in summary["finalists"])
    assert set(summary["test"]) == {"base", "winner"}
    with (folder / "trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3

    measured = [path.parent.parent for path in folder.glob("**/best/state.pt") if load_best(path.parent).reliability]
    assert measured == [folder], "the winner's copy is calibrated; trials do not pay for it"

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a trial
    again = fit(load_config(folder / "best.yaml"), LocalRuntime("cpu", tmp_path / "again"))
    torch.set_num_threads(threads)
    assert again.best == pytest.approx(summary["best"]["value"], abs=1e-4)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("feature_extractor.name", ["cnn_extractor", "resnet50_extractor"]),
        ("feature_extractor.model_path", ["test_efficientnet", "test_resnet"]),
    ],
)
def test_a_pre_trained_extractor_cannot_be_searched(
    make_study: MakeStudy, tmp_path: Path, path: str, values: list[str]
) -> None:
    study = make_study({"pretrain": True, "space": {path: {"choice": values}}})
    with pytest.raises(ConfigError, match=f"space: {path}: searched, but one extractor is pre-trained for all trials"):
        run_study(study, Options(tmp_path), print)
    assert not (tmp_path / "tiny" / "journal.log").exists(), "no search was started"


def test_landmarks_that_trials_read_are_checked_first(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study({"space": {"train_parameters.landmarks": {"choice": [True, False]}}})
    with pytest.raises(DataError, match=r"c0\.npz: cannot read"):
        run_study(study, Options(tmp_path), print)
    assert not (tmp_path / "tiny" / "journal.log").exists(), "no search was started"


def test_trackers_get_a_run_per_trial_tagged_with_the_study(make_study: MakeStudy, tmp_path: Path) -> None:
    trackers = {"general_parameters.mlflow": True, "general_parameters.neptune": True}
    small = {"budget": {"trials": 1}, "finalists": {"count": 0}}
    from mlflow import MlflowClient  # takes seconds

    summary = search(make_study(small, {**trackers, "train_parameters.epochs": 2}, "tracked"), tmp_path)
    trials = tmp_path / "tracked" / "trials"
    client = MlflowClient(f"sqlite:///{trials / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tracked")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert runs.keys() == {"0000"}
    assert all(run.data.tags["study"] == "tracked" and run.info.status == "FINISHED" for run in runs.values())
    assert runs["0000"].data.metrics["objective"] == pytest.approx(summary["baseline"]["value"])
    assert list((trials / "0000" / "neptune").rglob("*")), "recorded offline, in the folder of the trial"


def test_a_finished_search_is_extended_and_not_repeated(
    make_study: MakeStudy, tmp_path: Path, tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data path is relative. The report says from which trial on the space is wider."""
    monkeypatch.chdir(tiny_dataset.parent)

    def study_of(trials: int, changes: dict | None = None, space: dict | None = None) -> Study:
        settings = {"budget": {"trials": trials}, "finalists": {"seeds": 1}, **({"space": space} if space else {})}
        return make_study(settings, {"general_parameters.data_path": [tiny_dataset.name], **(changes or {})})

    def domain(low: float, **options: bool) -> dict:
        return {"train_parameters.lr": {"float": [low, 1.0], **options}}

    first = search(study_of(2), tmp_path)
    logs = {path: path.stat().st_mtime_ns for path in tmp_path.glob("tiny/trials/*/metrics.jsonl")}
    copied = (tmp_path / "tiny" / "best" / "state.pt").stat().st_mtime_ns
    second = search(study_of(2), tmp_path)
    assert (tmp_path / "tiny" / "best" / "state.pt").stat().st_mtime_ns == copied, "it is not measured again"
    assert second["best"] == first["best"] and second["finalists"] == first["finalists"]
    with pytest.raises(ConfigError, match=r"config\.train_parameters\.batch_size: was 4, is 5"):
        search(study_of(2, {"train_parameters.batch_size": 5}), tmp_path)
    with pytest.raises(ConfigError, match=r"space\.train_parameters\.lr\.log: was true, is missing"):
        search(study_of(2, space=domain(1e-4)), tmp_path)

    after = search(study_of(4, space=domain(1e-5, log=True)), tmp_path)
    change = "space widened: train_parameters.lr float 1e-05 .. 1, log (was 0.0001 .. 0.1)"
    assert change in after["printed"] and after["space_history"] == [f"from trial 2 on: {change}"]
    assert after["trials"] == {"total": 4, "complete": 4, "pruned": 0, "failed": 0, "paused": 0}
    assert "space_history" not in first and change in (tmp_path / "tiny" / "report.html").read_text()
    old = {entry["trial"]: entry["values"] for entry in first["finalists"]}
    assert {entry["trial"]: entry["values"] for entry in after["finalists"] if entry["trial"] in old} == old
    assert {path: path.stat().st_mtime_ns for path in logs} == logs, "no trial is trained again"


def test_a_failing_and_a_diverging_trial_do_not_end_the_search(make_study: MakeStudy, tmp_path: Path) -> None:
    model, decay = "feature_extractor.model_path", "train_parameters.weight_decay"
    variants = {
        "good": {model: "test_efficientnet", decay: 0.01},
        "failing": {model: "no_such_model", decay: 0.01},
        "diverging": {model: "test_efficientnet", decay: 1.0e38},  # weights overflow in the first step
    }
    space = {"train_parameters.lr": None, "variant": {"choice": variants}}
    settings = {"budget": {"trials": 3}, "space": space, "finalists": {"count": 0}}
    summary = search(make_study(settings), tmp_path)
    assert summary["trials"] == {"total": 3, "complete": 1, "pruned": 1, "failed": 1, "paused": 0}
    assert any("FAILED" in line and "no_such_model" in line for line in summary["printed"])
    assert any("diverged" in line for line in summary["printed"])
    assert summary["best"]["trial"] == 0


@pytest.mark.parametrize("sampler", ["tpe", "freeze_thaw"])
def test_a_search_without_a_complete_trial_does_not_succeed(
    make_study: MakeStudy, tmp_path: Path, sampler: str
) -> None:
    settings = {"budget": {"trials": 2}, "sampler": {"name": sampler}}
    summary = search(make_study(settings, {"train_parameters.weight_decay": 1.0e38}), tmp_path)
    assert not summary["succeeded"]
    assert summary["trials"] == {"total": 2, "complete": 0, "pruned": 2, "failed": 0, "paused": 0}
    assert summary["diverged"] == 2 and summary["test"] is None


def test_there_is_a_winner_if_the_base_config_fails(make_study: MakeStudy, tmp_path: Path) -> None:
    space = {"train_parameters.lr": None, "train_parameters.weight_decay": {"float": [0.001, 1.0]}}
    study = make_study({"budget": {"trials": 2}, "space": space}, {"train_parameters.lr": 1.0e-3})
    changes = {"train_parameters.weight_decay": 1.0e38}  # outside of the searched range; overflows at once
    study = replace(study, base=override(study.base, changes), settings=study.settings)
    summary = search(study, tmp_path)
    assert summary["test"]["base"] is None and summary["test"]["winner"]["trial"] == 1
    written = (tmp_path / "tiny" / "test.json").stat().st_mtime_ns
    assert search(study, tmp_path)["test"] == summary["test"]
    assert (tmp_path / "tiny" / "test.json").stat().st_mtime_ns == written, "the test clips are scored once"


def test_a_base_config_whose_trial_is_killed_can_win(make_study: MakeStudy, tmp_path: Path) -> None:
    """`best/` is then one of its runs in the finals; nothing needs the folder of the trial that was killed."""
    space = {"train_parameters.lr": {"float": [1.0e-9, 1.0e-8]}}  # too small to learn
    study = make_study({"budget": {"trials": 2}, "space": space, "finalists": {"retrain": True, "seeds": 2}})
    study = replace(study, base=override(study.base, {"train_parameters.lr": 1.0e-3}))
    with kill_when_started(tmp_path / "tiny" / "trials" / "0000"):
        summary = search(study, tmp_path)
    folder = tmp_path / "tiny"
    assert summary["trials"]["failed"] == 1 and not (folder / "trials" / "0000" / "best").exists()
    assert summary["test"]["winner"]["trial"] == 0 and summary["best"]["value"] is None
    seed = summary["best"]["model_seed"]
    assert f"best/ is 0000-seed{seed}, retrained with a new seed: trial 0 did not complete" in summary["printed"]
    assert is_same_model(folder / "trials" / f"0000-seed{seed}" / "best", folder / "best")
    assert load_config(folder / "best.yaml").general_parameters.seed == seed
    assert f"so best/ has the best of them on the validation clips, with seed {seed}" in write_results(folder).replace(
        "\n  ", " "
    )
    assert search(study, tmp_path)["test"] == summary["test"]


def test_invalid_data_is_refused_before_anything_is_written(
    make_study: MakeStudy, tmp_path: Path, tiny_dataset: Path
) -> None:
    frame = tiny_dataset / "c3" / "c3_1.jpg"
    frame.write_bytes(frame.read_bytes()[:200])
    with pytest.raises(DataError, match="c3_1.jpg"):
        search(make_study(), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_more_than_the_cluster_has_is_refused(make_study: MakeStudy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cluster has"):
        run_study(make_study(), Options(tmp_path, resources=TrialResources(cpus=10_000)), print)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_search_continues_with_its_running_trials(
    make_study: MakeStudy, tmp_path: Path, tiny_dataset: Path, how: signal.Signals
) -> None:
    make_study()  # writes tiny.yaml
    command = [sys.executable, "experiments/tune.py", "--space", str(tmp_path / "tiny.yaml"), "--trials", "4"]
    command += ["--data-path", str(tiny_dataset), "--storage", str(tmp_path / "runs"), "--finalists", "0"]
    command += ["--set", "train_parameters.epochs=40"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    journal = tmp_path / "runs" / "tiny" / "journal.log"
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.read_text().count('"intermediate_value"') > 5):
        assert time.monotonic() < deadline and process.poll() is None, "the search did not start"
        time.sleep(0.2)
    if how is not signal.SIGTERM:  # a terminal that is closed sends SIGHUP to the whole group
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    out, _ = process.communicate(timeout=60)
    if how is not signal.SIGKILL:
        assert process.returncode == 130 and "to continue" in out
    before = tmp_path / "runs" / "tiny" / "trials" / "0000" / "config.yaml"
    config = yaml.safe_load(before.read_text())
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "runs" / "tiny" / "summary.json").read_text())
    assert summary["trials"]["total"] == 4 and summary["trials"]["complete"] == 4
    assert yaml.safe_load(before.read_text()) == config
    for trial in range(4):
        lines = (tmp_path / "runs" / "tiny" / "trials" / f"{trial:04d}" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 41))
    shutil.rmtree(tmp_path / "runs")


def test_code_and_labels_edited_during_a_search(make_study: MakeStudy, tiny_dataset: Path, tmp_path: Path) -> None:
    """Code as it was at the start is used to the end; other labels end the search, which continues without them."""
    code = "import torch\n\nclass Mine(torch.nn.Module):\n    def forward(self, logits, labels):\n"
    code += "        return torch.nn.functional.cross_entropy(logits, labels, reduction='none')\n"
    write_text(tmp_path / "code" / "mine.py", code)
    use_code(tmp_path / "code")
    study = make_study({"budget": {"trials": 2}}, {"train_parameters.loss": "mine:Mine", "train_parameters.epochs": 1})
    before = code_record()
    rows = (tiny_dataset / "test_gloss.txt").read_text()

    def edit(line: str) -> None:
        if " 0000 " in line:
            write_text(tmp_path / "code" / "mine.py", "raise RuntimeError('in the middle of an edit')")
            (tiny_dataset / "test_gloss.txt").write_text(rows.replace("c0 0 4 0", "c0 0 4 1"))

    with pytest.raises(DataError, match="the dataset: rows, labels or files have changed since the search"):
        run_study(study, Options(tmp_path), edit)
    (tiny_dataset / "test_gloss.txt").write_text(rows)
    write_text(tmp_path / "code" / "mine.py", code)
    use_code(None)
    forget_data()  # as in a new process
    outcome = run_study(study, Options(tmp_path), print)
    assert outcome.succeeded
    records = [json.loads(path.read_text()) for path in outcome.folder.glob("trials/*/code.json")]
    assert len(records) >= 4 and all(record == before for record in records)
