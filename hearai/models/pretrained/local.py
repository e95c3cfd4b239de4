"""Weights of a path: a folder of timm or transformers, a file of tensors, or a backbone, run or checkpoint of ours.

Every weight of the backbone must be there, in its shape. What else the file holds (a classifier, other parts of a
model) is not taken, and listed. More weights of the backbone's own kind are those of another network, and refused.
"""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from hearai.config.config import build_config
from hearai.errors import ConfigError, load_failure
from hearai.files import sha256_of
from hearai.models.pretrained.clip_table import no_clips, stated_clips
from hearai.models.pretrained.published import LOAD_ERRORS, WEIGHT_FILES
from hearai.models.weights import load_weights, read_tensors

ALLOWED = (
    "a folder with config.json and model.safetensors or pytorch_model.bin (of timm or transformers), a .safetensors "
    "file, or a backbone, run or checkpoint of this project"
)
OUR_FILES = ("best/state.pt", "state.pt", "backbone.pt")
"""What holds the weights in a run or study, in a checkpoint, and after pre-training, in order of preference."""
OURS = "feature_extractor.backbone."
PREFIXES = ("", OURS, "backbone.", "module.", "model.", "videomae.", "vjepa2.encoder.", "encoder.")
"""What may precede the names of a backbone's weights in a file that holds more than it."""
OWN_PREFIXES = ("", "net.")
"""What precedes the names of a published network where our backbone wraps it."""
OLD_NAMES = {".q_bias": ".query.bias", ".v_bias": ".value.bias"}
"""Ends of names in the published files of VideoMAE, and those of today."""
COUNTER = "num_batches_tracked"
"""The buffer of batch norms that older files lack."""
MAX_CONFIG_BYTES = 1_000_000
"""Of a config.json; they have a few kB."""
SHOWN = 3
"""Names in a message."""


@dataclass(frozen=True)
class WeightFile:
    """The weights in a file, and what it says they are."""

    path: Path
    weights: Mapping[str, Tensor]
    network: str | None = None
    """The network in the words of `backbone_name`; None = the file does not say."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The content of the config.json beside it."""
    clips_N2: Tensor | None = None
    """See `Taken.clips_N2`."""


@dataclass(frozen=True)
class Taken:
    """What was taken from a file of weights, and what was not."""

    path: Path
    sha256: str
    parts: Mapping[str, int]
    """{part of the model: number of weights taken}"""
    left: tuple[str, ...]
    """Name and shape of each weight that was not taken."""
    clips_N2: Tensor | None = field(default=None, compare=False, repr=False)
    """Digests of the clips that the weights were trained on, see `hearai.training.outputs.trained_clips`.

    (0, 2) for weights of others; None where a file of ours does not state them.
    """

    @property
    def summary(self) -> str:
        """One line for people."""
        parts = ", ".join(f"{part} ({count} tensors)" for part, count in self.parts.items())
        more = f", ... ({len(self.left)} in all)" if len(self.left) > SHOWN else ""
        left = ", ".join(self.left[:SHOWN]) + more if self.left else "nothing"
        return f"weights of {self.path} (SHA-256 {self.sha256[:12]}...): taken {parts}; not taken: {left}"

    def to_dict(self) -> dict[str, Any]:
        """In plain types."""
        return {
            "path": str(self.path),
            "sha256": self.sha256,
            "taken": dict(self.parts),
            "not_taken": list(self.left),
        }


def find_file(path: str, where: str) -> Path:
    """The file of weights at a path; where: the option, for messages.

    Raises:
        ConfigError: there is none.
    """
    place = Path(os.path.abspath(os.path.expanduser(path)))
    if os.path.isfile(place):  # unlike Path.is_file, also false for texts that can be no path
        return place
    if not path or not os.path.isdir(place):
        raise ConfigError(f"{where}: {path!r}: no such file or folder; give {ALLOWED}")
    for name in (*WEIGHT_FILES, *OUR_FILES):
        if (place / name).is_file():
            return place / name
    if any(place.glob("*.index.json")):
        raise ConfigError(
            f"{where}: {path!r}: holds weights in several files, which are not read; save them as one "
            "(save_pretrained(..., max_shard_size='100GB'))"
        )
    raise ConfigError(f"{where}: {path!r}: holds none of {', '.join((*WEIGHT_FILES, *OUR_FILES))}; give {ALLOWED}")


