"""Bad input ends with exit code 2 and a message: where, what was found, what is expected."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import ROOT

SPACE = "space: {train_parameters.lr: {float: [1.0e-4, 1.0e-2]}}\n"


def run(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "experiments" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=120)


def assert_refused(done: subprocess.CompletedProcess, *fragments: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for fragment in fragments:
        assert fragment in done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("yaml", "fragments"),
    [
        ("train_parameters: {lr: -1}", ("train_parameters.lr", "got -1", "greater than 0")),
        ("train_parameters: {lr: true}", ("train_parameters.lr", "got True", "a number")),
        ("train_parameters: {lrr: 0.1}", ("train_parameters.lrr", "unknown key", "did you mean 'lr'")),
        ("train_parameters: {lr: 1, lr: 2}", ("given twice", "base.yml:1")),
        (
            "freeze_scheduler: {model_params: {transformer: [true], heads: [true, false]}}",
            ("freeze_scheduler", "unequal length"),
        ),
    ],
    ids=["out of range", "wrong type", "unknown key", "duplicate key", "unequal patterns"],
)
def test_a_wrong_base_config_is_refused(tmp_path: Path, yaml: str, fragments: tuple[str, ...]) -> None:
    (tmp_path / "base.yml").write_text(yaml)
    assert_refused(
        run("tune.py", "--space", "smoke", "--config", "base.yml", "--dry-run", cwd=tmp_path), "base.yml", *fragments
    )


@pytest.mark.heavy
def test_a_number_that_yaml_reads_as_text_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text("train_parameters: {weight_decay: 1e-3}")
    done = run("tune.py", "--space", "smoke", "--config", "base.yml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0 and "weight_decay: 0.001" in done.stdout


@pytest.mark.heavy
def test_an_unknown_space_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    assert_refused(run("tune.py", "--space", "hamnosis", cwd=tmp_path), "hamnosis", "did you mean 'hamnosys'")


@pytest.mark.heavy
def test_a_space_over_an_unknown_config_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(SPACE.replace("train_parameters.lr", "train_parameters.learning_rate"))
    assert_refused(run("tune.py", "--space", "my.yaml", cwd=tmp_path), "my.yaml", "learning_rate", "choose from")


def truncate_a_frame(folder: Path) -> tuple[str, ...]:
    frame = folder / "c2" / "c2_1.jpg"
    frame.write_bytes(frame.read_bytes()[:300])
    return ("c2_1.jpg",)


def remove_a_frame(folder: Path) -> tuple[str, ...]:
    (folder / "c2" / "c2_1.jpg").unlink()
    return ("test_hamnosys.txt:3", "c2_1.jpg")


def write_a_label_out_of_range(folder: Path) -> tuple[str, ...]:
    rows = (folder / "test_hamnosys.txt").read_text().splitlines()
    rows[4] = " ".join([*rows[4].split()[:3], "9", *rows[4].split()[4:]])
    (folder / "test_hamnosys.txt").write_text("\n".join(rows))
    return ("test_hamnosys.txt:5", "symmetry_operator", "9", "0..8")


def empty_the_folder(folder: Path) -> tuple[str, ...]:
    shutil.rmtree(folder)
    folder.mkdir()
    return ("test_hamnosys.txt",)


def remove_the_folder(folder: Path) -> tuple[str, ...]:
    shutil.rmtree(folder)
    return (folder.name,)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "damage", [truncate_a_frame, remove_a_frame, write_a_label_out_of_range, empty_the_folder, remove_the_folder]
)
def test_a_broken_dataset_is_refused_and_leaves_no_files(
    tiny_dataset: Path,
    tmp_path: Path,
    call: Callable,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], tuple[str, ...]],
) -> None:
    fragments = damage(tiny_dataset)
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    monkeypatch.chdir(cwd)
    code, _, errors = call("tune", "--space", "smoke", "--data-path", tiny_dataset)
    assert code == 2 and "Traceback" not in errors
    assert all(fragment in errors for fragment in fragments), errors
    assert not list(cwd.iterdir())
