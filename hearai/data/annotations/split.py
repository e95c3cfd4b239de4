"""Train / validation / test: no signer in two of them where signers are known."""

import csv
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hearai.data.annotations.clip import Clip
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING

logger = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
ATTEMPTS = 500
"""Random assignments of signers to splits that are tried; the best one is kept."""


@dataclass(frozen=True)
class Split:
    """Disjoint clips, each part in the order of the clips' keys."""

    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    test: tuple[Clip, ...]


def split_clips(
    clips: Iterable[Clip],
    *,
    ratio_train_test: float = 0.8,
    ratio_test: float = 0.15,
    mode: Literal["auto", "signer", "random"] = "auto",
    seed: int = 0,
) -> Split:
    """Deals the clips out; a pure function of the set of clips and the arguments.

    Of many random assignments of signers, the one is kept whose sizes are near the ratios and whose
    validation and test hold few classes that train lacks.

    Args:
        ratio_train_test: share of train in the clips that are not test.
        ratio_test: share of test in all clips; 0 = no test clips.
        mode: "signer" keeps every signer in one split; "auto" does so where every clip's signer is known.

    Raises:
        DataError: too few clips or signers for the splits.
    """
    clips = sorted(clips, key=lambda clip: clip.key)
    test = ratio_test * len(clips)
    train = ratio_train_test * (len(clips) - test)
    targets = {"train": train, "val": len(clips) - test - train, "test": test}
    if ratio_test == 0:
        del targets["test"]
    by_signer = _is_by_signer(clips, mode)
    groups = _group(clips, by_signer)
    if len(groups) < len(targets):
        raise DataError(_too_few(len(groups), list(targets), by_signer))
    rng = random.Random(seed)
    deals = (_deal(groups, targets, rng) for _ in range(ATTEMPTS if by_signer else 1))
    best = min(deals, key=lambda deal: _cost(deal, targets, len(clips)))
    parts = {name: [clip for group in best.get(name, []) for clip in group.clips] for name in SPLITS}
    return Split(**{name: tuple(sorted(part, key=lambda clip: clip.key)) for name, part in parts.items()})


def other_fold(split: Split, fold: int, *, mode: Literal["auto", "signer", "random"] = "auto", seed: int = 0) -> Split:
    """The same test clips, and another division of the rest: another validation part of about the same size.

    Each fold's validation avoids those of the folds before it, as far as there are signers (or clips) left.

    Args:
        split: fold 0, as `split_clips` gives it.
        fold: 0 = as it is.

    Raises:
        DataError: too few clips or signers to divide the rest.
    """
    clips = sorted((*split.train, *split.val), key=lambda clip: clip.key)
    by_signer = _is_by_signer((*clips, *split.test), mode)
    groups, targets = _group(clips, by_signer), {"train": len(split.train), "val": len(split.val)}
    if fold and len(groups) < 2:
        raise DataError(_too_few(len(groups), list(targets), by_signer))
    used, val = {clip.key for clip in split.val}, list(split.val)
    for number in range(1, fold + 1):
        rng = random.Random(seed * 1009 + number)
        if by_signer:
            deals = [_deal(groups, targets, rng) for _ in range(ATTEMPTS)]
            best = min(deals, key=lambda deal: _cost(deal, targets, len(clips)) + _overlap(deal["val"], used))
            val = [clip for group in best["val"] for clip in group.clips]
        else:
            fresh = sorted(rng.sample(clips, len(clips)), key=lambda clip: clip.key in used)
            val = fresh[: len(split.val)]
        used |= {clip.key for clip in val}
    chosen = {clip.key for clip in val}
    parts = ([clip for clip in clips if (clip.key in chosen) == wanted] for wanted in (False, True))
    train, held_out = (tuple(part) for part in parts)
    return Split(train, held_out, split.test)


def _overlap(groups: Sequence["_Group"], used: set[str]) -> float:
    """Share of the groups' clips that were validation clips before."""
    keys = [clip.key for group in groups for clip in group.clips]
    return sum(key in used for key in keys) / max(1, len(keys))


def unseen_classes(split: Split) -> dict[str, tuple[int, int]]:
    """{head: (classes of validation and test that train lacks, classes of validation and test)}."""
    seen, asked = _classes(split.train), _classes((*split.val, *split.test))
    unseen, all_ = (Counter(head for head, _ in classes) for classes in (asked - seen, asked))
    return {head: (unseen[head], all_[head]) for head in sorted(all_)}


def write_split(split: Split, path: Path) -> None:
    """Writes `name,split,signer` rows; the name is the clip's key, an unknown signer is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["name", "split", "signer"])
        for part in SPLITS:
            rows.writerows([clip.key, part, clip.signer or ""] for clip in getattr(split, part))


@dataclass(frozen=True)
class _Group:
    """Clips that stay together: one signer's, or a single clip."""

    clips: list[Clip]
    classes: int
    """Bit i is set where class i of any head occurs."""


_Deal = dict[str, list[_Group]]


def _is_by_signer(clips: Sequence[Clip], mode: str) -> bool:
    unknown = [clip.key for clip in clips if clip.signer is None]
    if mode == "signer" and unknown:
        raise DataError(
            f"split: signer, but the signer of {len(unknown)} clips is unknown (first: {unknown[0]}); "
            "give signers.csv (`name,signer`) in every dataset folder, or split: random"
        )
    if mode == "auto" and 0 < len(unknown) < len(clips):
        logger.warning(
            "the signer of %d of %d clips is unknown: clips are split at random, so a signer may be in two splits",
            len(unknown),
            len(clips),
        )
    return mode != "random" and not unknown


def _group(clips: Sequence[Clip], by_signer: bool) -> list[_Group]:
    together = defaultdict(list)
    for clip in clips:
        together[clip.signer if by_signer else clip.key].append(clip)
    bits = {pair: 1 << i for i, pair in enumerate(sorted(_classes(clips)))}
    return [_Group(group, sum(bits[pair] for pair in _classes(group))) for group in together.values()]


def _classes(clips: Iterable[Clip]) -> set[tuple[str, int]]:
    return {(head, label) for clip in clips for head, label in clip.labels.items() if label != MISSING}


def _deal(groups: Sequence[_Group], targets: dict[str, float], rng: random.Random) -> _Deal:
    """One random assignment: each split gets a group, then each group goes where most clips are lacking."""
    deal: _Deal = {name: [] for name in targets}
    lacking = dict(targets)
    empty = list(targets)
    for group in rng.sample(groups, len(groups)):
        name = empty.pop() if empty else max(lacking, key=lacking.__getitem__)
        deal[name].append(group)
        lacking[name] -= len(group.clips)
    return deal


def _cost(deal: _Deal, targets: dict[str, float], total: int) -> float:
    """Misplaced share of the clips + share of the evaluated classes that train lacks."""
    sizes = {name: sum(len(group.clips) for group in groups) for name, groups in deal.items()}
    seen = asked = 0
    for name, groups in deal.items():
        for group in groups:
            if name == "train":
                seen |= group.classes
            else:
                asked |= group.classes
    misplaced = sum(abs(sizes[name] - targets[name]) for name in targets) / total
    return misplaced + (asked & ~seen).bit_count() / max(asked.bit_count(), 1)


def _too_few(found: int, splits: list[str], by_signer: bool) -> str:
    what = "signers" if by_signer else "clips"
    way_out = "ratio_test: 0 or split: random" if by_signer else "ratio_test: 0"
    return (
        f"{found} {what} cannot be split into {', '.join(splits)}; at least {len(splits)} {what} are due "
        f"(or general_parameters: {way_out})"
    )
