"""The files that describe a study: written when its search starts, compared when it continues; and its configs."""

import functools
import hashlib
import os
import platform
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from hearai.cli import Print
from hearai.config.config import Config, to_dict, to_yaml
from hearai.config.model_parts.code_folder import code_record
from hearai.config.overrides import leaves, override
from hearai.config.study import EARLIER_SPACES, ID_KEY, Study, read_study, read_study_id
from hearai.data.annotations.consistency import changed_names
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.metadata import read_class_list, write_class_list
from hearai.data.annotations.split import PARTS, write_split
from hearai.data.tools.dataset_facts import dataset_facts, write_dataset_facts
from hearai.errors import ConfigError
from hearai.files import PACKAGE, atomic_write_text
from hearai.search.plan import Plan
from hearai.search.storage.attributes import CODE_VERSIONS, STUDY_ID
from hearai.search.storage.journal_reader import JournalSnapshot, read_journal
from hearai.search.storage.layout import CLASS_NAMES, COMMANDS, DATASET_FACTS, JOB, JOURNAL, SPLIT_FILE, STUDY_FILE
from hearai.search.storage.space_change import compare_spaces, with_history
from hearai.search.storage.trial_store import SEARCH, TrialStore
from hearai.training.outputs.layout import BACKBONE_FILE

EXTENDABLE = ("budget", "description", "finalists", "hang_seconds", "space_name")
"""Settings that may change when a search continues: they decide how long it runs, not what it finds. The file of the
space may have another name, as a changed copy has."""


def ensure_study_folder(plan: Plan, folder: Path) -> tuple[Study, tuple[str, ...]]:
    """Writes the study's files; an existing study must be the same one. Appends the command to `command.txt`.

    Returns:
        The study, which knows the spaces that its earlier trials were proposed from; how its space has changed.

    Raises:
        ConfigError: the base config or the dataset differ from those in the folder, or the space in more than its
            ranges and choices; lists the differences.
        UserError: the journal is damaged, or belongs to another study.
    """
    path, comparison = folder / STUDY_FILE, _Comparison(plan, folder)
    if comparison.differences:
        raise ConfigError(
            [
                f"{folder}: contains another study; undo the changes to continue it, or give another --name. Changes:",
                *(f"  {line}" for line in comparison.differences),
            ]
        )
    journal = read_journal(folder / JOURNAL).get(SEARCH, JournalSnapshot())
    study = with_history(plan.study, comparison.known, _next_number(journal))
    study_id = read_study_id(path) or journal.user_attrs.get(STUDY_ID) or secrets.token_hex(8)
    record = {
        ID_KEY: study_id,
        **comparison.requested,
        **{key: value for key, value in study.to_dict().items() if key == EARLIER_SPACES},
    }
    write_split(plan.data.split, folder / SPLIT_FILE)
    write_class_list(plan.data.class_names, folder / CLASS_NAMES)
    write_dataset_facts(dataset_facts(plan.data, study.base, plan.seen), folder / DATASET_FACTS)
    atomic_write_text(path, yaml.safe_dump(record, sort_keys=False))
    with (folder / COMMANDS).open("a", encoding="utf-8") as file:
        file.write(_command())
    return study, comparison.space_change.lines


def with_known_schedule(study: Study, folder: Path) -> Study:
    """The study, with the freeze schedule of the one in the folder where that freezes random weights.

    That was the default of older code; such a study continues as it began.
    """
    path = folder / STUDY_FILE
    if study.base.states_frozen_parts or not path.exists():
        return study
    known = read_study(path)[0].base
    parts, extractor = to_dict(known)["freeze_scheduler"]["model_params"], known.feature_extractor
    if not parts or extractor.pretrained or extractor.checkpoint:
        return study
    return replace(study, base=override(study.base, {"freeze_scheduler.model_params": parts}))


def changes_of_study(plan: Plan, folder: Path) -> list[str]:
    """What makes the plan another study than the one in a folder, if there is one: one line each."""
    return _Comparison(plan, folder).differences


def changed_classes(plan: Plan, folder: Path) -> list[str]:
    """The classes whose numbers mean other words in the plan's dataset than in that of the study in a folder.

    Studies of older code do not know what theirs meant; there is nothing to compare.
    """
    path = folder / CLASS_NAMES
    return changed_names(read_class_list(path), plan.data.class_names, plan.data.clips) if path.exists() else []


