"""AUTSL: `signer0_sample1,41` in one file for each split; the colour videos, whose depth videos are beside them."""

import re

from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_records, read_rows
from hearai.errors import DataError

NAME = re.compile(r"signer(\d+)_sample\d+")
SIGNS = "SignList_ClassId_TR_EN.csv"


def read(source: Source) -> Samples:
    """train_labels.csv, validation_labels.csv, test_labels.csv; the English words of SignList_ClassId_TR_EN.csv."""
    samples, words = Samples(source), _read_words(source)
    for split, path in source.split_files("*train*.csv", "*val*.csv", "*test*.csv").items():
        for line, fields in read_rows(path):
            match = NAME.fullmatch(fields[0])
            number = int(fields[1]) if len(fields) == 2 and re.fullmatch("[0-9]{1,4}", fields[1]) else None
            if match is None or number is None or (words and number not in words):
                found = f"{path}:{line}: found {','.join(fields)[:80]!r}"
                samples.problems.add("", f"{found}; expected signer0_sample1,CLASS with a class of {SIGNS}")
                continue
            samples.add(
                f"{path}:{line}",
                name=fields[0],
                file=f"{fields[0]}_color.mp4",
                word=words.get(number, str(number)),
                number=number,
                signer=match[1],
                split=split,
            )
    return samples


def _read_words(source: Source) -> dict[int, str]:
    """{class: English word}; none without the list."""
    path = source.folder / SIGNS
    if not path.exists():
        return {}
    words = {}
    for line, row in read_records(path, ("ClassId", "EN")):
        if not re.fullmatch("[0-9]{1,4}", row["ClassId"]) or not row["EN"]:
            raise DataError(
                f"{path}:{line}: class {row['ClassId']!r}, word {row['EN']!r}; expected a number and a word"
            )
        words[int(row["ClassId"])] = row["EN"]
    return words
