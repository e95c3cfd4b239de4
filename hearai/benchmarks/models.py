"""Parts side by side: the same data, seed and budget, one part exchanged."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.models.feature_extractors import EXTRACTORS, kind_of
from hearai.models.model import build_initial_model
from hearai.models.sequence_encoders import TRANSFORMERS
from hearai.training.fit import fit
from hearai.training.inference.assess import score_split
from hearai.training.outputs.layout import BACKBONE_FILE
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.pretrain import ensure_backbone

TRANSFORMER_CASES = {name: {"transformer.name": name} for name in TRANSFORMERS}
"""{label: changes of the base config}, one for each sequence encoder."""

EXTRACTOR_CASES = {
    **{name: {"feature_extractor.name": name} for name, kind in EXTRACTORS.items() if kind.reads == "frames"},
    "gcn_extractor": {
        "feature_extractor.name": "gcn_extractor",
        "train_parameters.landmarks": True,
        "train_parameters.frames": False,
    },
    "cnn_extractor + landmarks": {"train_parameters.landmarks": True},
}
"""The same for the extractors; landmarks alone, and beside pictures."""
del EXTRACTOR_CASES["multi_frame_feature_extractor"]  # another name of cnn_extractor


@dataclass(frozen=True)
class ModelResult:
    """What one case came to."""

    label: str
    parameters: int
    """Numbers in the model, frozen ones too."""
    val: float
    """Validation macro-F1 of the best epoch."""
    epoch: int
    test: float
    """Test macro-F1 of that epoch's model."""
    seconds: float
    """Wall time in `fit`, pre-training apart."""


def compare(
    base: Config, cases: Mapping[str, Mapping[str, Any]], folder: Path, settings: Pretrain
) -> Iterator[ModelResult]:
    """Trains and scores each case, one after the other, with files in `folder`/LABEL.

    Each extractor is pre-trained on single frames and frozen; one that looks at whole clips, which cannot be, is
    trained with all the rest.

    Raises:
        ConfigError, DataError: a case that cannot be trained.
    """
    device = choose_device(base.general_parameters.gpu)
    for label, changes in cases.items():
        config, place = override(base, changes), folder / label.replace(" ", "_")
        if kind_of(config.feature_extractor).per_frame:
            ensure_backbone(config, load_data(config), settings, place / BACKBONE_FILE)
            config = override(config, {"feature_extractor.checkpoint": str(place / BACKBONE_FILE)})
        else:
            config = override(config, {"freeze_scheduler.model_params": {}})
        runtime = LocalRuntime(device, place)
        parameters = sum(p.numel() for p in build_initial_model(config, load_data(config).num_class).parameters())
        started = time.monotonic()
        result = fit(config, runtime)
        seconds = time.monotonic() - started
        test = score_split(runtime.folder / "best", runtime)["mean_macro_f1"] if result.best_epoch else 0.0
        yield ModelResult(label, parameters, result.best, result.best_epoch, test, seconds)
