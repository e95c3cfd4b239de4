"""Simulates several machines on this one with Linux namespaces: see machines.sh."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers import ROOT

SCRIPT = Path(__file__).with_name("machines.sh")
UNSHARE = ("unshare", "--pid", "--net", "--uts", "--mount", "--fork", "--kill-child", "--mount-proc")
SHARED = "/mnt/shared"
"""Where every simulated machine mounts the shared folder."""


def link_checkout(shared: Path) -> Path:
    """Links this code and its environment into the shared folder, as the checkout `hearai`."""
    folder = shared / "hearai"
    folder.mkdir(parents=True)
    for name in ("cluster", "experiments", "hearai", "search_spaces"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def run_with_machines(
    count: int, shared: Path, command: Sequence[str], timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess:
    """Runs a command with access to `count` simulated machines, which end with it, and without our RAY_* variables.

    Skips the test if namespaces cannot be created.
    """
    missing = [name for name in ("unshare", "nsenter", "ip") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        pytest.skip(f"simulated machines need {', '.join(missing) or 'root'}; on Debian: util-linux, iproute2")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(
        [*UNSHARE, str(SCRIPT), str(shared), str(count), *command],
        env={**inherited, "RAY_USAGE_STATS_ENABLED": "0", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
