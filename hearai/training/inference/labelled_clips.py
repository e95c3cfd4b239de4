"""The clips that a trained model is scored on, and the model's classes that their labels mean. N clips, K classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hearai.config.config import Config, build_config, to_dict
from hearai.config.field_types import FrozenDict
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.load import Data, load_data, unsplit_data
from hearai.errors import ConfigError
from hearai.sign.hamnosys import HEADS, MISSING
from hearai.training.inference.class_matching import ClassMatch, MatchBy, match_classes, some_of
from hearai.training.inference.trained_model import TrainedModel, require_dataset
from hearai.training.outputs.trained_clips import are_trained

TEST, ALL_CLIPS = "test", "all"
"""The split that is scored by default; all clips of the data, whatever their split."""
NO_CHANGES: Mapping[str, Any] = FrozenDict()


@dataclass(frozen=True)
class LabelledClips:
    """Clips to score a model on."""

    data: Data
    clips: Sequence[Clip]
    split: str
    """"train", "val", "test", or "all"."""
    is_own: bool
    """Whether they are of the data that the model was trained on: where it was, moved, or a copy."""
    is_unchanged: bool
    """Whether rows and files are those of the training."""
    remarks: Sequence[str]
    """What the reader of the scores must know."""


@dataclass(frozen=True)
class Unseen:
    """The labels of one head whose classes the model does not have, or no training clip had."""

    clips: int
    labelled: int
    """All clips with a label."""
    names: Sequence[str]
    """The names of these classes."""


def choose_clips(
    trained: TrainedModel, data_path: Sequence[str], split: str | None, reading: Mapping[str, Any] = NO_CHANGES
) -> LabelledClips:
    """The clips of `split`; None = the test clips of the model's own data, all clips of other data.

    Args:
        data_path: dataset folders; none = those of the model's config.
        reading: changes of its `general_parameters`: how the files of clips are found.

    Raises:
        ConfigError: the data has no such split, or no clips in it; or the model's own data is gone.
        DataError: all problems of the folders.
    """
    if not data_path:
        require_dataset(trained)
    config = config_for(trained.config, data_path, reading)
    data = unsplit_data(config)
    is_unchanged = is_same_dataset(trained.fingerprints, data.fingerprints.as_dict())
    is_own = is_unchanged or not data_path
    if is_own:
        data = load_data(config, merge_names=False)
        split = split or TEST
    elif split not in (None, ALL_CLIPS):
        raise ConfigError(
            f"--split {split}: {', '.join(data_path)} is not the data that the model was trained on, and has no such "
            f"split; omit --split, or give {ALL_CLIPS}"
        )
    split = split or ALL_CLIPS
    clips = data.clips if split == ALL_CLIPS else getattr(data.split, split)
    if not clips:
        raise ConfigError(f"{trained.folder}: the {split} split is empty; give another --split")
    if trained.trained_clips_N2 is not None:
        remarks = _training_remarks(trained.trained_clips_N2, data, clips, is_own and not is_unchanged)
    else:
        remarks = _remarks_of_older_run(trained, split, is_own, is_unchanged)
    return LabelledClips(data, clips, split, is_own, is_unchanged, remarks)


def match_labels(
    trained: TrainedModel, chosen: LabelledClips, by: MatchBy | None, *, skip_unseen: bool, given: bool
) -> ClassMatch:
    """Finds the model's class of every label, with remarks on what was assumed.

    Labels of unchanged data mean what they meant in training, even if its class list has been edited since; folders
    that the user has given are compared nevertheless, because one of the two lists must be wrong.

    Args:
        given: whether the user has given the folders of the data.

    Raises:
        ConfigError: as `match_classes`.
    """
    trusted = chosen.is_unchanged and not given
    match = match_classes(
        chosen.data.clips,
        chosen.data.class_lists,
        trained.classes,
        "numbers" if trusted and by is None else by,
        accept_unlisted=skip_unseen or chosen.is_unchanged,
    )
    return replace(match, remarks=match.remarks if match.has_clashes else []) if trusted and by is None else match


def labels_of_clips(clips: Sequence[Clip], match: ClassMatch) -> dict[str, Tensor]:
    """{head: (N,)}: a class, MISSING, or from K on a class that the model does not have."""
    return {head: torch.tensor(match.labels(clips, head)) for head in match.classes}


def find_unseen(
    trained: TrainedModel, labels: Mapping[str, Tensor], match: ClassMatch, *, is_own: bool
) -> tuple[dict[str, Tensor], dict[str, Unseen]]:
    """({head: (N,) whether the label is of an unseen class}, {head: what is unseen, only heads with some}).

    is_own: classes of the model's own data that happen to have no training clip are not unseen.
    """
    masks: dict[str, Tensor] = {}
    found: dict[str, Unseen] = {}
    for head, labels_N in labels.items():
        size, counts = trained.num_class[head], trained.train_counts.get(head, ())
        unseen = set(match.unseen[head])
        if not is_own and any(counts):
            unseen |= {k for k in range(min(size, len(counts))) if counts[k] == 0}
        present = sorted(unseen & set(labels_N.tolist()))
        masks[head] = torch.isin(labels_N, torch.tensor(present, dtype=labels_N.dtype))
        if present:
            names = {**trained.classes.names_of(head), **match.unseen[head]}
            found[head] = Unseen(
                clips=int(masks[head].sum()),
                labelled=int((labels_N != MISSING).sum()),
                names=[names.get(k, str(k)) for k in present],
            )
    return masks, found


def unseen_remarks(unseen: Mapping[str, Unseen], skipped: bool) -> list[str]:
    """One line for each head."""
    done = "left out" if skipped else "counted as wrong; --skip-unseen leaves them out"
    return [
        f"{head}: {one.clips} of {one.labelled} labels are of classes that the model was not trained on "
        f"({some_of(one.names)}): {done}"
        for head, one in unseen.items()
    ]


def config_for(
    config: Config, data_path: Sequence[str], reading: Mapping[str, Any], option: str = "--data-path"
) -> Config:
    """The config with other folders, or read in another way.

    Labels beyond the model's classes are read, too, except in HamNoSys heads.

    Args:
        reading: see `choose_clips`.
        option: what the user gave the folders as, for messages.
    """
    raw = to_dict(config)
    raw["general_parameters"] |= reading
    if data_path:
        raw["general_parameters"]["data_path"] = list(data_path)
    for group in config.train_parameters.head_groups:
        for head, parameters in raw["heads"][group].items():
            if head not in HEADS:
                parameters["num_class"] = "auto"
    return build_config(raw, option)


def _training_remarks(trained_N2: Tensor, data: Data, clips: Sequence[Clip], has_changed: bool) -> list[str]:
    """How many of the clips the model was trained on, if any.

    has_changed: it was trained on other rows or files in the same folders.
    """
    remarks = []
    if count := sum(are_trained(clips, data.fingerprints, trained_N2)):
        part = "these" if count == len(clips) else f"{count} of these {len(clips)}"
        remarks.append(f"the model was trained on {part} clips: expect lower scores on new ones")
    if has_changed:
        remarks.append(
            "the data has changed since the model was trained: training clips whose files have changed are not "
            "recognised, and may be among these"
        )
    return remarks


def _remarks_of_older_run(trained: TrainedModel, split: str, is_own: bool, is_unchanged: bool) -> list[str]:
    """What a run that does not state the clips that it was trained on tells of them."""
    remarks = []
    if is_own and not is_unchanged and "content" in trained.fingerprints:
        remarks.append("the data has changed since the model was trained: its split may be another one")
    trained_on_val = trained.config.general_parameters.train_on_validation
    if is_own and (split in ("train", ALL_CLIPS) or (split == "val" and trained_on_val)):
        part = "" if split == "train" or (split == "val" and trained_on_val) else "some of "
        remarks.append(f"the model was trained on {part}these clips: expect lower scores on new ones")
    elif not is_unchanged or trained.config.feature_extractor.weights_sha256 is not None:
        remarks.append(
            "which clips the model was trained on is not known, since it or the weights that it started with are of "
            "an older version: some of them may be among these"
        )
    return remarks
