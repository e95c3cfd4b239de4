"""Checks that clips and datasets are distinct: the same folder, name, class number or image may occur twice."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.metadata import list_file, normalise_word
from hearai.data.annotations.problems import Problems
from hearai.data.annotations.text_files import quoted
from hearai.sign.hamnosys import HEADS, MISSING

MANY_CLASSES = 500
"""Class numbers up to which it does not matter how many are used."""


def check_no_duplicates(clips: Iterable[Clip]) -> None:
    """Refuses a clip that occurs twice, by its name or by another name of the same folder.

    Raises:
        DataError: every such clip.
    """
    clips, problems = list(clips), Problems()
    counts = Counter(clip.key for clip in clips)
    problems.add_all("", (f"clip {key} occurs {n} times; expected once" for key, n in counts.items() if n > 1))
    problems.raise_any()
    first: dict[tuple[int, int], str] = {}
    for clip in clips:
        stat = os.stat(clip.folder / clip.name)
        other = first.setdefault((stat.st_dev, stat.st_ino), clip.key)
        if other != clip.key:
            problems.add("", f"clips {other} and {clip.key} are the same folder; expected one row per folder")
    problems.raise_any()


def changed_names(
    before: Mapping[str, Mapping[int, str]], now: Mapping[str, Mapping[int, str]], clips: Iterable[Clip]
) -> list[str]:
    """One line for each class that clips have and that had a name in a class list and has another or none now.

    Case and spaces do not matter, nor do names of classes that no clip has, nor names given to classes without one.
    The classes of HamNoSys heads mean the same everywhere.
    """
    used = {(head, label) for clip in clips for head, label in clip.labels.items() if label != MISSING}
    lines = []
    for head, label in sorted(used):
        was, is_now = before.get(head, {}).get(label), now.get(head, {}).get(label)
        if head in HEADS or was is None or (is_now is not None and normalise_word(was) == normalise_word(is_now)):
            continue
        shown = quoted(is_now) if is_now is not None else "without a name"
        lines.append(f"{head} {label} was {quoted(was)}, is {shown} in {list_file(head).split()[0]}")
    return lines


def dataset_warnings(clips: Sequence[Clip], lists: Mapping[str, Mapping[str, Mapping[int, str]]]) -> list[str]:
    """What may be a mistake about the clips of several datasets. One dataset: [].

    Args:
        lists: {dataset: {head: {class: name}}}, the class lists of each dataset.
    """
    datasets = list(dict.fromkeys(clip.dataset_name for clip in clips))
    if len(datasets) < 2:
        return []
    heads = [head for head in clips[0].labels if head not in HEADS]
    lines = _shared_names(clips)
    for head in heads:
        lines += _label_ranges(head, clips, datasets, lists)
        lines += [*_unnamed_labels(head, clips, lists), *_words_with_other_numbers(head, lists)]
    return lines


def differing_frames(files: Mapping[str, Sequence[Clip]]) -> Iterator[str]:
    """One line for each clip with other frames in a later annotation file of a folder: they cannot be read together.

    Args:
        files: {annotation file: its clips}.
    """
    first: dict[str, tuple[str, Clip]] = {}
    for file, clips in files.items():
        for clip in clips:
            other_file, other = first.setdefault(clip.name, (file, clip))
            if (clip.start, clip.end) != (other.start, other.end):
                yield (
                    f"{clip.name} has the frames {clip.start}..{clip.end} in {file} and {other.start}..{other.end} in "
                    f"{other_file}: they cannot be trained together"
                )


def unlabelled_warnings(clips: Sequence[Clip]) -> list[str]:
    """One line if clips have no label of any head."""
    unlabelled = [clip.key for clip in clips if all(label == MISSING for label in clip.labels.values())]
    if not unlabelled:
        return []
    return [
        f"{len(unlabelled)} of {len(clips)} clips have no label of any head (such as {unlabelled[0]}): nothing is "
        "learned from them, and they are not scored; remove their rows, or add labels"
    ]


def class_number_notes(clips: Iterable[Clip], num_class: Mapping[str, int]) -> list[str]:
    """One line for each head with many class numbers of which most are not used.

    Args:
        num_class: {head: classes}; other heads are not looked at.
    """
    clips, notes = list(clips), []
    for head, size in num_class.items():
        used = {clip.labels[head] for clip in clips} - {MISSING}
        if head not in HEADS and size > MANY_CLASSES and len(used) < size / 2:
            notes.append(
                f"head {head}: {len(used):,} of {size:,} class numbers are used, and a model has an output for each; "
                "to make it smaller, number the classes from 0 without gaps"
            )
    return notes


def _shared_names(clips: Iterable[Clip]) -> list[str]:
    datasets: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        datasets[clip.name].append(clip.dataset_name)
    shared = [name for name, found in datasets.items() if len(found) > 1]
    if not shared:
        return []
    example = ", ".join(datasets[shared[0]])
    return [
        f"{len(shared)} clip names are in several datasets (such as {shared[0]!r} in {example}): "
        "they are treated as different clips"
    ]


def _label_ranges(
    head: str, clips: Iterable[Clip], datasets: Sequence[str], lists: Mapping[str, Mapping[str, Mapping[int, str]]]
) -> list[str]:
    """One line if a dataset has no class list, so that it is unknown whether the numbers mean the same."""
    unlisted = [dataset for dataset in datasets if not lists.get(dataset, {}).get(head)]
    if not unlisted:
        return []
    labels: dict[str, list[int]] = {dataset: [] for dataset in datasets}
    for clip in clips:
        if clip.labels[head] != MISSING:
            labels[clip.dataset_name].append(clip.labels[head])
    ranges = ", ".join(f"{dataset} {min(found)}..{max(found)}" for dataset, found in labels.items() if found)
    return [
        f"{head}: labels are {ranges}, and there is no class list for {', '.join(unlisted)}: "
        f"a number is assumed to mean the same class in all; add a {list_file(head)} to each folder to have this "
        "checked"
    ]


def _unnamed_labels(
    head: str, clips: Iterable[Clip], lists: Mapping[str, Mapping[str, Mapping[int, str]]]
) -> list[str]:
    """One line for each dataset whose list lacks labels of its clips that the list of another dataset names."""
    named = {number for dataset in lists.values() for number in dataset.get(head, {})}
    unnamed: dict[str, set[int]] = defaultdict(set)
    for clip in clips:
        own, label = lists.get(clip.dataset_name, {}).get(head, {}), clip.labels[head]
        if own and label in named and label not in own:
            unnamed[clip.dataset_name].add(label)
    return [
        f"{head}: the class list of {dataset} does not name {len(labels)} of its labels (such as {min(labels)}), which "
        f"other lists name: a number is assumed to mean the same class; add them to its {list_file(head)}"
        for dataset, labels in unnamed.items()
    ]


def _words_with_other_numbers(head: str, lists: Mapping[str, Mapping[str, Mapping[int, str]]]) -> list[str]:
    """One line if a word has different numbers in two lists. A list may give a word several (variants of a sign)."""
    numbers: dict[str, dict[str, set[int]]] = defaultdict(dict)
    for dataset, heads in lists.items():
        for number, name in heads.get(head, {}).items():
            numbers[normalise_word(name)].setdefault(dataset, set()).add(number)
    found = []
    for word, of_datasets in numbers.items():
        for (one, first), (other, second) in combinations(of_datasets.items(), 2):
            if not first & second:
                found.append(f"{quoted(word)}: {min(first)} in {one}, {min(second)} in {other}")
                break
    if not found:
        return []
    return [
        f"{head}: {len(found)} words have different numbers in different datasets (such as {found[0]}), so they are "
        f"different classes; give a word the same number in every {list_file(head)}"
    ]


def find_identical_images(clips: Iterable[tuple[Clip, Mapping[str, bytes]]]) -> Iterator[tuple[str, str]]:
    """(kind, message) for images with the same bytes in clips that may end up in different splits.

    These are clips of different datasets, of different signers, or of one dataset whose signers are unknown.

    Args:
        clips: each with {file: digest of its bytes}.
    """
    first: dict[bytes, tuple[Clip, str]] = {}
    for clip, digests in clips:
        for file, digest in digests.items():
            other, other_file = first.setdefault(digest, (clip, file))
            if difference := _possible_split_difference(clip, other):
                yield f"identical images in clips of {difference}", f"{clip.key}/{file} is {other.key}/{other_file}"


def _possible_split_difference(one: Clip, other: Clip) -> str | None:
    if one.key == other.key:
        return None
    if one.dataset_name != other.dataset_name:
        return "different datasets"
    if one.signer is None or other.signer is None:
        return "unknown signers"
    return "different signers" if one.signer != other.signer else None
