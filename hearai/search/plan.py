"""Before the first trial: checks all input, chooses data and starting weights, and computes what all trials share."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hearai.cli.progress import events
from hearai.config.config import Config, dataset_folders
from hearai.config.overrides import override
from hearai.config.search_space.space_check import space_problems
from hearai.config.study import Study
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.fingerprint import CHANGED, require_same_dataset
from hearai.data.annotations.load import Data, forget_data, load_data
from hearai.data.landmarks.clip_points import check_all_landmarks
from hearai.errors import ConfigError, DataError
from hearai.metrics import MACRO_F1, METRICS, objective_label
from hearai.models.pretrained.transfer import OF_BACKBONE, architecture_of
from hearai.sign.skeleton import FACE_PARTS
from hearai.training.features.feature_cache import ensure_features
from hearai.training.outputs.layout import BACKBONE_FILE, backbone_file
from hearai.training.setup.backbone_cache import SharedEpochs, ensure_backbone, is_backbone
from hearai.training.setup.cross_validation import fold_config, fold_configs
from hearai.training.setup.part_checks import check_own_parts
from hearai.training.setup.prepare import wants_pretraining, warn_of_missing_faces, with_data, with_weights
from hearai.training.setup.starting_weights import clips_seen_before, travels, with_copy, with_kept_weights, write_copy


@dataclass(frozen=True)
class Plan:
    """A study with its data and starting weights; nothing has been written."""

    study: Study
    data: Data
    start: Config
    """The base config before pre-training."""
    pretrain: Pretrain | None
    demo_clips: int | None = None
    """Number of clips of the demo data; None = the user's own data."""
    seen: Mapping[str, int] | None = None
    """As `clips_seen_before` counts them."""

    @property
    def checked_on_nodes(self) -> Config:
        """`start`, for nodes that get weights of a path or of another run only with the study."""
        names = ("checkpoint", "weights_sha256") if travels(self.start) else ()
        unset = dict.fromkeys((f"feature_extractor.{name}" for name in names), None)
        return override(self.start, {**unset, "feature_extractor.pretrained": False}) if unset else self.start


def _may_read_face(study: Study) -> bool:
    lists = study.space.paths.get("feature_extractor.points", ())
    return any(FACE_PARTS.keys() & ({value} if isinstance(value, str) else set(value)) for value in lists)


def make_plan(study: Study, folder: Path) -> Plan:
    """Checks all input and chooses data, weights and pre-training.

    Raises:
        UserError: every problem of the data, or of parts of the user's own, or weights that are not available.
    """
    check_own_parts(study.part_configs)
    start, data = with_data(study.base, study.settings.demo_clips, study.settings.demo_landmarks)
    if True in study.space.paths.get("train_parameters.landmarks", ()):  # read by trials, but not by the base config
        check_all_landmarks(data.clips)
    if not start.feature_extractor.reads_face and _may_read_face(study):
        warn_of_missing_faces(data.clips)
    folds = [load_data(fold) for fold in fold_configs(start, study.settings.splits)]  # raises if signers are too few
    follows = study.settings.pretrain is not None and start.feature_extractor.spec.per_frame
    start = with_weights(with_kept_weights(start, folder / BACKBONE_FILE), pretraining_follows=follows)
    seen = clips_seen_before(start, folds)
    if problems := space_problems(study.space, start):  # such as an extractor without published weights
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
    if travels(start):
        _check_space_of_transfer(study, start)
        base = with_copy(start, folder / BACKBONE_FILE)
    if pretrain:
        checkpoint = str((folder / BACKBONE_FILE).absolute())
        base = override(start, {"feature_extractor.checkpoint": checkpoint, "feature_extractor.pretrained": False})
    demo_clips = len(data.clips) if study.base.general_parameters.data_path is None else None
    return Plan(replace(study, base=base), data, start, pretrain, demo_clips, seen)


