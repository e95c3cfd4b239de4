"""Slices and parallel coordinates: positions in proportion, every kind of parameter, and notes on trials not drawn."""

import re
from pathlib import Path

import pytest

from hearai.config.search_space.domains import Domain
from hearai.reporting.study_report.charts.axes import DomainAxis, log_ticks
from hearai.reporting.study_report.charts.parallel import MOST_AXES, MOST_LINES, parallel_coordinates
from hearai.reporting.study_report.charts.slices import slices
from hearai.reporting.study_report.findings.boundary import ends_to_widen
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.tables import short_names_of
from tests.helpers.simulated_search import simulate_search, study_of

LR, RATE, BLUR, LIMIT = (
    "train_parameters.lr",
    "transformer.dropout_rate",
    "augmentations_parameters.apply_blur",
    "augmentations_parameters.blur_limit",
)
SPACE = {
    LR: {"float": [1e-4, 1e-2], "log": True},
    RATE: {"float": [0, 0.5]},
    BLUR: {"choice": [True, False]},
    LIMIT: {"int": [1, 5], "when": {BLUR: True}},
}


def test_a_log_axis_has_equal_distances_for_equal_factors() -> None:
    axis = DomainAxis(Domain("float", 1e-4, 1e-2, log=True), 0, 100)
    assert [round(axis.at(value)) for value in (1e-4, 1e-3, 1e-2)] == [0, 50, 100]
    assert [label for _, label in axis.axis.ticks] == ["0.0001", "0.0003", "0.001", "0.003", "0.01"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(1e-5, 1, [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]), (0.011, 0.012, [0.011, 0.012]), (1e-12, 1, [1e-12, 1])],
)
def test_ticks_of_a_log_axis_are_round_and_few(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == ticks


def test_choices_have_equal_bands_and_true_is_not_one() -> None:
    axis = DomainAxis(Domain("choice", values=(True, 1, "1")), 0, 90)
    assert [round(axis.at(value)) for value in (True, 1, "1")] == [15, 45, 75] and axis.band == 30


def test_a_value_outside_of_a_narrowed_range_is_on_the_axis() -> None:
    assert DomainAxis(Domain("int", 2, 4), 0, 100, [8]).at(8) == 100
    assert DomainAxis(Domain("choice", values=("a",)), 0, 100, ["b"]).at("b") == 75
    assert 0 < DomainAxis(Domain("float", 1.0, 1.0), 0, 100).at(1.0) < 100, "a range of one value"


@pytest.fixture
def record(tmp_path: Path) -> StudyRecord:
    return simulate_search(study_of(SPACE, tmp_path), lambda params: 100 * params[LR], 60, stopped=0.3)


@pytest.mark.heavy
def test_each_parameter_has_a_dot_per_trial_that_has_it(record: StudyRecord) -> None:
    found = slices(record, list(SPACE), short_names_of(record), ends_to_widen(record))
    assert [one.name for one in found] == ["lr", "dropout_rate", "apply_blur", "blur_limit"]
    having = sum(LIMIT in trial.params for trial in record.trials)
    assert [one.chart.count("h0") for one in found] == [60, 60, 60, having]
    assert found[3].missing == 60 - having > 0 and found[0].missing == 0


@pytest.mark.heavy
def test_dots_stand_where_the_values_are(record: StudyRecord) -> None:
    (one,) = slices(record, [LR], short_names_of(record), [])
    groups = re.findall(r'data-ts="([\d ]+)"><path class="dots" d="([^"]+)"', one.chart)
    places = {}
    for trials, path in groups:
        xs = [float(x) for x, _ in re.findall(r"M([\d.]+) ([\d.]+)h0", path)]
        places |= dict(zip(map(int, trials.split()), xs, strict=True))
    by_value = sorted(record.trials, key=lambda trial: trial.params[LR])
    assert [places[trial.number] for trial in by_value] == sorted(places.values()) and len(places) == 60


@pytest.mark.heavy
def test_a_range_that_should_be_widened_is_marked(record: StudyRecord) -> None:
    found = slices(record, list(SPACE), short_names_of(record), ends_to_widen(record))
    assert [one.warning for one in found if one.warning] == [
        "5 of the best 5 trials are at the upper end of the range, 0.01"
    ]
    assert [one.chart.count('class="end-of-range"') for one in found] == [1, 0, 0, 0]


@pytest.mark.heavy
def test_parallel_coordinates_have_a_line_per_complete_trial(record: StudyRecord) -> None:
    plot = parallel_coordinates(record, list(SPACE), short_names_of(record))
    assert plot.lines == plot.complete == len(record.complete) and not plot.left_out
    assert plot.chart.count('class="line"') == plot.lines and plot.chart.count('class="axis"') == len(SPACE) + 1
    assert {path.count("L") for path in re.findall(r'class="line" d="([^"]+)"', plot.chart)} == {len(SPACE)}
    assert plot.chart.count('<g class="winner"') == 1


@pytest.mark.heavy
def test_few_parameters_make_a_chart_of_the_same_width(record: StudyRecord) -> None:
    """The page draws a chart as wide as itself: a narrow one would have letters of several times the size."""
    widths = [
        float(re.search(r'viewBox="0 0 (\d+)', parallel_coordinates(record, paths, short_names_of(record)).chart)[1])
        for paths in ([LR], list(SPACE))
    ]
    assert widths == [900, 900]


@pytest.mark.heavy
def test_many_lines_and_axes_are_thinned_out_and_said(tmp_path: Path) -> None:
    heads = ("symmetry_operator", "hand_shape_base_form", "hand_shape_bending", "hand_location_x", "hand_location_y")
    space = {LR: SPACE[LR], RATE: SPACE[RATE], "train_parameters.weight_decay": {"float": [0.0, 0.1]}}
    space |= {
        "train_parameters.warmup_steps": {"float": [0.0, 0.3]},
        "train_parameters.multiply_lr_step": {"float": [0.8, 1]},
    }
    space |= {f"heads.hamnosys.{head}.loss_weight": {"float": [0.1, 0.2]} for head in heads}
    study = study_of(space, tmp_path, {"train_parameters": {"classification_mode": "hamnosys", "epochs": 9}})
    record = simulate_search(study, lambda params: params[LR], 2 * MOST_LINES)
    plot = parallel_coordinates(record, list(space), short_names_of(record))
    assert plot.lines == MOST_LINES and plot.complete == 2 * MOST_LINES
    assert len(plot.left_out) == len(space) - MOST_AXES
    assert f'data-t="{record.complete[0].number}"' in plot.chart, "the winner"
