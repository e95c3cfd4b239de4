"""`write_statistics`: what labels an annotation file holds, as a table, a CSV file and pictures."""

import csv
import io
import os
import shutil
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hearai.errors import ConfigError
from hearai.reporting.label_statistics.counts import MANY, HeadCounts, count_labels
from hearai.reporting.study_report.tables import score
from hearai.reporting.study_report.terminal import COLUMNS
from hearai.sign.hamnosys import MISSING

NAME = 31
"""Width of the first column."""


def write_statistics(path: Path, folder: Path, separator: str | None = None) -> str:
    """Counts the labels of an annotation file; returns a text for the terminal.

    Writes statistics.csv, overview.png and one classes_HEAD.png a head into `folder`, all of them at the end.
    The frames are not looked at. Other files of the folder stay.

    Args:
        separator: one character between the columns; None is any white space.

    Raises:
        DataError: rows of the file are wrong.
        ConfigError: the folder cannot be written.
    """
    heads = count_labels(path, separator)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; a folder for the pictures is due")
    from hearai.reporting.label_statistics.plots import class_picture, overview_picture  # bring matplotlib

    with _appearing_together(folder) as place:
        (place / "statistics.csv").write_text(statistics_csv(heads), encoding="utf-8", newline="")
        overview_picture(heads, f"{path.name}: {_clips(heads[0]):,} clips", place / "overview.png")
        for counts in heads:
            class_picture(counts, place / f"classes_{counts.head}.png")
    bars = f"classes_{heads[0].head}.png" if len(heads) == 1 else "a classes_HEAD.png for each head"
    return f"{statistics_text(path, heads)}\n\n  in {folder}: overview.png, statistics.csv, {bars}"


def statistics_csv(heads: Sequence[HeadCounts]) -> str:
    """One row a class: head,class,name,count,share (of the clips with a label).

    A head's last row, class -1, counts its missing labels; their share is one of all clips.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["head", "class", "name", "count", "share"])
    for counts in heads:
        for index, (name, count) in enumerate(zip(counts.names, counts.counts, strict=True)):
            table.writerow([counts.head, index, name, count, _decimals(counts.share(index))])
        table.writerow([counts.head, MISSING, "missing", counts.missing, _decimals(counts.missing / _clips(counts))])
    return text.getvalue()


def statistics_text(path: Path, heads: Sequence[HeadCounts]) -> str:
    """How many classes are there and how many are rare; what the most frequent one scores."""
    number = f"{len(heads)} head{'s' if len(heads) > 1 else ''}"
    parts = [[f"{path.name}: {_clips(heads[0]):,} clips, {number}"], _seen(heads), _floor(heads)]
    return "\n\n".join("\n".join(part) for part in parts)


def _seen(heads: Sequence[HeadCounts]) -> list[str]:
    title = f"  {'':<{NAME}}{'labels':>7}{'missing':>9}{'classes':>11}{'< 2 clips':>11}{'1 clip':>8}"
    lines = [
        f"  {_cut(one.head, NAME - 1):<{NAME}}{one.labelled:>7}{one.missing:>9}{f'{one.seen}/{len(one.counts)}':>11}"
        f"{one.with_clips(0) + one.with_clips(1):>11}{one.with_clips(1):>8}"
        for one in heads
    ]
    note = "classes: seen/possible; < 2 clips: classes that have one clip or none"
    return [title, *lines, f"  {note}", *(line for one in heads for line in _spread(one))]


def _spread(one: HeadCounts) -> list[str]:
    """Clips per class of a head that has too many classes to read its picture off."""
    seen = [count for count in one.counts if count]
    if not seen or len(one.counts) <= MANY:
        return []
    spread = f"fewest {min(seen)}, median {statistics.median(seen):g}, most {max(seen)}"
    return [f"  {_cut(one.head, 22)}: clips per class seen: {spread}"]


def _floor(heads: Sequence[HeadCounts]) -> list[str]:
    width = COLUMNS - 2 - NAME - 20
    title = f"  {'always the most frequent class':<{NAME}}{'accuracy':>8}{'macro-F1':>10}  class"
    lines = []
    for one in heads:
        top = one.most_frequent
        name = "no labels" if top is None else _cut(f"{top}: {one.names[top]}", width)
        scores = f"{score(one.floor_accuracy):>8}{score(one.floor_macro_f1):>10}"
        lines.append(f"  {_cut(one.head, NAME - 1):<{NAME}}{scores}  {name}")
    known = [one for one in heads if one.labelled]
    if len(known) > 1:
        accuracy = statistics.fmean(one.floor_accuracy for one in known)
        macro_f1 = statistics.fmean(one.floor_macro_f1 for one in known)
        lines.append(f"  {'mean over the heads':<{NAME}}{score(accuracy):>8}{score(macro_f1):>10}")
    return [title, *lines, "  accuracy: the class's share of the labels"]


def _clips(counts: HeadCounts) -> int:
    return counts.labelled + counts.missing


def _decimals(share: float | None) -> str:
    return "" if share is None else f"{share:.6f}"


def _cut(text: str, width: int) -> str:
    return textwrap.shorten(text, width, placeholder="...") if " " in text[:width] else text[:width]


@contextmanager
def _appearing_together(folder: Path) -> Iterator[Path]:
    """A folder to fill; when the block ends well its files move into `folder`, else nothing is left.

    Raises:
        ConfigError: there can be no such folder.
    """
    folder = folder.resolve()
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if not folder.exists():
            os.rename(temporary, folder)
            return
        for file in temporary.iterdir():
            os.replace(file, folder / file.name)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}); a folder of your own is due") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
