"""Confusion matrices as PNG files, and what all pictures share.

Figures are made by hand and not through pyplot, which keeps every figure in a global list. K classes.
"""

import functools
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hearai.files import replacing

if TYPE_CHECKING:  # matplotlib is imported where something is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
COUNTED = 12
"""Up to so many classes the counts stand in the cells."""
WHOLE = 300
"""Up to so many classes all are shown."""
SHOWN = 100
"""Classes shown of more than WHOLE; each of them gets a label."""
CELL, SMALL_CELL, SIDE = 0.55, 0.24, 12.0
"""Inches: a cell with a count, the widest without, the widest matrix."""
GRID, NOTHING = "#d0d0d0", "#e4e4e4"
"""Colours of lines between cells, and of rows without a clip."""
LETTERS, WORD = 32, 20
"""Longest line, and in a long name longest word, beside a matrix; small matrices have room for three lines."""


def filled_figure(width: float, height: float) -> tuple["Figure", "Axes"]:
    """A figure whose only axes fill it (inches); what is written around them is added when it is saved."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.add_axes((0, 0, 1, 1))


def save_picture(figure: "Figure", path: Path) -> None:
    """A PNG of the figure and all that is written around it, in one move."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.15)


def confusion_picture(matrix: np.ndarray, names: Sequence[str], title: str, path: Path) -> None:
    """Writes a confusion matrix as a PNG: each row coloured by the shares of its true class.

    Rows of classes without a clip are grey. Up to COUNTED classes the cells hold the counts. Of more than
    WHOLE classes only those that have clips are shown, at most SHOWN of them, those with the most; the title
    says so, and a last column holds the answers that have no column of their own.

    Args:
        matrix: counts (K, K), true class by predicted class; it must hold at least one clip.
        names: what the classes are called, (K,).
    """
    assert matrix.shape == (len(names), len(names)), "a square matrix, and a name for each class, are due"
    assert matrix.sum() > 0, "a clip is due"
    lines = 3 if len(names) <= COUNTED else 1
    rows = [_fitted(name, index, lines) for index, name in enumerate(names)]
    columns, titles = rows, [title]
    if (matrix.sum(1) == 0).any():
        titles.append("Grey: classes without a clip here")
    if len(names) > WHOLE:
        synced, remark = _with_most_clips(matrix)
        inner = matrix[np.ix_(synced, synced)]
        others = matrix[synced].sum(1) - inner.sum(1)
        matrix = np.column_stack([inner, others])
        rows = [rows[index] for index in synced]
        columns, titles = [*rows, "any other class"], [title, remark]
    _draw_confusion(matrix, rows, columns, titles, path)


def _with_most_clips(matrix: np.ndarray) -> tuple[np.ndarray, str]:
    """The classes to show, in their order, and which these are in words."""
    support = matrix.sum(1)
    seen = int((support > 0).sum())
    synced = np.sort(np.argsort(-support, kind="stable")[: min(seen, SHOWN)])
    which = f"the {SHOWN} with the most clips of the" if seen > SHOWN else "the"
    return synced, f"Shown are {which} {seen:,} classes that have clips here; {len(support):,} classes in all"


def _fitted(name: str, index: int, lines: int) -> str:
    """A name in so many lines; one that was cut ends in its number, which tells it from its neighbours."""
    label, mark = drawable(name, index), f"... ({index})"
    if len(label) > LETTERS:  # no word may fill a line so that the mark has no room in it
        words = [word if len(word) <= WORD else f"{word[: WORD - 3]}..." for word in label.split()]
        label = " ".join(words if words == label.split() else [*words, f"({index})"])
    wrapped = textwrap.wrap(label, LETTERS, max_lines=lines, placeholder=mark, break_on_hyphens=False)
    return "\n".join(wrapped)


def _draw_confusion(
    matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str], titles: Sequence[str], path: Path
) -> None:
    """matrix: (R, C), R true classes by C answers."""
    import matplotlib

    cell = CELL if len(columns) <= COUNTED else min(SMALL_CELL, SIDE / len(columns))
    width, height = cell * len(columns), cell * max(len(rows), 1)
    figure, axes = filled_figure(width, height)
    support = np.broadcast_to(matrix.sum(1, keepdims=True), matrix.shape)
    shares = np.ma.masked_where(support == 0, matrix / np.maximum(support, 1))
    colours = matplotlib.colormaps["Blues"].with_extremes(bad=NOTHING)
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    _label(axes, rows, columns, cell)
    if len(columns) <= COUNTED:
        _write_counts(axes, matrix, shares)
    scale = figure.add_axes((1 + 0.2 / width, max(0.0, 1 - 3 / height), 0.15 / width, min(1.0, 3 / height)))
    figure.colorbar(image, cax=scale).set_label("share of the true class", fontsize=8)
    scale.tick_params(labelsize=8)
    _write_titles(axes, titles, max(60, int(width * 9)))
    save_picture(figure, path)


def _label(axes: "Axes", rows: Sequence[str], columns: Sequence[str], cell: float) -> None:
    """Names beside the cells of `cell` inches; where they would overlap only every second, third, ..."""
    size = min(9.0, max(5.0, cell * 72 * 0.75))
    step = math.ceil(size * 1.25 / 72 / cell)
    ticks = {"fontsize": size, "parse_math": False}
    axes.set_yticks(range(0, len(rows), step), rows[::step], **ticks)
    axes.set_xticks(range(0, len(columns), step), columns[::step], rotation=90, **ticks)
    axes.tick_params(length=2 if step > 1 else 0)
    axes.set_xlabel("predicted class", fontsize=10)
    axes.set_ylabel("true class", fontsize=10)
    axes.spines[:].set_color(GRID)
    if cell > 0.15:  # lines between the cells
        axes.set_xticks(np.arange(0.5, len(columns) - 1), minor=True)
        axes.set_yticks(np.arange(0.5, len(rows) - 1), minor=True)
        axes.grid(which="minor", color=GRID, linewidth=0.5)
        axes.tick_params(which="minor", length=0)


def _write_counts(axes: "Axes", matrix: np.ndarray, shares: np.ma.MaskedArray) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        share = shares[row, column]
        if share is np.ma.masked:
            continue
        colour = "white" if share > 0.55 else "black" if count else "#a0a0a0"
        words = f"{int(count):,}"
        size = 9 if len(words) < 6 else 6.5
        axes.text(column, row, words, color=colour, fontsize=size, ha="center", va="center")


def _write_titles(axes: "Axes", titles: Sequence[str], letters: int) -> None:
    """The first in bold, small print below it."""
    small = [line for title in titles[1:] for line in textwrap.wrap(title, letters)]
    above = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom", "parse_math": False}
    axes.annotate("\n".join(small), (0, 1), (0, 7), fontsize=9, color="#6b6b6b", **above)
    big = "\n".join(textwrap.wrap(written(titles[0]), letters))
    axes.annotate(big, (0, 1), (0, 9 + 13 * len(small)), fontsize=12, weight="bold", **above)


def drawable(name: str, index: int) -> str:
    """A class's name on one line, or `class 7` where it is empty or the pictures' font lacks one of its letters."""
    name = " ".join(name.split())
    return name if name and written(name) == name else f"class {index}"


def written(text: str) -> str:
    """A text with a question mark for each letter that the pictures' font lacks."""
    letters = _letters()
    return "".join(letter if ord(letter) in letters else "?" for letter in text)


@functools.cache
def _letters() -> frozenset[int]:
    """Unicode numbers of the letters of the pictures' font."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())
