"""Train / validation / test splits: as splits.csv gives them, else no signer in two of them if signers are known."""

import csv
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hearai.data.annotations.clip import Clip
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING

logger = logging.getLogger(__name__)

PART_NAMES = {"train": "training", "val": "validation", "test": "test"}
"""{part of a split: its name in messages}"""
PARTS = tuple(PART_NAMES)
CANDIDATES = 500
"""Random assignments of signers to splits that are compared; the best one is kept."""

MOST_UNTRAINED = 0.2
"""Share of the evaluated classes that a split by signer may leave untrained in mode "auto"."""

SplitMode = Literal["auto", "given", "signer", "random"]


@dataclass(frozen=True)
class Split:
    """Disjoint parts, each sorted by the keys of the clips."""

    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    test: tuple[Clip, ...]


def split_clips(
    clips: Iterable[Clip],
    *,
    ratio_train_test: float = 0.8,
    ratio_test: float = 0.15,
    mode: SplitMode = "auto",
    seed: int = 0,
) -> Split:
    """Splits the clips; a pure function of the set of clips and the arguments.

    In the modes "auto" and "given" clips keep the split that they are given; see `_given_split`. The others are dealt:
    of many random assignments of signers, the one is kept whose sizes are close to the ratios and whose validation and
    test parts have few classes that train lacks.

    Args:
        ratio_train_test: share of train in the clips that are not test.
        ratio_test: share of test in all clips; 0 = no test clips.
        mode: "given" needs a given split of every clip; "signer" keeps every signer in one part; "auto" does so if
            every clip's signer is known, unless that leaves many classes untrained (few signers with different words):
            then it warns and splits at random.

    Raises:
        DataError: too few clips or signers for the splits, or no training clips are given.
    """
    clips = sorted(clips, key=lambda clip: clip.key)
    if mode == "given" or (mode == "auto" and any(clip.split for clip in clips)):
        ratios = {"ratio_train_test": ratio_train_test, "ratio_test": ratio_test}
        return _given_split(clips, ratios, mode=mode, seed=seed)
    test = ratio_test * len(clips)
    train = ratio_train_test * (len(clips) - test)
    targets = {"train": train, "val": len(clips) - test - train, "test": test}
    if ratio_test == 0:
        del targets["test"]
    by_signer = _is_by_signer(clips, mode)
    split = _split(clips, targets, by_signer, seed)
    if not (by_signer and mode == "auto"):
        return split
    untrained, evaluated = _untrained_classes(split)
    if untrained > MOST_UNTRAINED * evaluated:
        by_clip = _split(clips, targets, False, seed)
        untrained_by_clip = _untrained_classes(by_clip)[0]
        if untrained_by_clip <= untrained / 2:
            logger.warning(
                "with every signer in one part, %d of %d evaluated classes are never trained (%d if clips are split at "
                "random): clips are split at random, and a signer may be in two parts (split: signer prevents it)",
                untrained,
                evaluated,
                untrained_by_clip,
            )
            return by_clip
    return split


