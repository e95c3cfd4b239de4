"""A search with several metrics and named heads, killed, continued and extended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from hearai.config.config import load_config
from hearai.config.study import Study
from hearai.errors import ConfigError
from hearai.metrics import pareto_front
from hearai.reporting.study_report.page import write_results
from hearai.search.cluster.resources import TrialResources
from hearai.search.run import Options, run_study
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import SEARCH
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from tests.helpers import ROOT

pytestmark = pytest.mark.usefixtures("ray_session")
HEADS = ["hand_shape_base_form", "hand_position_palm_orientation"]
METRICS = ["objective", "seconds_per_clip", "parameters"]
SIZES = {"transformer.feedforward_size": {"choice": [8, 64, 256]}}
HAMNOSYS = {"train_parameters.classification_mode": "hamnosys", "train_parameters.epochs": 2}

RUN = """
import sys
from pathlib import Path
import yaml
from hearai.search.run import Options, run_study
from hearai.config.study import Study
study = Study.from_dict(yaml.safe_load(Path(sys.argv[1]).read_text()), "study")
run_study(study, Options(Path(sys.argv[2])), lambda line: print(line, flush=True))
"""


def trials_of(folder: Path) -> list:
    return list(read_journal(folder / "journal.log")[SEARCH].trials)


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_search_for_metrics_and_heads_continues_and_extends(
    make_study: Callable[..., Study], tmp_path: Path, killed: bool
) -> None:
    def study_of(trials: int) -> Study:
        asked = {"metric": METRICS, "objective": {"heads": HEADS}, "finalists": {"count": 1, "seeds": 1}}
        return make_study({**asked, "space": SIZES, "budget": {"trials": trials}}, HAMNOSYS)

    folder = tmp_path / "runs" / "tiny"
    if killed:
        (tmp_path / "study.yaml").write_text(study_of(3).to_yaml())
        kill_in_a_trial([str(tmp_path / "study.yaml"), str(tmp_path / "runs")], folder)
    run_study(study_of(3), Options(tmp_path / "runs", max_concurrent=1), lambda _: None)
    before = {trial.number: trial.values for trial in trials_of(folder)}
    assert len(before) == 3 and all(len(values) == 3 for values in before.values())
    outcome = run_study(study_of(4), Options(tmp_path / "runs", max_concurrent=1), lambda _: None)
    trials = trials_of(folder)
    assert {trial.number: trial.values for trial in trials[:3]} == before and len(trials) == 4

    for trial in trials:
        rows = [json.loads(line) for line in (folder / f"trials/{trial.number:04d}/metrics.jsonl").open()]
        named = [sum(row[f"val/{head}/macro_f1"] for head in HEADS) / 2 for row in rows]
        assert trial.values[0] == pytest.approx(max(named))
        assert {row["seconds_per_clip"] for row in rows} == {trial.values[1]}, "measured once, also across a kill"
        assert trial.values[2] == rows[0]["parameters"]
    check_report(outcome.folder, trials)

    text = write_results(folder)
    assert max(map(len, text.splitlines()[: text[: text.index("files:")].count("\n")])) <= 80
    with pytest.raises(ConfigError, match="metric"):
        run_study(make_study({"metric": METRICS[:2], "space": SIZES}, HAMNOSYS), Options(tmp_path / "runs"), print)


def kill_in_a_trial(arguments: list[str], folder: Path) -> None:
    """Runs the search in another process and kills it after the first epoch of a trial."""
    command = [sys.executable, "-c", RUN, *arguments]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(folder.glob("trials/*/metrics.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert list(folder.glob("trials/*/metrics.jsonl")), "it was killed during a trial"


def check_report(folder: Path, trials: list) -> None:
    write_results(folder)
    summary = json.loads((folder / "summary.json").read_text())
    front = pareto_front({trial.number: trial.values for trial in trials}, METRICS)
    assert [row["trial"] for row in summary["pareto"]] == front
    assert summary["objective"]["words"] == "macro-F1 over 2 of 8 heads"
    best = summary["test"]["winner"]
    assert best["objective"] == pytest.approx(sum(best["heads"][head]["macro_f1"] for head in HEADS) / 2)
    assert best["mean_macro_f1"] == pytest.approx(sum(head["macro_f1"] for head in best["heads"].values()) / 8)
    winner = yaml.safe_load((folder / "best.yaml").read_text())
    assert winner["train_parameters"]["objective_heads"] == HEADS

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a trial
    row = summary["pareto"][-1]
    again = fit(load_config(folder / row["config"]), LocalRuntime("cpu", folder.parent / "again"))
    torch.set_num_threads(threads)
    assert again.best == pytest.approx(row["objective"], abs=1e-4)


@pytest.mark.slow
def test_a_worker_group_reports_its_costs(make_study: Callable[..., Study], tmp_path: Path) -> None:
    settings = {"metric": METRICS, "budget": {"trials": 1}, "finalists": {"count": 0}}
    study = make_study(settings, {"train_parameters.epochs": 1})
    run_study(study, Options(tmp_path, resources=TrialResources(workers=2)), lambda _: None)
    (trial,) = trials_of(tmp_path / "tiny")
    row = json.loads((tmp_path / "tiny/trials/0000/metrics.jsonl").read_text())
    assert trial.values == [row[name] for name in METRICS] and trial.values[1] > 0
