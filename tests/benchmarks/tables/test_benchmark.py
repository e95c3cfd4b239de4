"""The command `benchmark.py search` on tables."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.benchmarks.engine_comparison import FREEZE_THAW, RANDOM, REFERENCE

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def curves_folder(real_data: Path) -> Path:
    if not (real_data / "hpo_curves").is_dir():
        pytest.skip(f"{real_data} has no hpo_curves")
    return real_data / "hpo_curves"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--table", "lcbensh"], "--table lcbensh: unknown table; choose from demo, lcbench, taskset (did you mean"),
        (["--table", "demo", "--noise", "0.1"], "--noise 0.1: not allowed with --table demo"),
        (["--table", "lcbench,taskset", "--tasks", "3945"], "--tasks 3945: names of tasks need a single --table"),
        (["--engines", "hyperopt"], "--engines hyperopt: unknown engine"),
        (["--engines", "SMAC3"], "--engines SMAC3: no --peer-python"),
        (["--engines", "SMAC3", "--peer-python", "nowhere"], "--peer-python nowhere: cannot be run"),
        (["--real", "--table", "demo"], "--table: not allowed with --real"),
        (["--tasks", "x"], "--tasks x: not in demo"),
    ],
)
def test_wrong_options_are_refused(call: Call, tmp_path: Path, args: list[str], message: str) -> None:
    code, _, stderr = call("benchmark", "search", "--out", tmp_path, *args)
    assert code == 2 and message in stderr and "Traceback" not in stderr


def test_missing_table_is_refused(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARAI_REAL_DATA", str(tmp_path))
    code, _, stderr = call("benchmark", "search", "--table", "taskset", "--out", tmp_path / "out")
    assert code == 2 and "set HEARAI_REAL_DATA to a folder that holds hpo_curves/taskset" in stderr


RUN = ["search", "--seeds", 1, "--budget", 1, "--processes", 1, "--workers", 2]


@pytest.mark.heavy
def test_engines_are_compared_and_a_broken_run_continues(call: Call, curves_folder: Path, tmp_path: Path) -> None:
    args = [*RUN, "--table", "taskset", "--tasks", "patch32_GRU128_bs128", "--out", tmp_path]
    args += ["--engines", REFERENCE, RANDOM]
    code, output, stderr = call("benchmark", *args)
    assert code == 0, stderr
    assert "taskset: 1 task, 1 seed, 2 workers" in output
    summary = json.loads((tmp_path / "search-taskset-1.json").read_text())
    assert sorted(entry["engine"] for entry in summary["engines"]) == [REFERENCE, RANDOM]
    assert (tmp_path / "search-taskset-1.png").read_bytes().startswith(b"\x89PNG")
    log = tmp_path / "search-taskset.jsonl"
    log.write_text(log.read_text().splitlines(keepends=True)[0])
    code, output, _ = call("benchmark", *args)
    assert code == 0 and f"1 of 2 searches are taken from {log}" in output
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.slow  # fits the surrogate six times
def test_demo_runs_through_the_same_path(call: Call, tmp_path: Path) -> None:
    code, output, stderr = call("benchmark", *RUN, "--engines", "random + ASHA", "--out", tmp_path)
    assert code == 0, stderr
    assert "demo: 1 task, 1 seed, 2 workers" in output and (tmp_path / "search-demo-1.json").exists()


@pytest.mark.heavy
def test_freeze_thaw_runs(call: Call, curves_folder: Path, tmp_path: Path) -> None:
    args = ["--table", "taskset", "--tasks", "patch32_GRU128_bs128", "--engines", FREEZE_THAW, "--out", tmp_path]
    code, output, stderr = call("benchmark", *RUN, *args)
    assert code == 0, stderr
    assert FREEZE_THAW in output
