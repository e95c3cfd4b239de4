"""Boundary warnings: a range that is too narrow is named, a natural limit is not, and chance is no hint."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hearai.config.domains import Value
from hearai.config.study import Request, load_study
from hearai.reporting.study_report.boundary import boundary_warnings
from tests.helpers.random_search import noise, searched, study_of

LR, DROPOUT = "train_parameters.lr", "transformer.dropout_rate"
LAYERS, STEP = "transformer.num_encoder_layers", "train_parameters.multiply_lr_step"
BLUR, LIMIT = "augmentations_parameters.apply_blur", "augmentations_parameters.blur_limit"
LOG = {"float": [1.0e-4, 1.0e-2], "log": True}
Score = Callable[[Mapping[str, Value]], float]


def warned(folder: Path, space: Mapping, score: Score, trials: int = 60, **how) -> list[str]:
    return boundary_warnings(searched(study_of(space, folder), score, trials, **how))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_best_values_at_an_end_are_named_with_end_value_and_advice(tmp_path: Path, sampler: str) -> None:
    space = {LR: LOG, DROPOUT: {"float": [0.0, 0.5]}}
    (line,) = warned(tmp_path, space, lambda params: math.log(params[LR]), sampler=sampler)
    assert line.startswith("lr: ") and line.endswith("sit at the upper end 0.01: widen it, e.g. to 0.03")
    assert "of the best 6 trials" in line
    (line,) = warned(tmp_path, space, lambda params: -math.log(params[LR]), sampler=sampler)
    assert line.endswith("sit at the lower end 0.0001: widen it, e.g. to 3.3e-05")


def test_stopped_trials_help_to_tell(tmp_path: Path) -> None:
    lines = warned(tmp_path, {LR: LOG}, lambda params: math.log(params[LR]), 80, stopped=0.7)
    assert [line.split(":")[0] for line in lines] == ["lr"]


def test_the_best_values_inside_are_no_warning(tmp_path: Path) -> None:
    assert warned(tmp_path, {LR: LOG}, lambda params: -abs(math.log(params[LR] / 1e-3))) == []


@pytest.mark.parametrize(
    ("path", "domain", "sign"),
    [
        (DROPOUT, {"float": [0.0, 0.5]}, -1),
        (DROPOUT, {"float": [0.0, 0.5], "step": 0.05}, -1),
        (STEP, {"float": [0.8, 1.0]}, 1),
        ("train_parameters.warmup_steps", {"float": [0.0, 0.3], "step": 0.05}, -1),
    ],
)
def test_a_natural_limit_is_not_advised_to_be_widened(tmp_path: Path, path: str, domain: dict, sign: int) -> None:
    assert warned(tmp_path, {path: domain}, lambda params: sign * params[path]) == []
    upside_down = warned(tmp_path, {path: domain}, lambda params: -sign * params[path])
    assert len(upside_down) == 1  # its other end is none


def test_advice_near_a_natural_limit_stays_within_it(tmp_path: Path) -> None:
    (line,) = warned(tmp_path, {STEP: {"float": [0.8, 0.99]}}, lambda params: params[STEP])
    assert line.endswith("e.g. to 0.9938")


def test_few_whole_numbers_need_their_end_itself_and_a_wider_range_is_one_more(tmp_path: Path) -> None:
    (line,) = warned(tmp_path, {LAYERS: {"int": [1, 4]}}, lambda params: params[LAYERS])
    assert line == "num_encoder_layers: 6 of the best 6 trials sit at the upper end 4: widen it, e.g. to 5"
    assert warned(tmp_path, {LAYERS: {"int": [1, 4]}}, lambda params: -abs(params[LAYERS] - 3)) == []


def test_two_values_have_no_boundary_and_choices_have_none(tmp_path: Path) -> None:
    assert warned(tmp_path, {LAYERS: {"int": [1, 2]}}, lambda params: params[LAYERS]) == []
    assert warned(tmp_path, {LAYERS: {"choice": [1, 2, 3]}}, lambda params: params[LAYERS]) == []


def test_a_conditional_parameter_is_judged_over_the_trials_that_have_it(tmp_path: Path) -> None:
    space = {BLUR: {"choice": [True, False]}, LIMIT: {"int": [1, 9], "when": {BLUR: True}}}
    (line,) = warned(tmp_path, space, lambda params: params.get(LIMIT, 20), 120)
    assert line.startswith("blur_limit: ") and "upper end 9" in line


def test_too_few_complete_trials_are_no_ground_for_advice(tmp_path: Path) -> None:
    assert warned(tmp_path, {LR: LOG}, lambda params: params[LR], 9) == []


def test_a_search_over_18_parameters_that_do_not_matter_does_not_cry_wolf() -> None:
    study = load_study(Request("hamnosys", data_paths=("nowhere",)))
    assert len([d for d in study.space.domains.values() if d.kind != "choice"]) > 10
    false = [boundary_warnings(searched(study, noise(seed), 60, seed=seed)) for seed in range(30)]
    false += [boundary_warnings(searched(study, noise(seed), 60, seed=seed, stopped=0.6)) for seed in range(30)]
    assert sum(map(bool, false)) <= 5  # 5 % of 60 are 3


def test_a_sampler_that_settled_near_an_end_by_accident_is_no_hint() -> None:
    study = load_study(Request("hamnosys", data_paths=("nowhere",)))
    false = [boundary_warnings(searched(study, noise(seed), 60, seed=seed, sampler="tpe")) for seed in range(12)]
    assert sum(map(bool, false)) <= 1
