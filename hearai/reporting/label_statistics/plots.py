"""Pictures of label counts: a bar a class, and all heads on one page."""

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hearai.reporting.figures import drawable, filled_figure, save_picture, written
from hearai.reporting.label_statistics.counts import MANY, HeadCounts, class_label

if TYPE_CHECKING:  # matplotlib is imported where something is drawn
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

BLUE, ORANGE, RED, GREY = "#3b6ea8", "#d98324", "#b3362b", "#6b6b6b"
"""Bars of classes; of those with one clip; words about those with none; small print."""

BAR = 0.3
"""Height in inches of a bar with its gap."""


def class_picture(counts: HeadCounts, path: Path) -> None:
    """A bar a class, with its number and meaning; of more than MANY classes the most frequent, and the spread."""
    shown = list(range(len(counts.counts))) if len(counts.counts) <= MANY else counts.ranked[:MANY]
    height = BAR * max(len(shown), 4)
    figure, axes = filled_figure(5.0, height)
    _draw_bars(axes, counts, shown)
    _write_title(axes, counts.head, _facts(counts, len(shown)))
    if len(shown) < len(counts.counts):
        _draw_spread(figure.add_axes((1.2, 1 - 3.2 / height, 0.7, 3.2 / height)), counts)
    save_picture(figure, path)


