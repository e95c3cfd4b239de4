"""Several datasets, or several rows, that may be one: the same folder, the same name, the same class number."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.problems import Problems
from hearai.sign.hamnosys import HEADS, MISSING


def check_given_once(clips: Iterable[Clip]) -> None:
    """Refuses a clip that is given twice, by its name or by another name of the same folder.

    Raises:
        DataError: every such clip.
    """
    clips, problems = list(clips), Problems()
    counts = Counter(clip.key for clip in clips)
    problems.add_all("", (f"clip {key} is given {n} times; once is allowed" for key, n in counts.items() if n > 1))
    problems.raise_any()
    first: dict[tuple[int, int], str] = {}
    for clip in clips:
        stat = os.stat(clip.folder / clip.name)
        before = first.setdefault((stat.st_dev, stat.st_ino), clip.key)
        if before != clip.key:
            problems.add("", f"clips {before} and {clip.key} are one and the same folder; one row a folder is allowed")
    problems.raise_any()


def remarks(clips: Sequence[Clip], lists: Mapping[str, Mapping[str, Mapping[int, str]]]) -> list[str]:
    """What may be meant, and may be a mistake, about the clips of several datasets. One dataset: [].

    Args:
        lists: {dataset: {head: {class: name}}}, the class list of each dataset.
    """
    datasets = list(dict.fromkeys(clip.dataset_name for clip in clips))
    if len(datasets) < 2:
        return []
    heads = [head for head in clips[0].labels if head not in HEADS]
    return [*_same_names(clips), *(line for head in heads for line in _ranges(head, clips, datasets, lists))]


def _same_names(clips: Iterable[Clip]) -> list[str]:
    holders: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        holders[clip.name].append(clip.dataset_name)
    several = [name for name, found in holders.items() if len(found) > 1]
    if not several:
        return []
    where = ", ".join(holders[several[0]])
    return [
        f"{len(several)} clip names are in several datasets (such as {several[0]!r} in {where}): "
        "they are taken for different clips"
    ]


def _ranges(
    head: str, clips: Iterable[Clip], datasets: Sequence[str], lists: Mapping[str, Mapping[str, Mapping[int, str]]]
) -> list[str]:
    """One line where a dataset has no class list, so that nobody knows whether the numbers mean the same."""
    unlisted = [dataset for dataset in datasets if not lists.get(dataset, {}).get(head)]
    if not unlisted:
        return []
    labels: dict[str, list[int]] = {dataset: [] for dataset in datasets}
    for clip in clips:
        if clip.labels[head] != MISSING:
            labels[clip.dataset_name].append(clip.labels[head])
    found = ", ".join(f"{name} {min(of)}..{max(of)}" for name, of in labels.items() if of)
    file = "glosses.csv (gloss_id,word)" if head == "gloss" else "classes.csv (head,class,name)"
    return [
        f"{head}: labels are {found}, and {', '.join(unlisted)} has no class list: "
        f"a number is taken for the same class in all; put a {file} in each folder to have it checked"
    ]


def same_pictures(clips: Iterable[tuple[Clip, Mapping[str, bytes]]]) -> Iterator[tuple[str, str]]:
    """(kind, text) of pictures with the same bytes in clips that may land in different splits.

    Those of different datasets, of different signers, or of one dataset whose signers are not known.

    Args:
        clips: each with {file: fingerprint of its bytes}.
    """
    first: dict[bytes, tuple[Clip, str]] = {}
    for clip, pictures in clips:
        for file, digest in pictures.items():
            other, other_file = first.setdefault(digest, (clip, file))
            if kind := _kinship(clip, other):
                yield f"identical pictures in clips of {kind}", f"{clip.key}/{file} is {other.key}/{other_file}"


def _kinship(one: Clip, other: Clip) -> str | None:
    if one.key == other.key:
        return None
    if one.dataset_name != other.dataset_name:
        return "different datasets"
    if one.signer is None or other.signer is None:
        return "unknown signers"
    return "different signers" if one.signer != other.signer else None
