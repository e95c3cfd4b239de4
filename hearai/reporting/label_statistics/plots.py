"""Plots of label counts: one bar per class, and all heads on one page."""

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hearai.reporting.figures import drawable_name, drawable_text, filled_figure, save_figure
from hearai.reporting.label_statistics.counts import MAX_BARS, HeadCounts, class_label

if TYPE_CHECKING:  # matplotlib is imported only when something is drawn
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

BLUE, ORANGE, RED, GREY = "#3b6ea8", "#d98324", "#b3362b", "#6b6b6b"
"""Bars of classes; of classes with one clip; text about classes with none; small print."""

BAR_HEIGHT = 0.3
"""Inches, including the gap."""

PANEL_WIDTH, PANEL_HEIGHT = 4.6, 2.1
"""Inches of a head's plot on the page of all heads."""


def plot_classes(counts: HeadCounts, path: Path) -> None:
    """One bar per class, with its number and meaning; of more than MAX_BARS the most frequent, and a histogram."""
    count = len(counts.counts)
    shown = list(range(count)) if count <= MAX_BARS else counts.ranked[:MAX_BARS]
    height = BAR_HEIGHT * max(len(shown), 4)
    figure, axes = filled_figure(5.0, height)
    _draw_bars(axes, counts, shown)
    _write_title(axes, counts.head, _summary(counts, len(shown)))
    if len(shown) < count:
        _draw_histogram(figure.add_axes((1.2, 1 - 3.2 / height, 0.7, 3.2 / height)), counts)
    save_figure(figure, path)


