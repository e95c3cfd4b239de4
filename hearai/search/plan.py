"""What a search decides before anything runs: its data, its starting weights, and what all trials look up."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import Data, load_data
from hearai.data.landmarks import check_all_landmarks
from hearai.errors import ConfigError
from hearai.training.feature_cache import ensure_features
from hearai.training.outputs.layout import BACKBONE_FILE, backbone_file
from hearai.training.setup.cross_validation import fold_config
from hearai.training.setup.prepare import wants_pretraining, with_data, with_weights
from hearai.training.setup.pretrain import ensure_backbone


@dataclass(frozen=True)
class Plan:
    """A study with its data and starting weights decided; nothing is written yet."""

    study: Study
    data: Data
    start: Config
    """The base config before pre-training."""
    pretrain: Pretrain | None
    demo_clips: int | None = None
    """Clips of the demo data; None = the user's own data."""


def make_plan(study: Study, folder: Path) -> Plan:
    """Checks all input and decides data, weights and pre-training.

    Raises:
        UserError: every problem of the data, or weights that cannot be had.
    """
    start, data = with_data(study.base, study.settings.demo_clips)
    if True in study.space.paths.get("train_parameters.landmarks", ()):  # not read by the base config, but by trials
        check_all_landmarks(data.clips)
    for fold in range(1, study.settings.splits):
        load_data(override(start, {"general_parameters.fold": fold}))  # too few signers are said before anything starts
    start = with_weights(start, pretraining_follows=study.settings.pretrain is not None)
    if problems := study.space.problems(start):  # published weights that one extractor has and another has not
        raise ConfigError(problems)
    pretrain = wants_pretraining(start, study.settings.pretrain)
    searched = [
        path for path in ("feature_extractor.name", "feature_extractor.model_path") if path in study.space.paths
    ]
    if pretrain and searched:
        raise ConfigError(
            f"space: {' and '.join(searched)}: searched, but one extractor is pre-trained for all trials; "
            "give feature_extractor.pretrained: true, or pretrain: false"
        )
    base = start
    if pretrain:
        checkpoint = str((folder / BACKBONE_FILE).absolute())
        base = override(start, {"feature_extractor.checkpoint": checkpoint, "feature_extractor.pretrained": False})
    demo_clips = len(data.clips) if study.base.general_parameters.data_path is None else None
    return Plan(replace(study, base=base), data, start, pretrain, demo_clips)


def prepare_inputs(plan: Plan, folder: Path) -> float:
    """Pre-trains if the plan says so, computes what all trials look up; the seconds it took."""
    started, splits = time.monotonic(), plan.study.settings.splits
    for fold in range(splits):
        start = override(plan.start, {"general_parameters.fold": fold}) if splits > 1 else plan.start
        if plan.pretrain:  # each division's own: no backbone sees the clips that it will be judged by
            ensure_backbone(start, load_data(start), plan.pretrain, folder / backbone_file(fold))
        ensure_features(fold_config(plan.study.base, fold) if splits > 1 else plan.study.base)
    return round(time.monotonic() - started, 3)
