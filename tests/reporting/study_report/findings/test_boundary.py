"""Boundary warnings: ranges that are too narrow are named; natural limits and chance give no warning."""

import math
import runpy
import shlex
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.config.search_space.domains import Value
from hearai.config.study import Request, load_study
from hearai.reporting.study_report.findings.boundary import boundary_warnings
from hearai.search.storage.space_change import compare_spaces
from tests.helpers import ROOT
from tests.helpers.simulated_search import noise, simulate_search, study_of

LR, DROPOUT = "train_parameters.lr", "transformer.dropout_rate"
LAYERS, STEP = "transformer.num_encoder_layers", "train_parameters.multiply_lr_step"
BLUR, LIMIT = "augmentations_parameters.apply_blur", "augmentations_parameters.blur_limit"
LOG = {"float": [1.0e-4, 1.0e-2], "log": True}
Score = Callable[[Mapping[str, Value]], float]


def warned(folder: Path, space: Mapping, score: Score, trials: int = 60, **how) -> list[str]:
    return boundary_warnings(simulate_search(study_of(space, folder), score, trials, **how))


@pytest.mark.heavy
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_best_values_at_an_end_give_a_warning_with_advice(tmp_path: Path, sampler: str) -> None:
    space = {LR: LOG, DROPOUT: {"float": [0.0, 0.5]}}
    (line,) = warned(tmp_path, space, lambda params: math.log(params[LR]), sampler=sampler)
    assert line.startswith("lr: ") and "are at the upper end of the range, 0.01; widen it, e.g. to 0.03: " in line
    assert "of the best 6 trials" in line
    (line,) = warned(tmp_path, space, lambda params: -math.log(params[LR]), sampler=sampler)
    assert "are at the lower end of the range, 0.0001; widen it, e.g. to 3.3e-05: " in line


def test_stopped_trials_count_as_evidence(tmp_path: Path) -> None:
    lines = warned(tmp_path, {LR: LOG}, lambda params: math.log(params[LR]), 80, stopped=0.7)
    assert [line.split(":")[0] for line in lines] == ["lr"]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("path", "domain"),
    [
        (LR, LOG),
        (DROPOUT, {"float": [0.0, 0.5], "step": 0.05}),
        (LAYERS, {"int": [1, 7], "step": 2}),
        (LIMIT, {"int": [1, 9], "when": {BLUR: True}}),
    ],
)
def test_the_advice_widens_the_range_when_pasted(tmp_path: Path, path: str, domain: dict) -> None:
    """Also from a terminal, where the warning is broken into lines."""
    space = {BLUR: {"choice": [True, False]}, path: domain} if "when" in domain else {path: domain}
    before = study_of(space, tmp_path)
    (line,) = warned(tmp_path, space, lambda params: params.get(path, -math.inf), 120)
    words = shlex.split(
        "\n".join(textwrap.wrap(line.split(" and ")[-1], 40, break_long_words=False, break_on_hyphens=False))
    )
    arguments = ["--space", str(tmp_path / "made.yaml"), "--data-path", "nowhere", *words]
    tune = runpy.run_path(str(ROOT / "experiments" / "tune.py"))
    now = tune["build_study"](tune["make_parser"]().parse_args(arguments))
    (change,) = compare_spaces(before.space, now.space).lines
    assert (
        change.startswith(f"space widened: {path} ") and now.space.domains[path].high > before.space.domains[path].high
    )


def test_the_best_values_inside_give_no_warning(tmp_path: Path) -> None:
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
def test_a_natural_limit_gives_no_warning(tmp_path: Path, path: str, domain: dict, sign: int) -> None:
    assert warned(tmp_path, {path: domain}, lambda params: sign * params[path]) == []
    upside_down = warned(tmp_path, {path: domain}, lambda params: -sign * params[path])
    assert len(upside_down) == 1  # the other end is not a natural limit


def test_advice_near_a_natural_limit_stays_within_it(tmp_path: Path) -> None:
    (line,) = warned(tmp_path, {STEP: {"float": [0.8, 0.99]}}, lambda params: params[STEP])
    assert "e.g. to 0.9938: " in line


def test_for_few_integers_the_end_is_the_bound_itself(tmp_path: Path) -> None:
    (line,) = warned(tmp_path, {LAYERS: {"int": [1, 4]}}, lambda params: params[LAYERS])
    assert line == (
        "num_encoder_layers: 6 of the best 6 trials are at the upper end of the range, 4; widen it, e.g. to 5: the "
        f"same command with more --trials and --space-set='{LAYERS}={{int: [1, 5]}}'"
    )
    assert warned(tmp_path, {LAYERS: {"int": [1, 4]}}, lambda params: -abs(params[LAYERS] - 3)) == []


def test_trials_outside_of_a_narrowed_space_are_no_evidence(tmp_path: Path) -> None:
    record = simulate_search(study_of({LR: LOG}, tmp_path), lambda params: math.log(params[LR]), 60)
    narrow = study_of({LR: {"float": [1.0e-4, 1.0e-3], "log": True}}, tmp_path)
    narrowed = replace(record, study=narrow)
    assert len(narrowed.inside) < 40 and len(narrowed.trials) == 60
    assert all(trial.params[LR] <= 1e-3 for trial in narrowed.inside)
    assert record.winner is not None and record.winner.params[LR] > 1e-3
    assert narrowed.winner is not None and (narrowed.winner.number == 0 or narrowed.winner.params[LR] <= 1e-3)
    assert all("upper end of the range, 0.001;" in line for line in boundary_warnings(narrowed))


def test_two_values_and_choices_have_no_boundary(tmp_path: Path) -> None:
    assert warned(tmp_path, {LAYERS: {"int": [1, 2]}}, lambda params: params[LAYERS]) == []
    assert warned(tmp_path, {LAYERS: {"choice": [1, 2, 3]}}, lambda params: params[LAYERS]) == []


@pytest.mark.heavy
def test_conditional_parameters_are_judged_by_trials_having_them(tmp_path: Path) -> None:
    space = {BLUR: {"choice": [True, False]}, LIMIT: {"int": [1, 9], "when": {BLUR: True}}}
    (line,) = warned(tmp_path, space, lambda params: params.get(LIMIT, 20), 120)
    assert line.startswith("blur_limit: ") and "upper end of the range, 9" in line


def test_too_few_complete_trials_give_no_warning(tmp_path: Path) -> None:
    assert warned(tmp_path, {LR: LOG}, lambda params: params[LR], 9) == []


@pytest.mark.heavy
def test_18_irrelevant_parameters_rarely_give_a_warning() -> None:
    study = load_study(Request("hamnosys", data_paths=("nowhere",)))
    assert len([d for d in study.space.domains.values() if d.kind != "choice"]) > 10
    false = [boundary_warnings(simulate_search(study, noise(seed), 60, seed=seed)) for seed in range(12)]
    false += [boundary_warnings(simulate_search(study, noise(seed), 60, seed=seed, stopped=0.6)) for seed in range(12)]
    assert sum(map(bool, false)) <= 3  # 5 % of 24 are 1.2


@pytest.mark.heavy
def test_a_sampler_near_an_end_by_accident_gives_no_warning() -> None:
    study = load_study(Request("hamnosys", data_paths=("nowhere",)))
    false = [boundary_warnings(simulate_search(study, noise(seed), 60, seed=seed, sampler="tpe")) for seed in range(6)]
    assert sum(map(bool, false)) <= 1
