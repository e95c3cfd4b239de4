"""Limits that are too low for Ray are named: disk, open files, processes of a user or container, sizes."""

import subprocess
import sys
from pathlib import Path

import pytest

from hearai.search.cluster.local_ray import machine_limits
from hearai.search.cluster.local_ray.machine_limits import low_limits
from tests.helpers import ROOT

ROW = "4:pids:/a/b\n9:name=systemd:/\n0::/a\n"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_limits, "LEAST_DISK", 10**18)
    (low,) = [text for text in low_limits(tmp_path / "new") if "free space" in text]
    assert low.endswith(f" MB of free space in {tmp_path}/new")


@pytest.mark.parametrize("folder", ["pids/a/b", "pids/a", "pids", "a", ""])
def test_limits_of_control_groups_are_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "own").write_text(ROW)
    group = tmp_path / "groups" / folder
    group.mkdir(parents=True)

    def low(content: str) -> list[str]:
        (group / "pids.max").write_text(content)
        return [text for text in low_limits(tmp_path, tmp_path / "groups", tmp_path / "own") if "pids.max" in text]

    assert low("100\n") == [f"at most 100 processes and threads ({group}/pids.max)"]
    assert not low("max\n") and not low("4096\n")


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("-n 100", "at most 100 open files (ulimit -n)"),
        ("-u 50", "at most 50 processes and threads (ulimit -u)"),
        ("-f 200", "files of at most 0.2 MB (ulimit -f)"),
        ("-v 4000000", "at most 4.1 GB of address space (ulimit -v)"),
    ],
)
def test_limits_of_the_shell_are_named(option: str, words: str) -> None:
    code = "from hearai.search.cluster.local_ray.machine_limits import Path, low_limits; print(low_limits(Path.cwd()))"
    command = ["bash", "-c", f'ulimit {option}; exec "$@"', "bash", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert words in done.stdout, done.stderr
