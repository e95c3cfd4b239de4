"""Sem-Lex: landmarks, SPLIT/ID.npy of 553 points; one table, in which an id may occur several times."""

from hearai.data.annotations.metadata import SPLIT_WORDS
from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_rows

COLUMNS = "video id, signer, duration, split, label type, label"


def read(source: Source) -> Samples:
    """Columns by position: video id, signer, duration, split, label type, label; the first of several is used."""
    samples, path = Samples(source), source.one_file("*metadata*.csv", "semlex*.csv")
    labels: dict[tuple[str, str], str] = {}
    others = 0
    for line, fields in read_rows(path):
        is_row = len(fields) >= 6 and fields[3].lower() in SPLIT_WORDS
        if line == 1 and not is_row:
            continue  # the header
        if not is_row:
            found = f"{path}:{line}: found {','.join(fields)[:80]!r}"
            samples.problems.add("", f"{found}; expected {COLUMNS}, with the split train, val or test")
            continue
        video, split, label = fields[0], fields[3], fields[5]
        if (video, split) in labels:
            others += labels[video, split] != label
            continue
        labels[video, split] = label
        if not samples.is_inside(f"{path}:{line}", video):
            continue
        file = source.media / split / f"{video}.npy"
        about = {"name": f"{split}_{video}", "file": file, "word": label, "form": "landmarks"}
        samples.add(f"{path}:{line}", signer=fields[1], split=split, **about)  # type: ignore[arg-type]
    if others:
        samples.notes.append(f"{path}: {others} further labels of clips that have one already are left out")
    return samples
