"""The learning curve of a run as a PNG: losses, and the scores of the objective, by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearai.metrics import CHOSEN_SCORE, DIVERGED_LOSS, MACRO_F1, SCORE
from hearai.reporting.figures import GRID_COLOUR, drawable_text, save_figure
from hearai.reporting.records import read_rows
from hearai.training.outputs.layout import CURVE_FILE, METRICS_FILE

if TYPE_CHECKING:  # matplotlib is imported where something is drawn
    from matplotlib.axes import Axes

BLUE, ORANGE, PALE = "#3b6ea8", "#d98324", "#b9c4d0"
"""Validation; training; single heads."""
PANEL_WIDTH, PANEL_HEIGHT = 5.2, 3.2
"""Inches."""
MOST_HEADS = 12
"""Heads whose curves are drawn behind their mean; of more, the mean alone."""


def write_learning_curve(folder: Path, label: str, score: str = MACRO_F1) -> Path | None:
    """Draws `metrics.jsonl` of a run folder as `learning_curve.png`; None before the first epoch.

    Args:
        label: the name of the objective, such as `macro-F1`.
        score: of the heads, whose mean it is; see `hearai.metrics.SCORES`.

    Raises:
        UserError: a line of the metrics file is not valid.
    """
    rows = read_rows(folder / METRICS_FILE)
    if not rows:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * PANEL_WIDTH, PANEL_HEIGHT))
    losses, scores = figure.subplots(1, 2, gridspec_kw={"wspace": 0.2})
    _draw_losses(losses, rows)
    _draw_scores(scores, rows, label, score)
    for axes in (losses, scores):
        _style(axes, rows)
    save_figure(figure, folder / CURVE_FILE)
    return folder / CURVE_FILE


def _draw_losses(axes: "Axes", rows: Sequence[Mapping[str, float]]) -> None:
    for key, name, colour in (("train/loss", "training", ORANGE), ("val/loss", "validation", BLUE)):
        shown = [(row["epoch"], row[key]) for row in rows if row.get(key, DIVERGED_LOSS) < DIVERGED_LOSS]
        _draw_line(axes, shown, color=colour, label=name)
    axes.set_title("loss", loc="left", fontsize=11, weight="bold")
    axes.legend(fontsize=9, frameon=False)


def _draw_scores(axes: "Axes", rows: Sequence[Mapping[str, float]], label: str, score: str) -> None:
    heads = [key for key in rows[0] if key.startswith("val/") and key.endswith(f"/{score}") and key.count("/") == 2]
    if 1 < len(heads) <= MOST_HEADS:
        for number, head in enumerate(heads):
            values = [(row["epoch"], row[head]) for row in rows if head in row]
            _draw_line(axes, values, color=PALE, linewidth=1, label=None if number else f"each of {len(heads)} heads")
    curve = [(row["epoch"], row.get(CHOSEN_SCORE, row[SCORE])) for row in rows if SCORE in row]
    _draw_line(axes, curve, color=BLUE, label="validation")
    if curve:
        epoch, best = max(curve, key=lambda point: point[1])
        axes.plot([epoch], [best], "o", color=BLUE, markersize=6)
        axes.annotate(f"{best:.3f}", (epoch, best), (0, 7), textcoords="offset points", fontsize=9, ha="center")
    axes.set_title(drawable_text(label), loc="left", fontsize=11, weight="bold", parse_math=False)
    axes.set_ylim(0, 1)
    axes.legend(fontsize=9, frameon=False)


def _draw_line(axes: "Axes", points: Sequence[tuple[float, float]], **style: Any) -> None:
    """Points of single epochs are marked, too: a line of one point is invisible."""
    marker = "." if len(points) < 3 else None
    axes.plot([epoch for epoch, _ in points], [value for _, value in points], marker=marker, **style)


def _style(axes: "Axes", rows: Sequence[Mapping[str, float]]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID_COLOUR, linewidth=0.5)
    axes.tick_params(labelsize=9)
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_xlim(min(row["epoch"] for row in rows) - 0.5, max(row["epoch"] for row in rows) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
