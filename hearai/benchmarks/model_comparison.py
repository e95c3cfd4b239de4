"""Compares extractors, sequence encoders and augmentation: the same data, seeds and budget, one part exchanged."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hearai.config.config import Config, to_dict
from hearai.config.model_parts import EXTRACTORS, SEQUENCE_ENCODERS
from hearai.config.overrides import override
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.files import atomic_write_text
from hearai.models.model import build_initial_model
from hearai.training.fit import fit
from hearai.training.inference.assess import score_split
from hearai.training.outputs.layout import BACKBONE_FILE, BEST
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.backbone_cache import ensure_backbone

RESULT = "result.json"
"""In the folder of a run: its result, and the config that it belongs to."""

ENCODER_CASES = {name: {"transformer.name": name} for name in SEQUENCE_ENCODERS}
"""{label: changes of the base config}, one per sequence encoder."""

EXTRACTOR_CASES: dict[str, dict[str, Any]] = {
    **{
        name: {
            "feature_extractor.name": name,
            "train_parameters.frames": spec.reads == "frames",
            "train_parameters.landmarks": spec.reads == "landmarks",
        }
        for name, spec in EXTRACTORS.items()
        if name != "multi_frame_feature_extractor"  # another name of cnn_extractor
    },
    "cnn_extractor + landmarks": {"train_parameters.landmarks": True},
}
"""The same for the extractors: frames, landmarks, and both."""

LANDMARK_AUGMENTATION: dict[str, Any] = {
    "augmentations_parameters.apply_horizontal_flip": True,
    "augmentations_parameters.landmark_resample": 0.2,
    "augmentations_parameters.landmark_scale": 0.2,
    "augmentations_parameters.landmark_shift": 0.1,
    "augmentations_parameters.landmark_rotation": 10.0,
    "augmentations_parameters.landmark_time_mask": 0.3,
    "augmentations_parameters.landmark_point_mask": 0.2,
}
LANDMARK_ENCODERS: dict[str, dict[str, Any]] = {
    "transformer": {"transformer.name": "sign_language_transformer", "transformer.num_encoder_layers": 2},
    "conv1d": {"transformer.name": "conv1d_transformer", "transformer.num_encoder_layers": 1},
}
"""One layer of conv1d_transformer has four blocks."""
AUGMENTATIONS: dict[str, dict[str, Any]] = {"": {}, " + augmented": LANDMARK_AUGMENTATION}
LANDMARK_CASES: dict[str, dict[str, Any]] = {
    f"{extractor} + {encoder}{suffix}": {**EXTRACTOR_CASES[extractor], **parts, **augmentation}
    for extractor in ("gcn_extractor", "points")
    for encoder, parts in LANDMARK_ENCODERS.items()
    for suffix, augmentation in AUGMENTATIONS.items()
}
"""{label: changes of the base config}: extractors of landmarks, encoders, with and without augmentation."""


@dataclass(frozen=True)
class ModelResult:
    """Size, scores and training time of one case."""

    label: str
    parameters: int
    """Number of parameters of the model, including frozen ones."""
    val: float
    """Validation macro-F1 of the best epoch."""
    epoch: int
    test: float
    """Test macro-F1 of that epoch's model."""
    seconds: float
    """Wall time in `fit`, without pre-training."""
    cpu_seconds: float
    """CPU time of this process in `fit`: unlike wall time, hardly longer on a busy machine."""


def compare_models(
    base: Config, cases: Mapping[str, Mapping[str, Any]], folder: Path, seeds: Iterable[int], settings: Pretrain | None
) -> Iterator[list[ModelResult]]:
    """Trains and scores each case with every seed; a seed also divides the clips differently.

    With `settings`, each extractor is pre-trained on single frames and frozen; one that needs whole clips cannot be
    pre-trained and is trained with the rest of the model. Results are kept in `folder`/LABEL-SEED: runs with the same
    config are not repeated, so an interrupted comparison continues.

    Raises:
        ConfigError, DataError: a case cannot be trained.
    """
    device = choose_device(base.general_parameters.gpu)
    for label, changes in cases.items():
        results = []
        for seed in seeds:
            both = {"general_parameters.seed": seed, "general_parameters.split_seed": seed}
            case_folder = folder / f"{label.replace(' + ', '-').replace(' ', '_')}-{seed}"
            config = _with_backbone(override(base, {**changes, **both}), settings, case_folder / BACKBONE_FILE)
            results.append(_kept(case_folder, config) or _trained(label, config, LocalRuntime(device, case_folder)))
            _keep(case_folder, config, results[-1])
        yield results


def _with_backbone(config: Config, settings: Pretrain | None, path: Path) -> Config:
    if settings is None:
        return config
    if not config.feature_extractor.spec.per_frame:
        return override(config, {"freeze_scheduler.model_params": {}})
    ensure_backbone(config, load_data(config), settings, path)
    return override(config, {"feature_extractor.checkpoint": str(path)})


def _kept(folder: Path, config: Config) -> ModelResult | None:
    try:
        kept = json.loads((folder / RESULT).read_text())
    except FileNotFoundError:
        return None
    return ModelResult(**kept["result"]) if kept["config"] == _plain(config) else None


def _keep(folder: Path, config: Config, result: ModelResult) -> None:
    atomic_write_text(folder / RESULT, json.dumps({"config": _plain(config), "result": asdict(result)}))


def _plain(config: Config) -> Any:
    return json.loads(json.dumps(to_dict(config)))


def _trained(label: str, config: Config, runtime: LocalRuntime) -> ModelResult:
    parameters = sum(p.numel() for p in build_initial_model(config, load_data(config).num_class).parameters())
    started, started_cpu = time.monotonic(), time.process_time()
    result = fit(config, runtime)
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - started_cpu
    test = score_split(runtime.folder / BEST, runtime)["mean_macro_f1"] if result.best_epoch else 0.0
    return ModelResult(label, parameters, result.best, result.best_epoch, test, seconds, cpu_seconds)