def read_weights(path: str, where: str) -> WeightFile:
    """The weights at a path. Only tensors and plain values are read.

    Raises:
        ConfigError: there are none, or they cannot be read.
    """
    file = find_file(path, where)
    try:
        content = load_file(file) if file.suffix == ".safetensors" else read_tensors(file)
    except LOAD_ERRORS as error:
        raise ConfigError(
            f"{where}: {file}: cannot be read as weights ({load_failure(error)}); give {ALLOWED}"
        ) from None
    network, weights, settings, clips_N2 = _unwrapped(content, file, where)
    if not weights or not all(isinstance(name, str) and isinstance(x, Tensor) for name, x in weights.items()):
        raise ConfigError(f"{where}: {file}: holds no mapping of names to tensors; give {ALLOWED}")
    if file.name in WEIGHT_FILES:
        settings = _read_settings(file.with_name("config.json"), where)
    named = settings.get("architecture") or settings.get("model_type")
    return WeightFile(file, weights, network or (str(named) if named else None), settings, clips_N2)


def _unwrapped(
    content: Any, file: Path, where: str
) -> tuple[str | None, Mapping[str, Tensor], Mapping[str, Any], Tensor | None]:
    """(the network, the mapping of weights, what else describes the network, trained clips) in what was read."""
    if not isinstance(content, dict):
        return None, {}, {}, None
    if {"backbone", "model_path"} <= content.keys():
        return str(content["model_path"]), _mapping(content["backbone"]), {}, stated_clips(content)
    if isinstance(content.get("model"), dict) and isinstance(content.get("config"), dict):
        extractor = build_config(content["config"], f"{where}: {file}: config").feature_extractor
        name = extractor.model_path if extractor.spec.uses_model_path else extractor.name
        return name, content["model"], extractor.network, stated_clips(content)
    inner = content.get("state_dict", content.get("model"))
    weights = inner if isinstance(inner, dict) else content
    is_ours = any(isinstance(name, str) and name.startswith(OURS) for name in weights)  # such as a `.pth` of `train.py`
    return None, weights, {}, None if is_ours else no_clips()


def _mapping(value: Any) -> Mapping[str, Tensor]:
    return value if isinstance(value, dict) else {}


def _read_settings(path: Path, where: str) -> Mapping[str, Any]:
    """The content of a config.json; empty if there is none."""
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError("it is larger than 1 MB")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no mapping")
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {path}: cannot be read as JSON ({error}); copy it again") from None
    return content


def load_backbone_weights(net: nn.Module, file: WeightFile, where: str, extras: Collection[str] = ()) -> Taken:
    """Loads the weights of a backbone.

    Args:
        where: the option, for messages.
        extras: names that the file may hold beyond the backbone: those of its classifier.

    Raises:
        ConfigError: weights are missing, have other shapes, or are those of a larger network.
    """
    expected, (found, left) = net.state_dict(), _renamed(net, file.weights)
    missing = [name for name in expected if name not in found and not name.endswith(COUNTER)]
    shapes = {name: (tuple(x.shape), tuple(expected[name].shape)) for name, x in found.items() if name in expected}
    wrong = [f"{name} is {there} there and {here} here" for name, (there, here) in shapes.items() if there != here]
    foreign = [name for name in found if name not in expected and name not in extras]
    problems = [
        *([f"{len(missing)} of {len(expected)} weights are missing, such as {missing[0]}"] if missing else []),
        *([f"{len(wrong)} have another shape: {', '.join(wrong[:SHOWN])}"] if wrong else []),
        *([f"it has {len(foreign)} weights that this network lacks, such as {foreign[0]}"] if foreign else []),
    ]
    if problems:
        raise ConfigError(
            f"{where}: {file.path}: holds the weights of another network ({'; '.join(problems)}); choose the extractor "
            "that they belong to (feature_extractor.name, model_path), or give other weights"
        )
    taken = {name: found[name] if name in found else x for name, x in expected.items()}
    try:
        load_weights(net, taken)
    except ValueError as problem:
        raise ConfigError(f"{where}: {file.path}: cannot be used ({problem}); give other weights") from None
    left += [f"{name} {tuple(x.shape)}" for name, x in found.items() if name not in expected]
    parts = {"feature_extractor.backbone": sum(name in found for name in expected)}
    return Taken(file.path, sha256_of(file.path), parts, tuple(left), file.clips_N2)


def _renamed(net: nn.Module, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """(the weights by the names of the network, those of other parts with their shape)."""
    expected = net.state_dict().keys()
    current = {_current_name(name): x for name, x in weights.items()}
    choices = [
        (before, {f"{own}{name.removeprefix(before)}": x for name, x in current.items() if name.startswith(before)})
        for before in PREFIXES
        for own in OWN_PREFIXES
    ]
    before, found = max(choices, key=lambda choice: len(expected & choice[1].keys()))
    return found, [f"{name} {tuple(x.shape)}" for name, x in current.items() if not name.startswith(before)]


def _current_name(name: str) -> str:
    for old, new in OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
