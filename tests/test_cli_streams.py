"""Scripts whose standard streams are closed, full, or have lost their reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

SCRIPT = """
import sys
from pathlib import Path
from hearai.cli import run_script
from hearai.errors import UserError

def main():
    for number in range(3000):
        print("line", number, flush=True)
    first = open(sys.argv[1], "w")  # gets the number of a closed stream, unless that is open again
    subprocess_text = sys.stdin.read()
    first.write(f"done{subprocess_text}")
    first.close()
    if sys.argv[2] == "error":
        raise UserError("wrong")
    return int(sys.argv[2])

run_script(main)
"""
FULL = "standard output: cannot be written (No space left on device)"


def run_in_bash(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    options = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "timeout": 60, "check": False}
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, **options)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("streams", "end", "code"),
    [
        ("| head -n 1", "3", 3),
        ("| head -n 1", "0", 0),
        ("2>&1 | head -n 1", "error", 2),
        ("> /dev/full", "0", 2),
        ("> /dev/full", "3", 3),
        ("> /dev/full 2>&1", "0", 2),
        (">&-", "3", 3),
        (">&- 2>&- <&-", "3", 3),
        (">&- 2>&- <&-", "error", 2),
    ],
)
def test_lost_streams_end_neither_the_work_nor_its_exit_code(tmp_path: Path, streams: str, end: str, code: int) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    stdin = "" if "<&-" in streams else "< /dev/null "
    command = f"'{sys.executable}' script.py done {end} {stdin}{streams}; exit ${{PIPESTATUS[0]}}"
    done = run_in_bash(command, tmp_path)
    assert (done.returncode, (tmp_path / "done").read_text()) == (code, "done")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert (FULL in done.stderr) == (streams == "> /dev/full")


@pytest.mark.heavy
@pytest.mark.parametrize("script", ["tune", "studies"])
def test_help_for_a_full_disk_names_standard_output(script: str) -> None:
    command = f"'{sys.executable}' '{ROOT}/experiments/{script}.py' --help > /dev/full"
    done = run_in_bash(command, ROOT)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {FULL}"), done.stderr