def _given_split(clips: Sequence[Clip], ratios: dict[str, float], *, mode: SplitMode, seed: int) -> Split:
    """Keeps given splits; deals the clips of datasets without one, and the validation part where a dataset lacks it.

    The validation part is taken from the dataset's training clips, by signer if there are two or more.
    """
    others = [clip for clip in clips if clip.split is None]
    if mode == "given" and others:
        raise DataError(
            f"split: given, but {len(others)} clips have none (first: {others[0].key}); "
            "give splits.csv (`name,split` with train, val or test) in every dataset folder, or split: auto"
        )
    parts: dict[str, list[Clip]] = {name: [clip for clip in clips if clip.split == name] for name in PARTS}
    in_train, in_val = ({clip.dataset_name for clip in parts[name]} for name in ("train", "val"))
    for dataset in sorted(in_train - in_val):
        own = [clip for clip in parts["train"] if clip.dataset_name == dataset]
        by: SplitMode = "auto" if len({clip.signer for clip in own}) > 1 else "random"
        undealt = [replace(clip, split=None) for clip in own]
        dealt = split_clips(undealt, **ratios | {"ratio_test": 0}, mode=by, seed=seed)
        keys = {clip.key for clip in dealt.val}
        parts["train"] = [clip for clip in parts["train"] if clip.key not in keys]
        parts["val"] += [clip for clip in own if clip.key in keys]
        logger.info(
            "%s: no validation clips are given; %d of %d training clips are taken", dataset, len(keys), len(own)
        )
    if others:
        dealt = split_clips(others, **ratios, mode="auto", seed=seed)
        parts = {name: [*parts[name], *getattr(dealt, name)] for name in PARTS}
    if not parts["train"]:
        raise DataError("splits.csv: no clip is in train; expected training clips in at least one dataset folder")
    return Split(**{name: tuple(sorted(part, key=lambda clip: clip.key)) for name, part in parts.items()})


def _split(clips: Sequence[Clip], targets: Mapping[str, float], by_signer: bool, seed: int) -> Split:
    groups = _group(clips, by_signer)
    if len(groups) < len(targets):
        raise DataError(_too_few(len(groups), list(targets), by_signer))
    rng = random.Random(seed)
    candidates = (_assign(groups, targets, rng) for _ in range(CANDIDATES if by_signer else 1))
    best = min(candidates, key=lambda assignment: _cost(assignment, targets, len(clips)))
    parts = {name: [clip for group in best.get(name, []) for clip in group.clips] for name in PARTS}
    return Split(**{name: tuple(sorted(part, key=lambda clip: clip.key)) for name, part in parts.items()})


def make_fold(split: Split, fold: int, *, mode: SplitMode = "auto", seed: int = 0) -> Split:
    """Another fold: the same test clips, and another validation part of about the same size.

    The validation clips of earlier folds are avoided, as long as there are signers (or clips) left.

    Args:
        split: fold 0, from `split_clips`.
        fold: 0 returns the split unchanged.

    Raises:
        DataError: too few clips or signers to divide the rest.
    """
    clips = sorted((*split.train, *split.val), key=lambda clip: clip.key)
    by_signer = _is_by_signer((*clips, *split.test), mode) and (mode != "auto" or _signers_are_disjoint(split))
    groups = _group(clips, by_signer)
    targets: dict[str, float] = {"train": len(split.train), "val": len(split.val)}
    if fold and len(groups) < 2:
        raise DataError(_too_few(len(groups), list(targets), by_signer))
    used, val = {clip.key for clip in split.val}, list(split.val)
    for number in range(1, fold + 1):
        rng = random.Random(seed * 1009 + number)
        if by_signer:
            candidates = [_assign(groups, targets, rng) for _ in range(CANDIDATES)]
            best = min(candidates, key=lambda each: _cost(each, targets, len(clips)) + _overlap(each["val"], used))
            val = [clip for group in best["val"] for clip in group.clips]
        else:
            unused_first = sorted(rng.sample(clips, len(clips)), key=lambda clip: clip.key in used)
            val = unused_first[: len(split.val)]
        used |= {clip.key for clip in val}
    val_keys = {clip.key for clip in val}
    train_part = tuple(clip for clip in clips if clip.key not in val_keys)
    val_part = tuple(clip for clip in clips if clip.key in val_keys)
    return Split(train_part, val_part, split.test)


def _overlap(groups: Sequence["_Group"], used: set[str]) -> float:
    """Share of the groups' clips that were validation clips of earlier folds."""
    keys = [clip.key for group in groups for clip in group.clips]
    return sum(key in used for key in keys) / max(1, len(keys))


def unseen_classes(split: Split) -> dict[str, tuple[int, int]]:
    """{head: (classes of validation and test that train lacks, all classes of validation and test)}."""
    trained, evaluated = _classes(split.train), _classes((*split.val, *split.test))
    unseen, total = (Counter(head for head, _ in classes) for classes in (evaluated - trained, evaluated))
    return {head: (unseen[head], total[head]) for head in sorted(total)}


