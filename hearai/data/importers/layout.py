"""What an import writes beside the clips: annotations, tables, the list of missing files, and what it was made from."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hearai.data.annotations.metadata import GLOSSES, SIGNERS, SPLITS, normalise_word
from hearai.data.annotations.problems import Problems, raise_problems
from hearai.data.annotations.text_files import quoted
from hearai.data.importers.sample import Sample
from hearai.data.tools.output_folder import PARTIAL
from hearai.errors import DataError
from hearai.files import atomic_write_text, csv_text

ANNOTATIONS = "test_gloss.txt"
MISSING_FILE = "missing.csv"
"""Lists the clips whose file is not there."""
MARKER = ".import.json"
"""Marks a folder as made by an import; contains its kind and source."""


def number_words(samples: Iterable[Sample]) -> tuple[dict[str, int], dict[int, str]]:
    """({clip name: class}, {class: word}): the dataset's own numbers, else the words in alphabetical order from 0.

    Words that differ only in case, spaces or Unicode form are one class.

    Raises:
        DataError: one number stands for two words.
    """
    samples = list(samples)
    problems, names = Problems(), dict[int, str]()
    if all(sample.number is not None for sample in samples):
        numbers = {sample.name: sample.number for sample in samples if sample.number is not None}
        for sample in samples:
            first = names.setdefault(numbers[sample.name], sample.word)
            if normalise_word(first) != normalise_word(sample.word):
                found = f"class {sample.number} is {quoted(first)} and, for {sample.name}, {quoted(sample.word)}"
                problems.add("", f"{found}; expected one word for each class")
        problems.raise_any()
        return numbers, names
    spelling: dict[str, str] = {}
    for sample in samples:
        spelling.setdefault(normalise_word(sample.word), sample.word)
    number_of = {word: number for number, word in enumerate(sorted(spelling))}
    names = {number: spelling[word] for word, number in number_of.items()}
    return {sample.name: number_of[normalise_word(sample.word)] for sample in samples}, names


def write_tables(
    data: Path,
    samples: Sequence[Sample],
    frames: Mapping[str, int],
    numbers: Mapping[str, int],
    names: Mapping[int, str],
) -> list[str]:
    """Writes the tables of the clips in {name: number of frames}; the annotation file last.

    Returns:
        What was not written, and why.
    """
    kept, notes = [sample for sample in samples if sample.name in frames], []
    _write(data / GLOSSES, ["gloss_id", "word"], sorted(names.items()))
    for file, column in ((SIGNERS, "signer"), (SPLITS, "split")):
        known = [(sample.name, value) for sample in kept if (value := getattr(sample, column)) is not None]
        if known and len(known) == len(kept):
            _write(data / file, ["name", column], known)
            continue
        (data / file).unlink(missing_ok=True)
        if known:
            notes.append(f"{file}: not written, since {len(kept) - len(known)} clips have no {column}")
    rows = [f"{sample.name} 0 {frames[sample.name] - 1} {numbers[sample.name]}" for sample in kept]
    atomic_write_text(data / ANNOTATIONS, "\n".join(["name start end gloss", *rows]) + "\n")
    return notes


def write_missing(data: Path, missing: Sequence[Sample]) -> None:
    """Lists the clips whose file is not there; without any, there is no list."""
    if missing:
        _write(data / MISSING_FILE, ["name", "word", "file"], [(s.name, s.word, str(s.media)) for s in missing])
    else:
        (data / MISSING_FILE).unlink(missing_ok=True)


def check_target(data: Path, origin: Mapping[str, str]) -> None:
    """Refuses a folder with other content than an import of the same dataset.

    Raises:
        DataError: says what is in it.
    """
    if not data.exists():
        return
    if not data.is_dir():
        raise DataError(f"{data}: not a directory; expected a new or empty DATA")
    if not any(not name.startswith(PARTIAL) for name in os.listdir(data)):
        return
    try:
        found = json.loads((data / MARKER).read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{data}: not empty, and not made by an import; expected a new or empty DATA")
    raise_problems(
        [
            f"{data}: was imported with {key} {found.get(key)}, not {value}; give the same, or another DATA"
            for key, value in origin.items()
            if found.get(key) != value
        ]
    )


def write_marker(data: Path, origin: Mapping[str, str]) -> None:
    """Marks the folder as made by an import."""
    atomic_write_text(data / MARKER, json.dumps(dict(origin), indent=1) + "\n")


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    atomic_write_text(path, csv_text([header, *rows]))
