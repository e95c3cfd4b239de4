"""Draws confusion matrices as PNG files, with the helpers that all figures of this package use.

Figures are built directly, not through pyplot, which keeps every figure in a global list. K classes.
"""

import functools
import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hearai.files import atomic_write

if TYPE_CHECKING:  # matplotlib is imported where something is drawn, and torch takes seconds
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hearai.training.outputs.confusion import Confusion

DPI = 150
MOST_WITH_COUNTS = 12
"""Matrices of up to this many classes have the counts in their cells."""
MOST_COMPLETE = 300
"""Matrices of up to this many classes show all of them."""
MOST_SHOWN = 100
"""Classes shown of a matrix of more than MOST_COMPLETE; each of them has a label."""
CELL, SMALL_CELL, MAX_SIDE = 0.55, 0.24, 12.0
"""Inches: width of a cell with a count, greatest width of a cell without, greatest width of a matrix."""
GRID_COLOUR, EMPTY_COLOUR = "#d0d0d0", "#e4e4e4"
"""Colours of the lines between cells, and of rows without clips."""
LABEL_WIDTH, WORD_WIDTH = 32, 20
"""Characters of the longest line of a label, and of the longest word of a label that is too long for one line."""


def filled_figure(width: float, height: float) -> tuple["Figure", "Axes"]:
    """A figure (inches) whose axes fill it; `save_figure` extends it to the text around them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.add_axes((0, 0, 1, 1))


def save_figure(figure: "Figure", path: Path) -> None:
    """Writes the figure, with the text around it, as a PNG, atomically."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.15)


def confusion_figure(confusion: "Confusion", name_of: Callable[[int], str], title: str, path: Path) -> None:
    """Writes a confusion matrix as a PNG: each row coloured by the shares of its true class.

    Rows of classes without clips are grey. Up to MOST_WITH_COUNTS classes the cells hold the counts. Of more than
    MOST_COMPLETE classes only those with clips are shown, at most MOST_SHOWN, those with the most clips; the title
    says so, and a last column counts the predictions of all other classes.

    Args:
        confusion: of at least one clip.
        name_of: the name of a class by its number.
    """
    support = confusion.support_K.numpy()
    assert support.sum() > 0, "expected at least one clip"
    lines = 3 if len(support) <= MOST_WITH_COUNTS else 1
    if len(support) <= MOST_COMPLETE:
        matrix, remark = confusion.dense().numpy(), "Grey: classes without clips"
        rows = [_fit_label(name_of(index), index, lines) for index in range(len(support))]
        titles = [title, remark] if (support == 0).any() else [title]
        _draw_confusion(matrix, rows, rows, titles, path)
        return
    shown, remark = _with_most_clips(support)
    inner = confusion.block(shown.tolist()).numpy()
    matrix = np.column_stack([inner, support[shown] - inner.sum(1)])
    rows = [_fit_label(name_of(index), index, lines) for index in shown.tolist()]
    _draw_confusion(matrix, rows, [*rows, "any other class"], [title, remark], path)


def _with_most_clips(support: np.ndarray) -> tuple[np.ndarray, str]:
    """The classes to show, in ascending order, and a sentence that says which they are.

    support: (K,), clips of each class.
    """
    seen = int((support > 0).sum())
    shown = np.sort(np.argsort(-support, kind="stable")[: min(seen, MOST_SHOWN)])
    which = f"the {MOST_SHOWN} with the most clips of the" if seen > MOST_SHOWN else "the"
    return shown, f"Showing {which} {seen:,} classes that have clips; {len(support):,} classes in all"


def _fit_label(name: str, index: int, lines: int) -> str:
    """A class name wrapped to at most `lines` lines; a shortened one ends in its index, which keeps it unique."""
    label, ending = drawable_name(name, index), f"... ({index})"
    if len(label) > LABEL_WIDTH:  # words are shortened to leave room for the ending on a line
        words = [word if len(word) <= WORD_WIDTH else f"{word[: WORD_WIDTH - 3]}..." for word in label.split()]
        label = " ".join(words if words == label.split() else [*words, f"({index})"])
    wrapped = textwrap.wrap(label, LABEL_WIDTH, max_lines=lines, placeholder=ending, break_on_hyphens=False)
    return "\n".join(wrapped)