class _Comparison:
    """A plan and the study in a folder; without one, the plan and itself."""

    def __init__(self, plan: Plan, folder: Path):
        split = plan.data.split
        sizes = {"train": len(split.train), "val": len(split.val), "test": len(split.test)}
        data = {**plan.data.fingerprints.as_dict(), **sizes}
        path = folder / STUDY_FILE
        self.known, known_data = read_study(path) if path.exists() else (plan.study, data)
        known = {**self.known.to_dict(), "data": known_data}  # older code has written less: defaults
        self.requested = {**plan.study.to_dict(), "data": data}
        """The record of the plan. A warm start is only given when the search starts."""
        self.requested["warm_start"] = self.requested["warm_start"] or known["warm_start"]
        self.space_change = compare_spaces(self.known.space, plan.study.space)
        changed = study_differences(known, self.requested)
        if path.exists():
            changed += changed_classes(plan, folder)
        may_continue = not self.space_change.refused and all(line.startswith("space.") for line in changed)
        self.differences = [] if may_continue else [*changed, *self.space_change.refused]
        """All of them, if the study cannot continue with one."""


def _next_number(journal: JournalSnapshot) -> int:
    """The number that the next proposed trial has at least."""
    return max((trial.number for trial in journal.trials), default=-1) + 1


def study_differences(known: Mapping[str, Any], requested: Mapping[str, Any]) -> list[str]:
    """What differs between the study in a folder and the requested one, one line each."""
    before, now = _flatten(known), _flatten(requested)
    lines = [
        f"{path}: was {_format(before, path)}, is {_format(now, path)}"
        for path in dict.fromkeys([*before, *now])
        if not path.startswith("data.") and _format(before, path) != _format(now, path)
    ]
    if is_same_dataset(known.get("data", {}), requested.get("data", {})):
        moved = any(line.startswith("config.general_parameters.data_path") for line in lines)
        return [*lines, "the dataset is the same: a symlink at its old place is enough"] if moved else lines
    clips = ", ".join(f"{part} {before.get(f'data.{part}')} -> {now.get(f'data.{part}')}" for part in PARTS)
    return [*lines, f"the dataset: files or labels were changed, added or removed (clips: {clips})"]


def _flatten(study: Mapping[str, Any]) -> dict[str, Any]:
    return dict(leaves({key: value for key, value in study.items() if key not in (*EXTENDABLE, EARLIER_SPACES)}))


def _format(tree: Mapping[str, Any], path: str) -> str:
    """A value as one line of YAML."""
    return yaml.safe_dump(tree[path], default_flow_style=True).splitlines()[0] if path in tree else "missing"


def portable_yaml(config: Config, path: Path, folder: Path) -> str:
    """A config as YAML for the file `path` in a study folder, with the study's own backbone relative to that file."""
    backbone = (folder / BACKBONE_FILE).absolute()
    if config.feature_extractor.checkpoint == str(backbone):
        relative = os.path.relpath(backbone, path.absolute().parent)
        config = override(config, {"feature_extractor.checkpoint": relative})
    return to_yaml(config)


def _command() -> str:
    """The command line, code version and machine: one paragraph of `command.txt`."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "ray", "optuna"))
    return (
        f"{time.strftime('%F %T')}  python {shlex.join(sys.argv)}\n"
        + (f"  job {job}\n" if (job := os.environ.get(JOB)) else "")
        + f"  {code_version()}\n"
        f"  {os.cpu_count()} cores, {platform.platform()}, python {platform.python_version()}, {libraries}\n"
    )


def record_study_id(search: TrialStore, folder: Path) -> None:
    """Records in the journal which study it belongs to, once."""
    if STUDY_ID not in search.optuna_study.user_attrs:
        search.optuna_study.set_user_attr(STUDY_ID, read_study_id(folder / STUDY_FILE))


def record_code_version(search: TrialStore, print_line: Print) -> None:
    """Records the code version in the journal; prints a line if it differs from that of the previous call."""
    known = list(search.optuna_study.user_attrs.get(CODE_VERSIONS, []))
    if known and known[-1] != code_version():
        print_line(f"the code has changed since the previous call: {known[-1]} -> {code_version()}; continuing")
    if code_version() not in known[-1:]:
        search.optuna_study.set_user_attr(CODE_VERSIONS, [*known, code_version()])


"""Folder of the code that is versioned: `hearai/`."""


def code_version() -> str:
    """`hearai 0.1.0, commit 1a2b3c4d5e, code 9f8e7d6c5b`; uncommitted changes change the last part.

    Where parts of the user's own are used: `, own code 0a1b2c3d4e`.
    """
    own = code_record()
    return f"{_package_version()}, own code {own['sha256'][:10]}" if own else _package_version()


@functools.cache
def _package_version() -> str:
    digest = hashlib.blake2b(digest_size=5)
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE)}\n".encode() + path.read_bytes())
    parts = [f"hearai {version('hearai')}"]
    if commit := _commit():
        parts.append(f"commit {commit[:10]}")
    return ", ".join([*parts, f"code {digest.hexdigest()}"])


def _commit() -> str | None:
    """None outside of a git checkout, or without git."""
    try:
        git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=PACKAGE, check=False)
    except OSError:
        return None
    return git.stdout.strip() if git.returncode == 0 else None