def write_split(split: Split, path: Path) -> None:
    """Writes `name,split,signer` rows; the name is the clip's key, an unknown signer is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["name", "split", "signer"])
        for part in PARTS:
            rows.writerows([clip.key, part, clip.signer or ""] for clip in getattr(split, part))


@dataclass(frozen=True)
class _Group:
    """Clips that stay together: those of one signer, or a single clip."""

    clips: list[Clip]
    classes: int
    """Bit i is set if the i-th (head, class) pair occurs."""


_Assignment = dict[str, list[_Group]]
"""{part: its groups}"""


def _is_by_signer(clips: Sequence[Clip], mode: str) -> bool:
    unknown = [clip.key for clip in clips if clip.signer is None]
    if mode == "signer" and unknown:
        raise DataError(
            f"split: signer, but the signer of {len(unknown)} clips is unknown (first: {unknown[0]}); "
            "give signers.csv (`name,signer`) in every dataset folder, or split: random"
        )
    if mode == "auto" and 0 < len(unknown) < len(clips):
        logger.warning(
            "the signer of %d of %d clips is unknown: clips are split at random, so a signer may be in two parts",
            len(unknown),
            len(clips),
        )
    return mode != "random" and not unknown


def _signers_are_disjoint(split: Split) -> bool:
    train, val, test = ({clip.signer for clip in part} for part in (split.train, split.val, split.test))
    return not (train & val or train & test or val & test)


def _untrained_classes(split: Split) -> tuple[int, int]:
    """(classes that train lacks, all classes) of validation and test."""
    evaluated = _classes((*split.val, *split.test))
    return len(evaluated - _classes(split.train)), len(evaluated)


def _group(clips: Sequence[Clip], by_signer: bool) -> list[_Group]:
    members = defaultdict(list)
    for clip in clips:
        members[clip.signer if by_signer else clip.key].append(clip)
    bits = {pair: 1 << i for i, pair in enumerate(sorted(_classes(clips)))}
    return [_Group(group, sum(bits[pair] for pair in _classes(group))) for group in members.values()]


def _classes(clips: Iterable[Clip]) -> set[tuple[str, int]]:
    return {(head, label) for clip in clips for head, label in clip.labels.items() if label != MISSING}


def _assign(groups: Sequence[_Group], targets: Mapping[str, float], rng: random.Random) -> _Assignment:
    """One random assignment: each part gets one group, then every group goes where most clips are missing."""
    assignment: _Assignment = {name: [] for name in targets}
    missing = dict(targets)
    empty = list(targets)
    for group in rng.sample(groups, len(groups)):
        name = empty.pop() if empty else max(missing, key=missing.__getitem__)
        assignment[name].append(group)
        missing[name] -= len(group.clips)
    return assignment


def _cost(assignment: _Assignment, targets: Mapping[str, float], total: int) -> float:
    """Misplaced share of the clips + share of the evaluated classes that train lacks."""
    sizes = {name: sum(len(group.clips) for group in groups) for name, groups in assignment.items()}
    trained = evaluated = 0
    for name, groups in assignment.items():
        for group in groups:
            if name == "train":
                trained |= group.classes
            else:
                evaluated |= group.classes
    misplaced = sum(abs(sizes[name] - targets[name]) for name in targets) / total
    return misplaced + (evaluated & ~trained).bit_count() / max(evaluated.bit_count(), 1)


def _too_few(found: int, parts: list[str], by_signer: bool) -> str:
    unit = "signers" if by_signer else "clips"
    remedy = "ratio_test: 0 or split: random" if by_signer else "ratio_test: 0"
    return (
        f"{found} {unit} cannot be split into {', '.join(parts)}; expected at least {len(parts)} {unit} "
        f"(or general_parameters: {remedy})"
    )
