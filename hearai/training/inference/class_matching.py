"""Matches the classes of labelled clips with those of a trained model: by number, or by word."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.metadata import HAMNOSYS, ClassNames, list_file, normalise_word
from hearai.data.annotations.problems import first_of
from hearai.data.annotations.text_files import quoted
from hearai.errors import ConfigError
from hearai.sign.hamnosys import MISSING

MatchBy = Literal["words", "numbers"]
NAMED = 3
"""Examples in a message."""


@dataclass(frozen=True)
class ModelClasses:
    """The classes of a trained model."""

    num_class: Mapping[str, int]
    """{head: classes}"""
    names: Mapping[str, Mapping[int, str]]
    """{head: {class: name}}, as far as lists name them."""

    def names_of(self, head: str) -> Mapping[int, str]:
        """{class: name} of a head; the names of HamNoSys classes are the same everywhere."""
        return HAMNOSYS.get(head) or self.names.get(head, {})


@dataclass
class ClassMatch:
    """The classes of a model that the labels of some clips mean."""

    classes: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    """{head: {(dataset, label): class}}; K, K + 1, ... are classes that the model does not have, it has K."""
    unseen: dict[str, dict[int, str]] = field(default_factory=dict)
    """{head: {class from K on: its name in the data}}"""
    names: dict[str, dict[int, str]] = field(default_factory=dict)
    """{head: {class below K: its name in the data}}"""
    remarks: list[str] = field(default_factory=list)
    """What was assumed."""
    has_clashes: bool = False
    """Whether numbers have different names in the data and in the model."""

    def labels(self, clips: Iterable[Clip], head: str) -> list[int]:
        """The class of each clip, or MISSING."""
        classes = self.classes[head]
        return [classes.get((clip.dataset_name, clip.labels[head]), MISSING) for clip in clips]


def match_classes(
    clips: Sequence[Clip],
    lists: Mapping[str, ClassNames],
    model: ModelClasses,
    by: MatchBy | None = None,
    *,
    accept_unlisted: bool = False,
) -> ClassMatch:
    """Finds for every label of the clips the class of the model.

    Args:
        lists: {dataset: {head: {class: name}}}, the class lists of the clips' datasets.
        by: None = by number, and every number that has different names in the data and in the model is a problem;
            "numbers" = by number, whatever the lists say; "words" = by the name in the list.
        accept_unlisted: accept numbers beyond the model's classes, too, if only the model has a class list.

    Raises:
        ConfigError: every clash; with "words", a missing list, a word that several classes have, or no word in common.
    """
    match, problems = ClassMatch(), _Problems()
    for head in model.num_class:
        one = _Head(head, clips, lists, model)
        if by == "words":
            one.match_words(match, problems)
        else:
            one.match_numbers(match, problems, checked=by is None, accept_unlisted=accept_unlisted or by is not None)
    problems.raise_any()
    return match


@dataclass
class _Problems:
    clashes: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def raise_any(self) -> None:
        shown = first_of(self.clashes, "more classes with two names")
        if shown:
            shown.append(
                "the data's numbers mean other classes than the model's; --match words compares by name, --match "
                "numbers by number (if a list is wrong)"
            )
        if shown or self.others:
            raise ConfigError([*shown, *self.others])


class _Head:
    """The labels of one head in the data, and the classes of the model."""

    def __init__(self, head: str, clips: Sequence[Clip], lists: Mapping[str, ClassNames], model: ModelClasses):
        self.head, self.num_class, self.names = head, model.num_class[head], model.names_of(head)
        used = {(clip.dataset_name, clip.labels[head]) for clip in clips}
        self.used = sorted((dataset, label) for dataset, label in used if label != MISSING)
        datasets = dict.fromkeys(dataset for dataset, _ in self.used)
        self.lists = {dataset: HAMNOSYS.get(head) or lists.get(dataset, {}).get(head, {}) for dataset in datasets}
        self.unlisted = [dataset for dataset, names in self.lists.items() if not names]
        self._numbers: dict[str, list[int]] = {}
        """{word: the model's classes with this name}"""
        for number, name in self.names.items():
            if number < self.num_class:
                self._numbers.setdefault(normalise_word(name), []).append(number)

    def match_numbers(self, match: ClassMatch, problems: _Problems, *, checked: bool, accept_unlisted: bool) -> None:
        clashes = list(self._clashes())
        if checked:
            problems.clashes += clashes
        elif clashes:
            match.has_clashes = True
            match.remarks.append(
                f"{self.head}: compared by number, although {len(clashes)} numbers have two names "
                f"(such as: {clashes[0]})"
            )
        if self.names and self.unlisted and not accept_unlisted:
            problems.others += self._unknown_numbers()
        match.remarks += self._assumptions()
        self._add(match, {pair: pair[1] if pair[1] < self.num_class else None for pair in self.used})

    def match_words(self, match: ClassMatch, problems: _Problems) -> None:
        if without := [*(["the model"] if not self.names else []), *self.unlisted]:
            problems.others.append(
                f"--match words: there is no class list of {self.head} for {', '.join(without)}; add a "
                f"{list_file(self.head)} to the data (for the model, before it is trained), or omit --match"
            )
            return
        classes: dict[tuple[str, int], int | None] = {}
        for dataset, label in self.used:
            word = self.lists[dataset].get(label)
            found = self._numbers.get(normalise_word(word), []) if word is not None else []
            if len(found) > 1 and label not in found:
                problems.others.append(
                    f"--match words: {self.head} {label} of {dataset} is {quoted(str(word))}, the name of "
                    f"{len(found)} classes of the model ({', '.join(map(str, found))}); expected one class, or the "
                    "same number"
                )
            classes[dataset, label] = label if label in found else next(iter(found), None)
        if classes and all(found is None for found in classes.values()):
            (dataset, label), word = self.used[0], next(iter(self.names.values()))
            name = quoted(self._name(dataset, label))
            problems.others.append(
                f"--match words: {self.head}: no word of the data is a class of the model (such as {name} in "
                f"{dataset}, {quoted(word)} in the model); give data with the words that it was trained on"
            )
        other = sum(found is not None and found != label for (_, label), found in classes.items())
        if other:
            match.remarks.append(f"{self.head}: compared by word; {other} of {len(classes)} have another number")
        self._add(match, classes)

    def _clashes(self) -> Iterable[str]:
        for dataset, label in self.used:
            ours, theirs = self.names.get(label), self.lists[dataset].get(label)
            if theirs is None or (ours is not None and normalise_word(ours) == normalise_word(theirs)):
                continue
            found = f"{self.head} {label} is {quoted(theirs)} in {dataset}"
            if ours is not None:
                yield f"{found} and {quoted(ours)} in the model"
            elif numbers := self._numbers.get(normalise_word(theirs)):
                yield f"{found}, which is {self.head} {numbers[0]} in the model"
            else:
                yield from self._other_names(dataset, label, found)

    def _other_names(self, dataset: str, label: int, found: str) -> Iterable[str]:
        """Of a number that the model does not name: its name in an earlier dataset, if it is another one."""
        for earlier in takewhile(lambda other: other != dataset, self.lists):
            word = self.lists[earlier].get(label)
            if word is not None and normalise_word(word) != normalise_word(self.lists[dataset][label]):
                yield f"{found} and {quoted(word)} in {earlier}"
                return

    def _unknown_numbers(self) -> Iterable[str]:
        for dataset in self.unlisted:
            most = 1 + max(label for other, label in self.used if other == dataset)
            if most > self.num_class:
                yield (
                    f"{dataset}: the model has {self.num_class} classes of {self.head}, the data {most}, and no class "
                    f"list says what they mean; add a {list_file(self.head)} to it, or give --match numbers if the "
                    "numbers are those of the model's list"
                )

    def _assumptions(self) -> Iterable[str]:
        """Where names are missing, so that nothing could be compared."""
        listed = [dataset for dataset in self.lists if dataset not in self.unlisted]
        same = f"a number is assumed to mean the same class; add a {list_file(self.head)}"
        if self.unlisted and self.names:
            yield f"{self.head}: there is no class list for {', '.join(self.unlisted)}, only for the model: {same}"
        elif self.unlisted:
            yield f"{self.head}: there is no class list for {', '.join(self.unlisted)}, nor for the model: {same}"
        if listed and not self.names:
            yield f"{self.head}: there is no class list for the model, only for {', '.join(listed)}: {same} to its data"
        one_sided = [
            label
            for dataset, label in self.used
            if dataset in listed and self.names and label < self.num_class
            if (label in self.names) != (label in self.lists[dataset])
        ]
        if one_sided:
            numbers = some_of(map(str, dict.fromkeys(one_sided)))
            yield f"{self.head}: only one of the two class lists names {numbers}: {same} with all classes"

    def _add(self, match: ClassMatch, classes: Mapping[tuple[str, int], int | None]) -> None:
        """Adds the classes; those that the model does not have (None) are numbered from K on, one per word."""
        unseen: dict[str, int] = {}
        names: dict[int, str] = {}
        numbered: dict[tuple[str, int], int] = {}
        for (dataset, label), known in classes.items():
            if known is None:
                name = self._name(dataset, label)
                known = unseen.setdefault(normalise_word(name), self.num_class + len(unseen))
                names.setdefault(known, name)
            numbered[dataset, label] = known
        match.classes[self.head], match.unseen[self.head] = numbered, names
        match.names[self.head] = {
            number: self._name(dataset, label)
            for (dataset, label), number in reversed(numbered.items())
            if number < self.num_class and label in self.lists[dataset]
        }

    def _name(self, dataset: str, label: int) -> str:
        return self.lists[dataset].get(label, str(label))


def some_of(names: Iterable[str]) -> str:
    """The first few of the names, and the number of the others."""
    found = list(names)
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more
