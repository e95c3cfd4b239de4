"""`make venv` notices that the environment in .venv cannot be used, and leaves one that can as it is."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.helpers import ROOT

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(shutil.which("make") is None, reason="needs the command make"),
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with our Makefile and a finished environment without packages; its path has a space."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.txt", "pyproject.toml"):
        (folder / name).touch()
    venv.create(folder / ".venv")
    (folder / ".venv" / "bin" / "pip").write_text(f'#!/bin/sh\n\'\'\'exec\' "{folder}/.venv/bin/python" "$0" "$@"\n')
    (folder / ".venv" / "bin" / "pip").chmod(0o755)
    (folder / ".venv" / ".ready").touch()
    return folder


def steps(folder: Path, *options: str) -> str:
    """What `make venv` would do."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS", "MAKELEVEL")
    }
    done = subprocess.run(
        ["make", "-n", "venv", *options], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def fake_python(path: Path, version: str) -> Path:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n[ {version} != 3.9 ]\n")
    path.chmod(0o755)
    return path


def test_an_environment_that_works_is_kept(checkout: Path) -> None:
    assert "Nothing to be done" in steps(checkout)
    assert "Nothing to be done" in steps(checkout, f"PYTHON={sys.executable}")
    (checkout / "requirements.txt").touch()
    os.utime(checkout / ".venv" / ".ready", (0, 0))
    assert "pip install --quiet -r requirements.txt" in (out := steps(checkout)) and "--clear" not in out


def test_a_linked_environment_is_kept(checkout: Path) -> None:
    (checkout / "second").mkdir()
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy2(checkout / name, checkout / "second")
    os.utime(checkout / ".venv" / ".ready")
    (checkout / "second" / ".venv").symlink_to(checkout / ".venv")
    assert "--clear" not in steps(checkout / "second"), "it would be emptied for the first one, too"


def test_a_stale_environment_is_made_again(checkout: Path, tmp_path: Path) -> None:
    other = fake_python(tmp_path / "python-of-another-version", "3.99")
    assert "venv --clear .venv" in (out := steps(checkout, f"PYTHON={other}")) and ".venv has Python 3." in out
    moved = checkout.rename(tmp_path / "moved")
    assert "venv --clear .venv" in (out := steps(moved)) and ".venv was made in another folder" in out
    python = moved / ".venv" / "bin" / "python"
    fake_python(python, "3.9")
    assert "venv --clear .venv" in (out := steps(moved)) and "has no Python of 3.11 or newer" in out
    python.unlink()
    python.symlink_to("/nonexistent/python3.11")
    assert "venv --clear .venv" in (out := steps(moved)) and "has no Python of 3.11 or newer" in out
