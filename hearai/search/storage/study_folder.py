"""A study's folder: written when a search begins, and checked to be the same study when it goes on."""

import functools
import hashlib
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

from hearai.cli import Print
from hearai.config.overrides import leaves
from hearai.config.study import Study
from hearai.config.yaml_io import read_yaml
from hearai.data.annotations.fingerprint import is_same
from hearai.data.annotations.split import write_split
from hearai.errors import ConfigError
from hearai.files import write_whole
from hearai.search.plan import Plan
from hearai.search.storage.layout import JOB
from hearai.search.storage.trial_store import TrialStore

EXTENDS = ("budget", "finalists", "hang_seconds")
"""Settings that may change when a search goes on: they decide how long it is, not what it finds."""


def claim(plan: Plan, folder: Path) -> None:
    """Writes the study's files, or checks that what lies here is the same study.

    Raises:
        ConfigError: another space, base config or dataset; with the difference.
    """
    path, split = folder / "study.yaml", plan.data.split
    sizes = {"train": len(split.train), "val": len(split.val), "test": len(split.test)}
    ours = {**plan.study.to_dict(), "data": {**plan.data.prints.known(), **sizes}}
    theirs = _as_now(read_yaml(path), path) if path.exists() else ours
    ours["warm_start"] = ours["warm_start"] or theirs.get("warm_start")  # said once, at the beginning
    if changed := differences(theirs, ours):
        raise ConfigError(
            [
                f"{folder}: holds another study; continue it as it was, or start a new one with --name. What differs:",
                *(f"  {line}" for line in changed),
            ]
        )
    write_split(split, folder / "split.csv")
    write_whole(path, yaml.safe_dump(ours, sort_keys=False))
    with (folder / "command.txt").open("a", encoding="utf-8") as file:
        file.write(_command())


def _as_now(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """A study as older code wrote it, with the options that came since at their defaults."""
    data = raw.pop("data", {})
    return {**Study.from_dict(raw, str(path)).to_dict(), "data": data}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """What a study in a folder has otherwise than the one that is asked for, one line each."""
    before, now = (_leaves(study) for study in (theirs, ours))
    lines = [
        f"{path}: was {_shown(before, path)}, is {_shown(now, path)}"
        for path in dict.fromkeys([*before, *now])
        if not path.startswith("data.") and _shown(before, path) != _shown(now, path)
    ]
    if is_same(theirs.get("data", {}), ours.get("data", {})):
        return lines
    clips = ", ".join(
        f"{part} {before.get(f'data.{part}')} -> {now.get(f'data.{part}')}" for part in ("train", "val", "test")
    )
    return [*lines, f"the dataset: files or labels were changed, added or removed (clips: {clips})"]


def _leaves(study: Mapping[str, Any]) -> dict[str, Any]:
    return dict(leaves({key: value for key, value in study.items() if key not in EXTENDS}))


def _shown(tree: Mapping[str, Any], path: str) -> str:
    """A value as YAML has it in one line."""
    return yaml.safe_dump(tree[path], default_flow_style=True).splitlines()[0] if path in tree else "not there"


def _command() -> str:
    """What was asked, of which code, where: one paragraph for `command.txt`."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "ray", "optuna"))
    return (
        f"{time.strftime('%F %T')}  python {shlex.join(sys.argv)}\n"
        + (f"  job {job}\n" if (job := os.environ.get(JOB)) else "")
        + f"  {code_version()}\n"
        f"  {os.cpu_count()} cores, {platform.platform()}, python {platform.python_version()}, {libraries}\n"
    )


def note_code(search: TrialStore, print_line: Print) -> None:
    """Writes down which code runs this search, and says so where it is not the code that it began with."""
    known = list(search.optuna.user_attrs.get("code_versions", []))
    if known and known[-1] != code_version():
        print_line(f"the code has changed since this search last ran: {known[-1]} -> {code_version()}; it goes on")
    if code_version() not in known[-1:]:
        search.optuna.set_user_attr("code_versions", [*known, code_version()])


CODE = Path(__file__).parents[2]


@functools.cache
def code_version() -> str:
    """`hearai 0.1.0, commit 1a2b3c4d5e, code 9f8e7d6c5b`; the last part changes with uncommitted edits, too."""
    digest = hashlib.blake2b(digest_size=5)
    for path in sorted(CODE.rglob("*.py")):
        digest.update(f"{path.relative_to(CODE)}\n".encode() + path.read_bytes())
    parts = [f"hearai {version('hearai')}"]
    if commit := _commit():
        parts.append(f"commit {commit[:10]}")
    return ", ".join([*parts, f"code {digest.hexdigest()}"])


def _commit() -> str | None:
    """None outside of a checkout, or where there is no git."""
    try:
        git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=CODE, check=False)
    except OSError:
        return None
    return git.stdout.strip() if git.returncode == 0 else None
