"""Extractor and encoder of another run, with which a model starts that has heads of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hearai.config.config import Config, build_config, to_dict
from hearai.config.model_parts import EXTRACTORS, SEQUENCE_ENCODERS, FeatureExtractorSpec, SequenceEncoderSpec
from hearai.errors import ConfigError
from hearai.files import sha256_of
from hearai.models.pretrained.clip_table import stated_clips
from hearai.models.pretrained.local import Taken
from hearai.models.weights import load_weights

NEVER_TAKEN = ("heads.", "transformer.late_dropout.")
"""Where the names of the weights begin that are never taken: classifiers, and a counter of the run's own batches."""
STARTS = ("pretrained", "checkpoint", "weights_sha256")
"""Options of an extractor that say where its weights come from."""
FREE = ("dropout_rate", "late_dropout_rate", "late_dropout_after")
"""Options of an encoder that change neither its weights nor what they mean."""
INPUTS = ("frames", "landmarks")
OF_BACKBONE = tuple(f"feature_extractor.{name}" for name in ("name", "model_path", "points", "network"))
"""Options on which the weights of the backbone alone depend."""


def architecture_of(config: Config) -> dict[str, Any]:
    """{dotted path: value} of all that weights of extractor and encoder fit to, in plain types."""
    raw, extractor, encoder = to_dict(config), config.feature_extractor.spec, config.transformer.spec
    unused = {
        "feature_extractor": {*STARTS, *(() if extractor.uses_model_path else ("model_path",))},
        "transformer": {
            *FREE,
            *(() if encoder.uses_attention_heads else ("num_attention_heads",)),
            *(() if encoder.uses_pooling else ("pooling", "num_encoder_layers", "feedforward_size")),
        },
    }
    own = {"feature_extractor": _options_of_others(extractor), "transformer": _options_of_others(encoder)}
    values = {f"train_parameters.{name}": raw["train_parameters"][name] for name in INPUTS}
    for section, names in unused.items():
        values |= {f"{section}.{key}": x for key, x in raw[section].items() if key not in names | own[section]}
    return values


def _options_of_others(spec: FeatureExtractorSpec | SequenceEncoderSpec) -> set[str]:
    """Options that only other parts of the same kind understand."""
    table = EXTRACTORS if isinstance(spec, FeatureExtractorSpec) else SEQUENCE_ENCODERS
    return {option for other in table.values() for option in other.options} - {*spec.options}


def is_run(content: Any) -> bool:
    """Whether what was read is the checkpoint of a run."""
    return isinstance(content, dict) and all(isinstance(content.get(key), dict) for key in ("model", "config"))


def load_run(model: nn.Module, config: Config, content: Mapping[str, Any], path: Path, where: str) -> Taken:
    """Loads all weights of a run's checkpoint but those of its heads; see `NEVER_TAKEN`.

    Args:
        content: what `path` holds, see `is_run`.
        where: the option, for messages.

    Raises:
        ConfigError: the run has another architecture, with each value to change; or weights are missing or damaged.
    """
    there, here = architecture_of(build_config(content["config"], f"{where}: config")), architecture_of(config)
    differences = [f"{key}: {here.get(key)} here, {there[key]} there" for key in there if here.get(key) != there[key]]
    if differences:
        raise ConfigError(
            [
                f"{where}: is of another architecture; set these values to those there, or start with --from, which "
                "takes them over:",
                *(f"  {line}" for line in differences),
            ]
        )
    expected = {name: x for name, x in model.state_dict().items() if not name.startswith(NEVER_TAKEN)}
    found = {name: x for name, x in content["model"].items() if isinstance(name, str) and isinstance(x, Tensor)}
    missing = [name for name in expected if name not in found]
    wrong = [name for name, x in expected.items() if name in found and found[name].shape != x.shape]
    if missing or wrong:
        kind = f"{len(missing)} weights are missing" if missing else f"{len(wrong)} weights have another shape"
        raise ConfigError(
            f"{where}: {kind}, such as {(missing or wrong)[0]}; give the `best` folder of a run that has ended"
        )
    try:
        load_weights(model, {**model.state_dict(), **{name: found[name] for name in expected}})
    except ValueError as problem:
        raise ConfigError(f"{where}: cannot be used ({problem}); give another run") from None
    parts: dict[str, int] = {}
    for name in expected:
        part = name.partition(".")[0]
        parts[part] = parts.get(part, 0) + 1
    left = tuple(f"{name} {tuple(x.shape)}" for name, x in found.items() if name not in expected)
    return Taken(path, sha256_of(path), parts, left, stated_clips(content))
