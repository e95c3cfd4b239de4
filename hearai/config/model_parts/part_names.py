"""What a part of the user's own is called: `module:Class` in the folder of `--code`, or a name of an installed package.

An installed package offers parts as entry points:

    [project.entry-points."hearai.feature_extractors"]
    wave = "my_package.waves:Wave"
"""

import functools
import importlib.metadata
import re
from collections.abc import Iterable
from dataclasses import dataclass

OWN_NAME = "module:Class"
"""How a part in the folder of `--code` is written."""
_OWN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class PartKind:
    """A place of the config that can name a part of the user's own."""

    title: str
    """For messages."""
    name_path: str
    """Dotted path of the option with its name."""
    kwargs_path: str
    """Dotted path of its keyword arguments."""
    group: str
    """Of entry points."""


EXTRACTOR = PartKind(
    "feature extractor", "feature_extractor.name", "feature_extractor.kwargs", "hearai.feature_extractors"
)
ENCODER = PartKind("sequence encoder", "transformer.name", "transformer.kwargs", "hearai.sequence_encoders")
LOSS = PartKind("loss", "train_parameters.loss", "train_parameters.loss_kwargs", "hearai.losses")
AUGMENTATION = PartKind(
    "augmentation",
    "augmentations_parameters.augmentation",
    "augmentations_parameters.augmentation_kwargs",
    "hearai.augmentations",
)
KINDS = (EXTRACTOR, ENCODER, LOSS, AUGMENTATION)
KWARGS_PATHS = tuple(kind.kwargs_path for kind in KINDS)
"""Mappings that may get keys which the base config does not have."""


def is_kwarg(path: str) -> bool:
    """Whether a dotted path is that of a keyword argument of a part of the user's own."""
    return path.rpartition(".")[0] in KWARGS_PATHS


def is_own_name(name: str) -> bool:
    """Whether a name has the form `module:Class`; nothing is imported."""
    return _OWN.fullmatch(name) is not None


@functools.cache
def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    """Those of all installed packages in our groups, which takes 50 ms to read."""
    all_groups = importlib.metadata.entry_points()
    return tuple(entry for kind in KINDS for entry in all_groups.select(group=kind.group))


@functools.cache
def installed_parts(group: str) -> dict[str, tuple[importlib.metadata.EntryPoint, ...]]:
    """{name: its entry points} that installed packages offer; several packages may offer the same name."""
    found: dict[str, tuple[importlib.metadata.EntryPoint, ...]] = {}
    for entry in _entry_points():
        if entry.group == group and entry.value not in {known.value for known in found.get(entry.name, ())}:
            found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def collision(kind: PartKind, name: str, ours: Iterable[str]) -> str | None:
    """Why a name could mean two parts: installed packages offer one by this name, and so do we, or another package."""
    entries = installed_parts(kind.group).get(name, ())
    owners = [_owner(entry) for entry in entries] + (["hearai"] if name in ours else [])
    if not entries or len(owners) < 2:
        return None
    return (
        f"{kind.name_path}: {name!r} is offered by {' and by '.join(owners)}; rename the entry point in the group "
        f"{kind.group} (of {_owner(entries[0])}), or uninstall that package"
    )


def _owner(entry: importlib.metadata.EntryPoint) -> str:
    return f"the package {entry.dist.name} ({entry.value})" if entry.dist else entry.value