def plot_overview(heads: Sequence[HeadCounts], title: str, path: Path) -> None:
    """All heads on one page: clips per class, ordered by class number (if there are many: by frequency)."""
    columns = min(2, len(heads))
    rows = -(-len(heads) // columns)
    width, height = PANEL_WIDTH * columns, PANEL_HEIGHT * rows
    figure, axes = filled_figure(width, height)
    axes.remove()
    grid = figure.add_gridspec(rows, columns, left=0, right=1, bottom=0, top=1, hspace=0.75, wspace=0.2)
    for i, counts in enumerate(heads):
        _draw_panel(figure.add_subplot(grid[divmod(i, columns)]), counts)
    above = 1 + 0.85 / height
    figure.text(0, above, drawable_text(" ".join(title.split())), fontsize=14, weight="bold", parse_math=False)
    barred = [counts for counts in heads if len(counts.counts) <= MAX_BARS]
    for i, (clips, text, colour) in enumerate(((0, "x: no clip", RED), (1, "orange: one clip", ORANGE))):
        if any(counts.with_clips(clips) for counts in barred):
            figure.text(1 - 0.9 * i / width, above, text, fontsize=9, color=colour, ha="right")
    save_figure(figure, path)


def _style_axes(axes: "Axes", grid: Literal["x", "y"]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def _set_integer_ticks(axis: "Axis", ticks: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(ticks, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axis.set_major_formatter("{x:,.0f}")


def _write_title(axes: "Axes", title: str, summary: str) -> None:
    """A bold line and lines of small print above the axes."""
    lines = textwrap.wrap(summary, 84)
    above: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "bottom",
        "parse_math": False,
    }
    axes.annotate("\n".join(lines), (0, 1), (0, 8), fontsize=9, color=GREY, **above)
    axes.annotate(drawable_text(title), (0, 1), (0, 12 + 13 * len(lines)), fontsize=12, weight="bold", **above)


def _summary(counts: HeadCounts, shown: int) -> str:
    number = len(counts.counts)
    parts = [f"{counts.labelled:,} clips with a label", f"{counts.seen:,} of {number:,} classes seen"]
    if counts.missing:
        parts.insert(1, f"{counts.missing:,} without (-1)")
    if single := counts.with_clips(1):
        parts.append(f"{single:,} with one clip only (orange)")
    if shown < number:
        parts.append(f"the {shown} most frequent are shown")
    return ", ".join(parts)


def _draw_bars(axes: "Axes", counts: HeadCounts, shown: Sequence[int]) -> None:
    values = [counts.counts[index] for index in shown]
    colours = [ORANGE if value == 1 else BLUE for value in values]
    axes.barh(range(len(shown)), values, color=colours, height=0.72)
    for position, (index, value) in enumerate(zip(shown, values, strict=True)):
        text = f"{value:,}  ({counts.share(index):.1%})" if value else "no clip"
        style: dict[str, Any] = {"color": "black" if value else RED, "fontsize": 8, "va": "center"}
        axes.annotate(text, (value, position), (4, 0), textcoords="offset points", **style)
    labels = [_wrap_label(drawable_name(class_label(counts, index), index)) for index in shown]
    axes.set_yticks(range(len(shown)), labels, parse_math=False, linespacing=0.9)
    _style_axes(axes, "x")
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    axes.set_xlim(0, max([*values, 1]) * 1.2)
    _set_integer_ticks(axes.xaxis, 6)
    axes.set_xlabel("clips (share of the labels)", fontsize=9)


def _draw_histogram(axes: "Axes", counts: HeadCounts) -> None:
    """The number of classes with no clip, 1, 2, 3-5, 6-10, 11-20, 21-50, ... clips."""
    values = np.asarray(counts.counts)
    tops = [0, 1, 2]
    while tops[-1] < values.max():
        first_digit = str(tops[-1])[0]
        tops.append(tops[-1] * 5 // 2 if first_digit == "2" else tops[-1] * 2)
    class_counts = np.bincount(np.searchsorted(tops, values), minlength=len(tops))
    colours = [RED, ORANGE, *[BLUE] * len(tops)][: len(tops)]
    axes.bar(range(len(tops)), class_counts, color=colours, width=0.78)
    for position, value in enumerate(class_counts):
        axes.annotate(f"{value:,}", (position, value), (0, 2), textcoords="offset points", fontsize=8, ha="center")
    bins = [f"{low + 1}-{top}" if low + 1 < top else f"{top}" for low, top in itertools.pairwise([-1, *tops])]
    axes.set_xticks(range(len(tops)), bins, rotation=90 if len(tops) > 6 else 0)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="x", length=0, labelsize=8)
    axes.set_xlabel("clips of a class", fontsize=9)
    axes.set_title("number of classes", fontsize=10, loc="left", pad=12)


def _draw_panel(axes: "Axes", counts: HeadCounts) -> None:
    order = range(len(counts.counts)) if len(counts.counts) <= MAX_BARS else counts.ranked
    values = np.asarray([counts.counts[index] for index in order])
    positions = np.arange(len(values))
    if len(values) <= MAX_BARS:
        axes.bar(positions, values, color=np.where(values == 1, ORANGE, BLUE), width=0.78)
        axes.plot(positions[values == 0], 0 * positions[values == 0], "x", color=RED, markersize=5, clip_on=False)
        axes.set_xlabel("class", fontsize=8, labelpad=1)
    else:
        axes.fill_between(positions, values, step="mid", color=BLUE, linewidth=0)
        axes.set_xlabel("classes, the most frequent first", fontsize=8)
    axes.set_ylabel("clips", fontsize=8)
    _style_axes(axes, "y")
    axes.tick_params(labelsize=8)
    axes.set_xlim(-0.7, max(len(values), 2) - 0.3)
    _set_integer_ticks(axes.xaxis, 12)
    if len(values) > MAX_BARS and values.max() > 20:  # a long tail is invisible on a linear axis
        axes.set_yscale("log")
        axes.set_ylabel("clips (logarithmic)", fontsize=8)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylim(0.7, values.max() * 1.5)
    else:
        axes.set_ylim(0, max([*values, 1]) * 1.08)
        _set_integer_ticks(axes.yaxis, 5)
    _write_title(axes, counts.head, _panel_summary(counts))


def _panel_summary(counts: HeadCounts) -> str:
    """One line."""
    top = counts.most_frequent
    missing = f", {counts.missing:,} without a label" if counts.missing else ""
    seen = f"{counts.seen:,} of {len(counts.counts):,} classes seen{missing}"
    if top is None:
        return seen
    name = textwrap.shorten(drawable_name(class_label(counts, top), top), 58 - len(seen), placeholder="...")
    return f"{seen}; {name} has {counts.share(top):.0%}"


def _wrap_label(label: str) -> str:
    """Lines short enough for a bar; the number in brackets stays with the word before it."""
    name, _, number = label.rpartition(" (")
    unbroken = f"{name}\xa0({number}" if name else label
    return "\n".join(textwrap.wrap(unbroken, 52, break_on_hyphens=False))