def overview_picture(heads: Sequence[HeadCounts], title: str, path: Path) -> None:
    """All heads on one page: clips per class, in the order of the class numbers (of many: of their frequency)."""
    wide = min(2, len(heads))
    rows = -(-len(heads) // wide)
    figure, axes = filled_figure(4.6 * wide, 2.1 * rows)
    axes.remove()
    grid = figure.add_gridspec(rows, wide, left=0, right=1, bottom=0, top=1, hspace=0.75, wspace=0.2)
    panels = [figure.add_subplot(grid[divmod(place, wide)]) for place in range(len(heads))]
    for axes, counts in zip(panels, heads, strict=True):
        _draw_panel(axes, counts)
    above = 1 + 0.85 / (2.1 * rows)
    figure.text(0, above, written(" ".join(title.split())), fontsize=14, weight="bold", parse_math=False)
    small = [counts for counts in heads if len(counts.counts) <= MANY]
    for place, (number, words, colour) in enumerate(((0, "x: no clip", RED), (1, "orange: one clip", ORANGE))):
        if any(counts.with_clips(number) for counts in small):
            figure.text(1 - 0.9 * place / (4.6 * wide), above, words, fontsize=9, color=colour, ha="right")
    save_picture(figure, path)


def _plain(axes: "Axes", grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def _count_in(axis: "Axis", ticks: int) -> None:
    """Whole, round numbers along an axis."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(ticks, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axis.set_major_formatter("{x:,.0f}")


def _write_title(axes: "Axes", title: str, facts: str) -> None:
    """A bold line and lines of small print above the axes."""
    lines = textwrap.wrap(facts, 84)
    above = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom", "parse_math": False}
    axes.annotate("\n".join(lines), (0, 1), (0, 8), fontsize=9, color=GREY, **above)
    axes.annotate(written(title), (0, 1), (0, 12 + 13 * len(lines)), fontsize=12, weight="bold", **above)


def _facts(counts: HeadCounts, shown: int) -> str:
    number = len(counts.counts)
    facts = [f"{counts.labelled:,} clips with a label", f"{counts.seen:,} of {number:,} classes seen"]
    if counts.missing:
        facts.insert(1, f"{counts.missing:,} without (-1)")
    if single := counts.with_clips(1):
        facts.append(f"{single:,} with one clip only (orange)")
    if shown < number:
        facts.append(f"the {shown} most frequent are shown")
    return ", ".join(facts)


def _draw_bars(axes: "Axes", counts: HeadCounts, shown: Sequence[int]) -> None:
    values = [counts.counts[index] for index in shown]
    colours = [ORANGE if value == 1 else BLUE for value in values]
    axes.barh(range(len(shown)), values, color=colours, height=0.72)
    for place, (index, value) in enumerate(zip(shown, values, strict=True)):
        words = f"{value:,}  ({counts.share(index):.1%})" if value else "no clip"
        style = {"color": "black" if value else RED, "fontsize": 8, "va": "center"}
        axes.annotate(words, (value, place), (4, 0), textcoords="offset points", **style)
    labels = [_wrapped(drawable(class_label(counts, index), index)) for index in shown]
    axes.set_yticks(range(len(shown)), labels, parse_math=False, linespacing=0.9)
    _plain(axes, "x")
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    axes.set_xlim(0, max([*values, 1]) * 1.2)
    _count_in(axes.xaxis, 6)
    axes.set_xlabel("clips (share of the labels)", fontsize=9)


def _draw_spread(axes: "Axes", counts: HeadCounts) -> None:
    """How many classes have no clip, 1, 2, 3-5, 6-10, 11-20, 21-50, ... clips."""
    values = np.asarray(counts.counts)
    tops = [0, 1, 2]
    while tops[-1] < values.max():
        first = str(tops[-1])[0]
        tops.append(tops[-1] * 5 // 2 if first == "2" else tops[-1] * 2)
    number = np.bincount(np.searchsorted(tops, values), minlength=len(tops))
    colours = [RED, ORANGE, *[BLUE] * len(tops)][: len(tops)]
    axes.bar(range(len(tops)), number, color=colours, width=0.78)
    for place, value in enumerate(number):
        axes.annotate(f"{value:,}", (place, value), (0, 2), textcoords="offset points", fontsize=8, ha="center")
    names = [f"{low + 1}-{top}" if low + 1 < top else f"{top}" for low, top in itertools.pairwise([-1, *tops])]
    axes.set_xticks(range(len(tops)), names, rotation=90 if len(tops) > 6 else 0)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="x", length=0, labelsize=8)
    axes.set_xlabel("clips of a class", fontsize=9)
    axes.set_title("number of classes", fontsize=10, loc="left", pad=12)


def _draw_panel(axes: "Axes", counts: HeadCounts) -> None:
    order = range(len(counts.counts)) if len(counts.counts) <= MANY else counts.ranked
    values = np.asarray([counts.counts[index] for index in order])
    places = np.arange(len(values))
    if len(values) <= MANY:
        axes.bar(places, values, color=np.where(values == 1, ORANGE, BLUE), width=0.78)
        axes.plot(places[values == 0], 0 * places[values == 0], "x", color=RED, markersize=5, clip_on=False)
        axes.set_xlabel("class", fontsize=8, labelpad=1)
    else:
        axes.fill_between(places, values, step="mid", color=BLUE, linewidth=0)
        axes.set_xlabel("classes, the most frequent first", fontsize=8)
    axes.set_ylabel("clips", fontsize=8)
    _plain(axes, "y")
    axes.tick_params(labelsize=8)
    axes.set_xlim(-0.7, max(len(values), 2) - 0.3)
    _count_in(axes.xaxis, 12)
    if len(values) > MANY and values.max() > 20:  # a long tail would hide below a linear axis
        axes.set_yscale("log")
        axes.set_ylabel("clips (logarithmic)", fontsize=8)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylim(0.7, values.max() * 1.5)
    else:
        axes.set_ylim(0, max([*values, 1]) * 1.08)
        _count_in(axes.yaxis, 5)
    _write_title(axes, counts.head, _panel_facts(counts))


def _panel_facts(counts: HeadCounts) -> str:
    """One line."""
    top = counts.most_frequent
    missing = f", {counts.missing:,} without a label" if counts.missing else ""
    seen = f"{counts.seen:,} of {len(counts.counts):,} classes seen{missing}"
    if top is None:
        return seen
    name = textwrap.shorten(drawable(class_label(counts, top), top), 58 - len(seen), placeholder="...")
    return f"{seen}; {name} has {counts.share(top):.0%}"


def _wrapped(label: str) -> str:
    """Lines short enough for a bar; the number in brackets stays with the word before it."""
    words, _, number = label.rpartition(" (")
    whole = f"{words}\xa0({number}" if words else label
    return "\n".join(textwrap.wrap(whole, 52, break_on_hyphens=False))
