"""A study's folder: written when a search begins, and checked to be the same study when it goes on."""

import difflib
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from hearai.data.split import write_split
from hearai.errors import ConfigError
from hearai.files import write_whole
from hearai.search.plan import Plan


def claim(plan: Plan, folder: Path) -> None:
    """Writes the study's files, or checks that what lies here is the same study.

    Raises:
        ConfigError: another space, base config or dataset; with the difference.
    """
    path, split = folder / "study.yaml", plan.data.split
    sizes = {"train": len(split.train), "val": len(split.val), "test": len(split.test)}
    ours = {**plan.study.to_dict(), "data": {"fingerprint": plan.data.fingerprint, **sizes}}
    if path.exists():
        if difference := _difference(yaml.safe_load(path.read_text(encoding="utf-8")), ours):
            raise ConfigError(
                [f"{folder}: holds another study; continue it unchanged, or give a new --name. The difference:"]
                + [f"  {line}" for line in difference]
            )
    write_split(split, folder / "split.csv")
    write_whole(path, yaml.safe_dump(ours, sort_keys=False))
    with (folder / "command.txt").open("a", encoding="utf-8") as file:
        file.write(_command())


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Changed lines, but for the budget, which extends a search when raised, and what decides on no result."""
    before, after = (
        yaml.safe_dump(
            {k: v for k, v in study.items() if k not in ("budget", "finalists", "hang_seconds")}, sort_keys=True
        )
        for study in (theirs, ours)
    )
    changed = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "now", n=0, lineterm="")
    return [line for line in changed if not line.startswith(("---", "+++", "@@"))]


def _command() -> str:
    """What was asked, of which code, where: one paragraph for `command.txt`."""
    where = Path(__file__).parent
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=where, check=False)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "ray", "optuna"))
    return (
        f"{time.strftime('%F %T')}  python {shlex.join(sys.argv)}\n"
        f"  commit {git.stdout.strip() or 'unknown'}\n"
        f"  {os.cpu_count()} cores, {platform.platform()}, python {platform.python_version()}, {libraries}\n"
    )
