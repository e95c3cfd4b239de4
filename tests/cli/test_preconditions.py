"""Scripts in a copied checkout do not run with another package; a deleted working directory is named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT


def run_script(script: Path, package_in: Path, cwd: Path) -> tuple[int, str]:
    """(exit code, stderr) of a script, in an environment that finds the package in a folder."""
    done = subprocess.run(
        [sys.executable, str(script), "--help"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(package_in)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def copy_checkout(to: Path) -> Path:
    for name in ("hearai", "experiments"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    return to


@pytest.mark.heavy
def test_a_copied_checkout_runs_with_its_own_package(tmp_path: Path) -> None:
    copy = copy_checkout(tmp_path / "a copy")
    script = copy / "experiments" / "tune.py"
    code, err = run_script(script, ROOT, tmp_path)
    assert code == 2 and err.splitlines() == [
        f"error: {script}: runs with the package in {ROOT}/hearai, which is not the one beside it, {copy}/hearai; set "
        f"PYTHONPATH='{copy}', or use the environment that `make venv` makes in {copy}"
    ]
    assert run_script(script, copy, tmp_path) == (0, "")
    (tmp_path / "link").symlink_to(copy)
    assert run_script(tmp_path / "link" / "experiments" / "tune.py", copy, tmp_path) == (0, "")


@pytest.mark.heavy
def test_an_installed_package_must_be_of_the_same_version(tmp_path: Path) -> None:
    checkout, installed = copy_checkout(tmp_path / "checkout"), tmp_path / "site-packages"
    shutil.copytree(checkout / "hearai", installed / "hearai")
    script = checkout / "experiments" / "tune.py"
    assert run_script(script, installed, tmp_path) == (0, "")
    with (checkout / "hearai" / "metrics.py").open("a") as file:
        file.write("# changed\n")
    code, err = run_script(script, installed, tmp_path)
    assert code == 2 and str(installed / "hearai") in err and "Traceback" not in err
    shutil.rmtree(checkout / "hearai")
    assert run_script(script, installed, tmp_path) == (0, ""), "scripts alone"


@pytest.mark.heavy
def test_a_deleted_working_directory_is_named(tmp_path: Path) -> None:
    script = (
        f"rmdir {tmp_path}/gone; exec {sys.executable} {ROOT}/experiments/evaluate.py --checkpoint {tmp_path} --gpu -1"
    )
    (tmp_path / "gone").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path / "gone", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: the working directory was deleted; change to one that exists: cd DIR\n"