def _draw_confusion(
    matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str], titles: Sequence[str], path: Path
) -> None:
    """matrix: (R, C), R true classes by C columns of predictions."""
    import matplotlib

    cell = CELL if len(columns) <= MOST_WITH_COUNTS else min(SMALL_CELL, MAX_SIDE / len(columns))
    width, height = cell * len(columns), cell * max(len(rows), 1)
    figure, axes = filled_figure(width, height)
    support = np.broadcast_to(matrix.sum(1, keepdims=True), matrix.shape)
    shares = np.ma.masked_where(support == 0, matrix / np.maximum(support, 1))
    colours = matplotlib.colormaps["Blues"].with_extremes(bad=EMPTY_COLOUR)
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    _label_axes(axes, rows, columns, cell)
    if len(columns) <= MOST_WITH_COUNTS:
        _write_counts(axes, matrix, shares)
    scale = figure.add_axes((1 + 0.2 / width, max(0.0, 1 - 3 / height), 0.15 / width, min(1.0, 3 / height)))
    figure.colorbar(image, cax=scale).set_label("share of the true class", fontsize=8)
    scale.tick_params(labelsize=8)
    _write_titles(axes, titles, max(60, int(width * 9)))
    save_figure(figure, path)


def _label_axes(axes: "Axes", rows: Sequence[str], columns: Sequence[str], cell: float) -> None:
    """Class names beside cells of `cell` inches; where they would overlap, only every second, third, ... name."""
    size = min(9.0, max(5.0, cell * 72 * 0.75))
    step = math.ceil(size * 1.25 / 72 / cell)
    ticks: dict[str, Any] = {"fontsize": size, "parse_math": False}
    axes.set_yticks(range(0, len(rows), step), rows[::step], **ticks)
    axes.set_xticks(range(0, len(columns), step), columns[::step], rotation=90, **ticks)
    axes.tick_params(length=2 if step > 1 else 0)
    axes.set_xlabel("predicted class", fontsize=10)
    axes.set_ylabel("true class", fontsize=10)
    axes.spines[:].set_color(GRID_COLOUR)
    if cell > 0.15:  # lines between the cells
        axes.set_xticks(np.arange(0.5, len(columns) - 1), minor=True)
        axes.set_yticks(np.arange(0.5, len(rows) - 1), minor=True)
        axes.grid(which="minor", color=GRID_COLOUR, linewidth=0.5)
        axes.tick_params(which="minor", length=0)


def _write_counts(axes: "Axes", matrix: np.ndarray, shares: np.ma.MaskedArray) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        share = shares[row, column]
        if share is np.ma.masked:
            continue
        colour = "white" if share > 0.55 else "black" if count else "#a0a0a0"
        text = f"{int(count):,}"
        size = 9 if len(text) < 6 else 6.5
        axes.text(column, row, text, color=colour, fontsize=size, ha="center", va="center")


def _write_titles(axes: "Axes", titles: Sequence[str], width: int) -> None:
    """The first title in bold, the others below it in small print; `width`: characters of a line."""
    small = [line for title in titles[1:] for line in textwrap.wrap(title, width)]
    above: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "bottom",
        "parse_math": False,
    }
    axes.annotate("\n".join(small), (0, 1), (0, 7), fontsize=9, color="#6b6b6b", **above)
    big = "\n".join(textwrap.wrap(drawable_text(titles[0]), width))
    axes.annotate(big, (0, 1), (0, 9 + 13 * len(small)), fontsize=12, weight="bold", **above)


def drawable_name(name: str, index: int) -> str:
    """A class name on one line; `class 7` where it is empty or has characters that the font of the figures lacks."""
    name = " ".join(name.split())
    return name if name and drawable_text(name) == name else f"class {index}"


def drawable_text(text: str) -> str:
    """A text with a question mark for each character that the font of the figures lacks."""
    known = _font_characters()
    return "".join(character if ord(character) in known else "?" for character in text)


@functools.cache
def _font_characters() -> frozenset[int]:
    """Code points of the characters of the default font."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())
