"""Figures are PNGs whose colours follow the counts, and whose labels neither overlap nor break them."""

import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from hearai.reporting.figures import (
    CELL,
    DPI,
    EMPTY_COLOUR,
    LABEL_WIDTH,
    MOST_SHOWN,
    _fit_label,
    _label_axes,
    _with_most_clips,
    confusion_figure,
    filled_figure,
)
from hearai.reporting.label_statistics.counts import HeadCounts
from hearai.reporting.label_statistics.plots import BLUE, ORANGE, RED, plot_classes, plot_overview
from hearai.training.outputs.confusion import Confusion


def pixels(path: Path) -> np.ndarray:
    """(height, width, RGB) of a PNG."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def shade(share: float) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in matplotlib.colormaps["Blues"](share)[:3])


def hex_colour(text: str) -> tuple[int, ...]:
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


def where(image: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """(row, column) of every pixel of about that colour."""
    return np.argwhere(np.abs(image - colour).max(-1) <= 1)


def draw(path: Path, matrix: list | np.ndarray, title: str = "a head") -> np.ndarray:
    matrix = np.asarray(matrix)
    confusion_figure(Confusion.of_matrix(torch.from_numpy(matrix)), "class {}".format, title, path)
    return pixels(path)


# confusion matrices


@pytest.mark.heavy
def test_rows_are_true_classes_and_colours_are_shares_of_the_row(tmp_path: Path) -> None:
    image = draw(tmp_path / "m.png", [[90, 10], [3, 1]])
    cells = {share: where(image, shade(share)) for share in (0.9, 0.1, 0.75, 0.25)}
    area = (CELL * DPI) ** 2
    for share, found in cells.items():
        assert 0.6 * area < len(found) < 1.2 * area, share
    middle = {share: np.median(found, axis=0) for share, found in cells.items()}
    assert middle[0.9][0] == pytest.approx(middle[0.1][0], abs=8) and middle[0.9][1] < middle[0.1][1]  # 1st row
    assert middle[0.75][0] == pytest.approx(middle[0.25][0], abs=8) and middle[0.75][1] < middle[0.25][1]
    assert middle[0.9][0] < middle[0.75][0]


@pytest.mark.heavy
def test_a_class_without_clips_is_a_grey_row(tmp_path: Path) -> None:
    area = (CELL * DPI) ** 2
    assert len(where(draw(tmp_path / "m.png", [[5, 1], [0, 0]]), hex_colour(EMPTY_COLOUR))) > 1.6 * area
    with_note = pixels(tmp_path / "m.png").shape[0]  # the title explains grey
    assert len(where(draw(tmp_path / "m.png", [[5, 1], [1, 5]]), hex_colour(EMPTY_COLOUR))) < 0.1 * area
    assert with_note > pixels(tmp_path / "m.png").shape[0]


@pytest.mark.heavy
@pytest.mark.parametrize(("classes", "has_counts"), [(2, True), (12, True), (13, False)])
def test_small_matrices_have_counts_in_their_cells(tmp_path: Path, classes: int, has_counts: bool) -> None:
    matrix = 2 + np.eye(classes, dtype=int)
    one, ten = draw(tmp_path / "one.png", matrix), draw(tmp_path / "ten.png", 10 * matrix)  # the same shares
    assert (one.shape != ten.shape or (one != ten).any()) == has_counts


@pytest.mark.heavy
@pytest.mark.parametrize("classes", [1, 2, 12, 13, 37, 151, 300, 301, 1934])
def test_matrices_of_any_size_give_an_image_of_limited_size(tmp_path: Path, classes: int) -> None:
    matrix = np.eye(classes, dtype=int) * 3
    matrix[0, -1] += 1
    height, width, _ = draw(tmp_path / "m.png", matrix).shape
    assert 150 < height < 2600 and 150 < width < 2600


@pytest.mark.heavy
@pytest.mark.parametrize("classes", [1, 12, 13, 37, 60, 101, 151, 299])
def test_labels_never_overlap(classes: int) -> None:
    cell = CELL if classes <= 12 else min(0.24, 12 / classes)
    figure, axes = filled_figure(cell * classes, cell * classes)
    axes.imshow(np.eye(classes), aspect="auto")
    names = [_fit_label(f"both hands mirror, left to right and up-down reversed {i}", i, 3 if classes <= 12 else 1)
             for i in range(classes)]  # fmt: skip
    _label_axes(axes, names, names, cell)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axis, side in ((axes.yaxis, "y"), (axes.xaxis, "x")):
        boxes = [label.get_window_extent(canvas.get_renderer()) for label in axis.get_ticklabels()]
        edges = sorted((getattr(box, f"{side}0"), getattr(box, f"{side}1")) for box in boxes)
        assert len(edges) >= min(classes, 50)
        assert all(low >= high for (_, high), (low, _) in zip(edges, edges[1:], strict=False))


def test_of_very_many_classes_the_most_frequent_are_shown(tmp_path: Path) -> None:
    matrix = np.zeros((1934, 1934), int)
    matrix[np.arange(500), np.arange(500)] = 1
    matrix[np.arange(1000, 1080), np.arange(1000, 1080)] = 5
    shown, note = _with_most_clips(matrix.sum(1))
    assert len(shown) == MOST_SHOWN and set(range(1000, 1080)) <= set(shown) and list(shown) == sorted(shown)
    assert note == "Showing the 100 with the most clips of the 580 classes that have clips; 1,934 classes in all"
    few = np.zeros((400, 400), int)
    few[[7, 9], [7, 300]] = 4
    shown, note = _with_most_clips(few.sum(1))
    assert list(shown) == [7, 9] and note == "Showing the 2 classes that have clips; 400 classes in all"


@pytest.mark.heavy
def test_predictions_of_hidden_classes_fill_a_last_column(tmp_path: Path) -> None:
    matrix = np.zeros((400, 400), int)
    matrix[7, 7], matrix[9, 300] = 4, 4  # class 300 has no clips and therefore no column
    image = draw(tmp_path / "m.png", matrix)
    dark = where(image, shade(1.0))
    columns = np.unique(dark[:, 1])
    area = (CELL * DPI) ** 2
    assert len(dark) > 1.5 * area  # both rows have one full cell
    assert columns.max() - columns.min() > 2 * CELL * DPI  # the first column and the third


def test_a_shortened_name_keeps_its_index() -> None:
    long = "both hands, left-right mirror image and so on"
    assert _fit_label("chin", 9, 1) == "chin"
    assert _fit_label(long, 7, 1) == "both hands, left-right... (7)"
    assert _fit_label(long, 7, 3).replace("\n", " ") == long
    compound = "Donaudampfschifffahrtsgesellschaftskapitaen"
    assert _fit_label(compound, 12345, 1).startswith("Donaudampf") and _fit_label(compound, 12345, 1).endswith(
        "(12345)"
    )
    for lines in (1, 3):
        for words in (compound, long * 5, f"x {compound} y {compound} z"):
            fitted = _fit_label(words, 99_999, lines).split("\n")
            assert len(fitted) <= lines and max(map(len, fitted)) <= LABEL_WIDTH and fitted[-1].endswith("(99999)")


@pytest.mark.heavy
@pytest.mark.parametrize(
    "name", ["$x^2", r"$\frac$", "a_b^c", "two\nlines", "", " ", "\u4f60\u597d", "za\u017c\u00f3\u0142\u0107"]
)
def test_no_name_breaks_a_figure_or_warns(tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confusion_figure(Confusion.of_matrix(torch.eye(2).long()), lambda _: name, name, tmp_path / "m.png")
        counts = HeadCounts("gloss", [name, name], [1, 2], 0)
        plot_classes(counts, tmp_path / "c.png")
        plot_overview([counts], name, tmp_path / "o.png")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.heavy
def test_a_figure_replaces_the_old_file_atomically(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    path.write_text("old")
    with pytest.raises(AssertionError):
        draw(path, [[0, 0], [0, 0]])  # without clips
    assert path.read_text() == "old"
    draw(path, [[1, 0], [0, 1]])
    assert [file.name for file in tmp_path.iterdir()] == ["m.png"]


# label counts


@pytest.mark.heavy
def test_bars_follow_the_counts_and_are_orange_for_one_clip(tmp_path: Path) -> None:
    plot_classes(HeadCounts("a", list("wxyz"), [40, 20, 0, 1], 0), tmp_path / "c.png")
    image = pixels(tmp_path / "c.png")
    _, lengths = np.unique(where(image, hex_colour(BLUE))[:, 0], return_counts=True)  # blue pixels per row
    longest, shorter = max(lengths), min(lengths[lengths > max(lengths) / 4])
    assert longest == pytest.approx(2 * shorter, rel=0.02)
    orange = where(image, hex_colour(ORANGE))
    assert len(np.unique(orange[:, 1])) == pytest.approx(longest / 40, abs=3)
    assert len(where(image, hex_colour(RED))) > 10  # the text `no clip`


@pytest.mark.heavy
def test_classes_without_clips_are_marked_in_the_overview(tmp_path: Path) -> None:
    def red(*counts: int) -> int:
        plot_overview([HeadCounts("a", list("xyz"), counts, 0)], "title", tmp_path / "o.png")
        return len(where(pixels(tmp_path / "o.png"), hex_colour(RED)))

    assert red(3, 2, 1) == 0
    assert red(3, 0, 1) > 10


@pytest.mark.heavy
def test_the_overview_explains_orange_where_it_occurs(tmp_path: Path) -> None:
    def orange(*counts: int) -> int:
        plot_overview([HeadCounts("a", list("xyz"), counts, 0)], "title", tmp_path / "o.png")
        top = pixels(tmp_path / "o.png")[:80]
        return len(where(top, hex_colour(ORANGE)))

    assert orange(3, 2, 2) == 0
    assert orange(3, 2, 1) > 10


@pytest.mark.heavy
def test_of_many_classes_the_most_frequent_have_bars(tmp_path: Path) -> None:
    counts = [0] * 50 + [1] * 30 + list(range(1, 121))
    plot_classes(HeadCounts("gloss", [f"class {i}" for i in range(200)], counts, 3), tmp_path / "c.png")
    image = pixels(tmp_path / "c.png")
    left = image[:, : image.shape[1] // 2]
    starts = np.flatnonzero(np.diff((np.abs(left - hex_colour(BLUE)).max(-1) <= 1).sum(1) > 100) == 1)
    assert len(starts) in (79, 80)  # two edges per bar, 40 bars
    right = image[:, image.shape[1] // 2 :]
    assert len(where(right, hex_colour(RED))) > 1000 and len(where(right, hex_colour(ORANGE))) > 1000


@pytest.mark.heavy
def test_more_heads_make_a_taller_overview(tmp_path: Path) -> None:
    sizes = []
    for number in (1, 2, 8):
        heads = [HeadCounts(f"head {i}", ["a", "b"], [3, i], i) for i in range(number)]
        plot_overview(heads, "title", tmp_path / "o.png")
        sizes.append(pixels(tmp_path / "o.png").shape[:2])
    assert sizes[0][1] < sizes[1][1] and sizes[1][0] < sizes[2][0] < 2500