def _check_space_of_transfer(study: Study, start: Config) -> None:
    """Refuses to search what the weights with which all trials start have decided.

    Raises:
        ConfigError: each such parameter.
    """
    extractor = study.base.feature_extractor  # as it was asked for: `start` may read a copy in place of a path
    decided = [path for path in architecture_of(start) if extractor.checkpoint or path in OF_BACKBONE]
    starts = [f"feature_extractor.{name}" for name in ("pretrained", "checkpoint", "weights_sha256")]
    if searched := [path for path in (*decided, *starts) if path in study.space.paths]:
        raise ConfigError(
            f"space: {', '.join(searched)}: searched, but all trials start with the weights of "
            f"{extractor.checkpoint or extractor.pretrained}; give each one value (--space-set PATH=VALUE)"
        )


def prepare_inputs(
    plan: Plan,
    folder: Path,
    show: events.Show = events.ignore,
    *,
    shared: Callable[[str], SharedEpochs] | None = None,
) -> float:
    """Pre-trains an extractor if planned and computes the features that all trials share; returns the seconds.

    shared: where the epochs of an unfinished pre-training are also kept, by the name of the backbone's file.
    """
    started, splits = time.monotonic(), plan.study.settings.splits
    if travels(plan.start):
        write_copy(plan.start, folder / BACKBONE_FILE)
    for fold, start in enumerate(fold_configs(plan.start, splits)):
        backbone = folder / backbone_file(fold)
        # One per fold: no backbone is trained on its validation clips. A study keeps the one its trials began with.
        epochs = shared(backbone.name) if shared and plan.pretrain else None
        if plan.pretrain and not is_backbone(backbone):
            show(events.PhaseStarted(events.PRETRAINING))
            ensure_backbone(start, load_data(start), plan.pretrain, backbone, epochs)
        if epochs:
            epochs.remove()
        show(events.PhaseStarted(events.FEATURES))
        ensure_features(fold_config(plan.study.base, fold) if splits > 1 else plan.study.base)
    return round(time.monotonic() - started, 3)


def check_inputs(plan: Plan, reason: str = "") -> None:
    """Checks that what the trials read is still there; called when one has failed.

    Args:
        reason: of its failure. Files are looked for, not read: on a network drive that is gone, reading never ends.

    Raises:
        DataError: the dataset, some of its clips, or the starting weights are gone, or the dataset has changed. It is
            not the trial's fault, and the next one would fail as well.
    """
    train, weights = plan.study.base.train_parameters, plan.study.base.feature_extractor.checkpoint
    folders, clips = dataset_folders(plan.study.base), plan.data.clips
    problems = [f"{folder}: the dataset is gone" for folder in folders if not folder.is_dir()]
    if not problems:
        files = [clip.frame_path(clip.start) for clip in clips if train.frames]
        files += [clip.landmarks_path for clip in clips if train.landmarks]
        if missing := [file for file in files if not file.exists()]:
            lost = f"{len(missing):,} of {len(clips):,} clips"
            problems.append(f"the dataset: the files of {lost} are gone, the first one is {missing[0]}")
    if weights and not Path(weights).is_file():
        problems.append(f"{weights}: the starting weights of all trials are gone")
    if problems:
        remedy = (
            "they were deleted, moved or unmounted during the search. Put them back; then the same command continues"
        )
        raise DataError([*problems[:-1], f"{problems[-1]}: {remedy}, and repeats the trials that were running"])
    if CHANGED in reason:
        raise DataError(CHANGED)


def require_unchanged_data(plan: Plan) -> None:
    """Reads the dataset again, before the test clips are scored.

    Raises:
        DataError: it has changed.
    """
    forget_data()
    require_same_dataset(plan.data.fingerprints.as_dict(), load_data(plan.study.base).fingerprints)


def objective_note(study: Study) -> str | None:
    """A line about the objective and the metrics to print; None for the usual macro-F1 over all heads."""
    train, costs = study.base.train_parameters, study.settings.metric[1:]
    heads, score = train.objective_heads, train.objective_metric
    if not heads and not costs and score == MACRO_F1:
        return None
    names = f": {', '.join(heads)}" if heads else ""
    others = f"; other metrics: {', '.join(METRICS[name].label for name in costs)}" if costs else ""
    return f"objective: {objective_label(heads, len(study.base.active_heads), score)}{names}{others}"
