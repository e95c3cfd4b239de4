"""`write_statistics`: the label distribution of an annotation file as a table, a CSV file and plots."""

import os
import shutil
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hearai.errors import ConfigError
from hearai.files import csv_text
from hearai.reporting.label_statistics.counts import MAX_BARS, HeadCounts, count_labels
from hearai.reporting.text import COLUMNS, csv_cell, score
from hearai.sign.hamnosys import MISSING

NAME_WIDTH = 31
"""Width of the first column."""


def write_statistics(path: Path, folder: Path, separator: str | None = None) -> str:
    """Counts the labels of an annotation file; returns text for the terminal.

    Writes statistics.csv, overview.png and one classes_HEAD.png per head into `folder`, all of them at the end.
    The frames are not read. Other files in the folder are kept.

    Args:
        separator: one character between the columns; None = any whitespace.

    Raises:
        DataError: rows of the file are invalid.
        ConfigError: the folder cannot be written.
    """
    heads = count_labels(path, separator)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: a file; expected a folder for the plots")
    from hearai.reporting.label_statistics.plots import plot_classes, plot_overview  # imports matplotlib

    with _written_together(folder) as temporary:
        (temporary / "statistics.csv").write_text(statistics_csv(heads), encoding="utf-8", newline="")
        plot_overview(heads, f"{path.name}: {_clips(heads[0]):,} clips", temporary / "overview.png")
        for counts in heads:
            plot_classes(counts, temporary / f"classes_{counts.head}.png")
    plots = f"classes_{heads[0].head}.png" if len(heads) == 1 else "one classes_HEAD.png per head"
    return f"{statistics_text(path, heads)}\n\n  in {folder}: overview.png, statistics.csv, {plots}"


def statistics_csv(heads: Sequence[HeadCounts]) -> str:
    """One row per class: head,class,name,count,share (of the clips with a label).

    A head's last row, class -1, counts its missing labels; their share is relative to all clips.
    """
    rows: list[list[object]] = [["head", "class", "name", "count", "share"]]
    for counts in heads:
        for index, (name, count) in enumerate(zip(counts.names, counts.counts, strict=True)):
            rows.append([csv_cell(counts.head), index, csv_cell(name), count, _decimals(counts.share(index))])
        rows.append(
            [csv_cell(counts.head), MISSING, "missing", counts.missing, _decimals(counts.missing / _clips(counts))]
        )
    return csv_text(rows)


def statistics_text(path: Path, heads: Sequence[HeadCounts]) -> str:
    """How many classes occur, how many are rare, and the score of always predicting the most frequent one."""
    number = f"{len(heads)} head{'s' if len(heads) > 1 else ''}"
    parts = [[f"{path.name}: {_clips(heads[0]):,} clips, {number}"], _seen(heads), _majority_baseline(heads)]
    return "\n\n".join("\n".join(part) for part in parts)


def _seen(heads: Sequence[HeadCounts]) -> list[str]:
    title = f"  {'':<{NAME_WIDTH}}{'labels':>7}{'missing':>9}{'classes':>11}{'< 2 clips':>11}{'1 clip':>8}"
    lines = []
    for counts in heads:
        classes = f"{counts.seen}/{len(counts.counts)}"
        single, none = counts.with_clips(1), counts.with_clips(0)
        numbers = f"{counts.labelled:>7}{counts.missing:>9}{classes:>11}{none + single:>11}{single:>8}"
        lines.append(f"  {_name_column(counts)}{numbers}")
    note = "  classes: seen/possible; < 2 clips: classes with one clip or none"
    return [title, *lines, note, *(line for counts in heads for line in _spread(counts))]


def _spread(counts: HeadCounts) -> list[str]:
    """Clips per class of a head with too many classes for a bar chart."""
    seen = [count for count in counts.counts if count]
    if not seen or len(counts.counts) <= MAX_BARS:
        return []
    spread = f"fewest {min(seen)}, median {statistics.median(seen):g}, most {max(seen)}"
    return [f"  {_cut(counts.head, 22)}: clips per class seen: {spread}"]


def _majority_baseline(heads: Sequence[HeadCounts]) -> list[str]:
    width = COLUMNS - 2 - NAME_WIDTH - 20
    title = f"  {'always the most frequent class':<{NAME_WIDTH}}{'accuracy':>8}{'macro-F1':>10}  class"
    lines, accuracies, macro_f1s = [], [], []
    for counts in heads:
        top, accuracy, macro_f1 = counts.most_frequent, counts.majority_accuracy, counts.majority_macro_f1
        name = "no labels" if top is None else _cut(f"{top}: {counts.names[top]}", width)
        lines.append(f"  {_name_column(counts)}{score(accuracy):>8}{score(macro_f1):>10}  {name}")
        if accuracy is not None and macro_f1 is not None:
            accuracies.append(accuracy)
            macro_f1s.append(macro_f1)
    if len(accuracies) > 1:
        means = f"{score(statistics.fmean(accuracies)):>8}{score(statistics.fmean(macro_f1s)):>10}"
        lines.append(f"  {'mean over the heads':<{NAME_WIDTH}}{means}")
    return [title, *lines, "  accuracy: the class's share of the labels"]


def _name_column(counts: HeadCounts) -> str:
    return f"{_cut(counts.head, NAME_WIDTH - 1):<{NAME_WIDTH}}"


def _clips(counts: HeadCounts) -> int:
    return counts.labelled + counts.missing


def _decimals(share: float | None) -> str:
    return "" if share is None else f"{share:.6f}"


def _cut(text: str, width: int) -> str:
    return textwrap.shorten(text, width, placeholder="...") if " " in text[:width] else text[:width]


@contextmanager
def _written_together(folder: Path) -> Iterator[Path]:
    """A folder to fill; when the block succeeds its files move into `folder`, otherwise nothing is left.

    Raises:
        ConfigError: the folder cannot be made.
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
        raise ConfigError(f"{folder}: cannot write ({error.strerror}); expected a folder you can write to") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
