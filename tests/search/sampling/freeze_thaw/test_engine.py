"""Who trains next in a freeze-thaw search: its choices, its edge cases, and what it expects of unfinished curves."""

import dataclasses
import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from hearai.config.config import build_config
from hearai.config.search_space.space import Space, parse_space
from hearai.search.sampling.freeze_thaw.curve_model import Posterior
from hearai.search.sampling.freeze_thaw.curves import Curve, State
from hearai.search.sampling.freeze_thaw.engine import MOST_RUNNING, FreezeThaw
from hearai.search.sampling.freeze_thaw.observations import MOST_ROWS

LR, LAYERS = "train_parameters.lr", "transformer.num_encoder_layers"
EPOCHS = 50
BASE = build_config({})
SPACE = {LR: {"float": [1e-4, 1e-1], "log": True}, LAYERS: {"int": [1, 6]}}


def space_of(raw: Mapping[str, Any] = SPACE) -> Space:
    return parse_space(raw, "test")


def engine_of(raw: Mapping[str, Any] = SPACE, **more: Any) -> FreezeThaw:
    return FreezeThaw(space_of(raw), BASE, EPOCHS, **{"seed": 0, **more})


def quality(params: Mapping[str, Any]) -> float:
    """Best at a learning rate of 0.01 and 3 layers."""
    return 0.9 - 0.1 * abs(math.log10(params[LR]) + 2) - 0.02 * abs(params[LAYERS] - 3)


def curve_of(number: int, params: Mapping[str, Any], epochs: int, state: State = "paused", **more: Any) -> Curve:
    values = {epoch: quality(params) * (1 - 0.6 * 0.9**epoch) for epoch in range(1, epochs + 1)}
    return Curve(number, params, values, state, **more)


def curves_of(count: int, seed: int = 0, epochs: int = 14) -> list[Curve]:
    rng, space = random.Random(seed), space_of()
    found = [curve_of(number, space.sample(rng, BASE), epochs) for number in range(count)]
    return [curve_of(c.number, c.params, EPOCHS, "complete") if c.number < 2 else c for c in found]


def test_levels_are_shares_of_the_epochs() -> None:
    assert engine_of().levels == (3, 6, 14, 30, 50)
    assert FreezeThaw(space_of(), BASE, 2, seed=0).levels == (1, 2)
    assert FreezeThaw(space_of(), BASE, 1, seed=0).levels == (1,)


def test_it_starts_with_random_points_after_the_base_config() -> None:
    engine, curves = engine_of(startup=3), [curve_of(0, {LR: 1e-3, LAYERS: 2}, 3)]
    for number in (1, 2, 3):
        point = engine.next(curves)
        assert isinstance(point, dict) and point.keys() == SPACE.keys()
        curves.append(curve_of(number, point, 3))


@pytest.mark.heavy
def test_promising_curves_are_trained_on() -> None:
    curves = curves_of(20)
    best = sorted(curves[2:], key=lambda curve: -quality(curve.params))
    resumed = [engine_of(seed=seed).next(curves, allow_new=False) for seed in range(20)]
    assert set(resumed) <= {curve.number for curve in best[:6]}


@pytest.mark.heavy
def test_new_points_are_better_than_random_ones() -> None:
    curves = [curve_of(c.number, c.params, EPOCHS, "complete") for c in curves_of(25)]
    points = [engine_of(seed=seed).next(curves) for seed in range(20)]
    proposed = sorted(quality(point) for point in points if isinstance(point, dict))
    drawn = sorted(quality(curve.params) for curve in curves)
    assert proposed[len(proposed) // 2] > drawn[int(0.8 * len(drawn))]


def test_the_same_question_has_the_same_answer_in_any_process() -> None:
    curves, engine = curves_of(20), engine_of()
    for count in (8, 12, 20):
        engine.next(curves_of(count, seed=5))  # what was asked before does not matter
    assert engine.expected_finals(curves) == engine_of().expected_finals(curves)
    assert engine.next(curves) == engine.next(curves) == engine_of().next(curves)
    assert engine.expected_gain(curves, 5) == engine_of().expected_gain(curves, 5)


def test_seeds_differ() -> None:
    assert len({repr(engine_of(seed=seed).next([])) for seed in range(5)}) == 5


def test_expected_finals_are_near_what_curves_end_with() -> None:
    curves = curves_of(30)
    full = [curve_of(c.number, c.params, EPOCHS, "complete") for c in curves]
    expected = engine_of().expected_finals([*full[:15], *curves[15:]])
    best = sorted(curves[15:], key=lambda curve: -quality(curve.params))
    assert expected.keys() == set(range(30))
    order = sorted(curves[15:], key=lambda curve: -expected[curve.number][0])
    assert {c.number for c in order[:5]} & {c.number for c in best[:3]}
    for curve in full[:5]:
        mean, deviation = expected[curve.number]
        assert mean == pytest.approx(curve.values[EPOCHS], abs=0.12) and deviation > 0


def test_a_lucky_run_is_not_believed() -> None:
    """Among complete runs near the best point one reports 0.1 more: most of it is not expected of its config."""
    rng = random.Random(0)
    near = [{LR: 10 ** rng.uniform(-2.2, -1.8), LAYERS: 3} for _ in range(12)]
    curves = curves_of(12) + [curve_of(12 + n, params, EPOCHS, "complete") for n, params in enumerate(near)]
    lucky = curve_of(24, {LR: 1.05e-2, LAYERS: 3}, EPOCHS, "complete")
    merit = lucky.values[EPOCHS]
    lucky = dataclasses.replace(lucky, values={epoch: value + 0.1 for epoch, value in lucky.values.items()})
    mean, _ = engine_of().expected_finals([*curves, lucky])[24]
    assert merit - 0.01 < mean < merit + 0.05


def test_measured_seeds_say_how_much_of_a_run_is_luck() -> None:
    curves = curves_of(12)
    lucky = curve_of(12, {LR: 1.05e-2, LAYERS: 3}, EPOCHS, "complete")
    lucky = dataclasses.replace(lucky, values={epoch: value + 0.1 for epoch, value in lucky.values.items()})

    def expected(*seed_values: float) -> float:
        return engine_of(seed_values={0: seed_values}).expected_finals([*curves, lucky])[12][0]

    steady, unsteady = expected(0.8, 0.801, 0.802, 0.803), expected(0.7, 0.9, 0.7, 0.9)
    assert unsteady < expected(0.8) < steady, "one seed says nothing"
    assert expected(0.8, 0.8) == expected(0.8), "a spread of zero is no measurement"


def test_the_expected_gain_shrinks_as_the_best_is_found() -> None:
    poor = [curve_of(n, {LR: 10 ** -(3 + n / 10), LAYERS: 6}, EPOCHS, "complete") for n in range(10)]
    near = [curve_of(n, {LR: 0.01 * 1.1 ** (n - 5), LAYERS: 3}, EPOCHS, "complete") for n in range(20)]
    engine = engine_of()
    assert (
        engine.expected_gain(poor, 10)
        > engine.expected_gain([*poor, *[Curve(n + 10, c.params, c.values, c.state) for n, c in enumerate(near)]], 10)
        >= 0
    )
    assert engine.expected_gain(poor, 0) == 0


def test_a_diverged_curve_does_not_bend_the_scale() -> None:
    curves = curves_of(20)
    diverged = [Curve(20 + n, {LR: 0.09, LAYERS: 6}, {1: -1e30}, "stopped", diverged=True) for n in range(3)]
    expected = engine_of().expected_finals([*curves, *diverged])
    assert all(0 < expected[curve.number][0] < 1.2 for curve in curves)
    assert expected[20][0] < max(mean for mean, _ in expected.values())


def test_running_trials_spread_out_parallel_proposals() -> None:
    curves = curves_of(20)
    first = engine_of(seed=3).next(curves)
    busy = [Curve(c.number, c.params, c.values, "running") if c.number == first else c for c in curves]
    assert engine_of(seed=3).next(busy) != first


@pytest.mark.parametrize(
    "curves",
    [
        [],
        [curve_of(0, {LR: 1e-3, LAYERS: 2}, 3)],
        [Curve(n, {LR: 1e-3 * (n + 1), LAYERS: 2}, {3: 0.5}, "paused") for n in range(10)],
        [Curve(n, {LR: 1e-3 * (n + 1), LAYERS: 2}, {}, "stopped", diverged=True) for n in range(10)],
        [Curve(n, {LR: 1e-3 * (n + 1), LAYERS: 2}, {1: 1e100 * (-1) ** n}, "paused") for n in range(10)],
        [Curve(n, {LR: 5.0, LAYERS: 99}, {3: 0.1 * n}, "complete", is_prior=True) for n in range(10)],
        [Curve(n, {}, {3: 0.1 * n}, "complete") for n in range(10)],
        [Curve(n, {LR: 1e-3, LAYERS: 2}, {}, "running") for n in range(10)],
        [Curve(n, {LR: 1e-3 + n / 100, LAYERS: 2}, {500: 0.1 * n, 3: 0.1}, "paused") for n in range(10)],
    ],
    ids=["nothing", "one", "equal", "all diverged", "huge", "priors", "without parameters", "running", "longer"],
)
def test_odd_histories_have_an_answer(curves: list[Curve]) -> None:
    engine = engine_of()
    answer = engine.next(curves)
    assert isinstance(answer, int | dict)
    engine.next(curves, allow_new=False)
    assert engine.expected_finals(curves).keys() == {curve.number for curve in curves}
    assert math.isfinite(engine.expected_gain(curves, 5))


def test_a_small_space_is_exhausted_without_repetition() -> None:
    raw = {LAYERS: {"int": [1, 4]}, "train_parameters.batch_size": {"choice": [4, 8, 16]}}
    engine, curves = FreezeThaw(space_of(raw), BASE, EPOCHS, seed=0, startup=2), list[Curve]()
    while isinstance(answer := engine.next(curves), dict):
        curves.append(Curve(len(curves), answer, {50: 0.1 * answer[LAYERS]}, "complete"))
    assert answer is None and len({repr(sorted(c.params.items())) for c in curves}) == len(curves) == 12


@pytest.mark.heavy
def test_rules_of_the_space_hold_for_every_proposal() -> None:
    rule = {"divides": ["feature_extractor.representation_size", "transformer.num_attention_heads"]}
    raw = {
        "transformer.num_attention_heads": {"int": [1, 16]},
        "feature_extractor.representation_size": {"int": [16, 64]},
    }
    space = parse_space(raw, "test", [rule])
    engine, curves = FreezeThaw(space, BASE, EPOCHS, seed=0), list[Curve]()
    for number in range(25):
        answer = engine.next(curves)
        assert isinstance(answer, dict) and not space.violation(answer, BASE)
        curves.append(Curve(number, answer, {50: answer["transformer.num_attention_heads"] / 16}, "complete"))


def test_priors_of_another_search_are_data_but_never_resumed() -> None:
    priors = [curve_of(c.number, c.params, EPOCHS, "paused", is_prior=True) for c in curves_of(20)]
    assert engine_of().next(priors, allow_new=False) is None
    own = [curve_of(100 + n, c.params, 3) for n, c in enumerate(curves_of(8, seed=4))]
    best = max(own, key=lambda curve: quality(curve.params))
    chosen = [engine_of(seed=seed).next([*priors, *own], allow_new=False) for seed in range(9)]
    assert max(set(chosen), key=chosen.count) == best.number


def test_the_model_sees_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    class Counting(Posterior):
        def __init__(self, model: Any, rows: Any, y_N: Any):
            sizes.append(len(rows))
            super().__init__(model, rows, y_N)

    monkeypatch.setattr("hearai.search.sampling.freeze_thaw.curve_model.Posterior", Counting)
    curves = curves_of(600)
    running = [Curve(c.number, c.params, c.values, "running") for c in curves[200:]]
    engine_of().next([*curves[:200], *running])
    assert sizes and max(sizes) <= MOST_ROWS + MOST_RUNNING


@pytest.mark.heavy
def test_a_search_over_conditional_and_tied_choices_learns() -> None:
    raw = {
        "transformer.name": {"choice": ["sign_language_transformer", "lstm", "fake_transformer"]},
        LAYERS: {"int": [1, 6], "when": {"transformer.name": ["sign_language_transformer", "lstm"]}},
        "speed": {"choice": {"slow": {"train_parameters.batch_size": 4}, "fast": {"train_parameters.batch_size": 64}}},
        LR: {"float": [1e-4, 1e-1], "log": True, "when": {"train_parameters.batch_size": 64}},
    }

    def final(params: Mapping[str, Any]) -> float:
        kind = {"sign_language_transformer": 0.2, "lstm": 0.5}.get(params["transformer.name"], 0.0)
        return kind - 0.05 * abs(params.get(LAYERS, 1) - 5) - 0.1 * abs(math.log10(params.get(LR, 1e-6)) + 3)

    space, engine, curves = space_of(raw), engine_of(raw), list[Curve]()
    for number in range(45):
        answer = engine.next(curves)
        assert isinstance(answer, dict) and answer not in [curve.params for curve in curves]
        assert answer == space.walk(lambda name, _, answer=answer: answer[name], BASE)  # no parameter too many
        curves.append(Curve(number, answer, {EPOCHS: final(answer)}, "complete"))
    best = max(curves, key=lambda curve: curve.values[EPOCHS])
    assert best.params["transformer.name"] == "lstm" and best.params["speed"] == "fast"
    assert final(best.params) > 0.42


@pytest.mark.heavy
@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_a_search_with_few_epochs_completes_every_trial(epochs: int) -> None:
    """Four workers, until every point of a small space was tried and none is paused."""
    space = space_of({LAYERS: {"int": [1, 6]}, "train_parameters.batch_size": {"choice": [4, 8]}})
    engine, trained, params = FreezeThaw(space, BASE, epochs, seed=0), dict[int, int](), dict[int, dict[str, Any]]()
    for _ in range(200):
        curves = [
            Curve(n, params[n], {e: params[n][LAYERS] - 1 / e for e in range(1, trained[n] + 1)}, state)
            for n in params
            for state in ["complete" if trained[n] == epochs else "paused"]
        ]
        answer = engine.next(curves)
        if answer is None:
            break
        number = answer if isinstance(answer, int) else len(params)
        params.setdefault(number, answer if isinstance(answer, dict) else {})
        trained[number] = next(level for level in engine.levels if level > trained.get(number, 0))
    assert len(params) == 12 and set(trained.values()) == {epochs}


def test_curves_of_a_prior_search_may_have_the_numbers_of_trials() -> None:
    own = curves_of(8)
    poor = [Curve(c.number, c.params, {EPOCHS: 0.01}, "complete", is_prior=True) for c in curves_of(8, seed=6)]
    assert engine_of().next([*own, *poor], allow_new=False) in {curve.number for curve in own}


def test_constant_spaces_have_one_trial() -> None:
    raw = {LR: 1e-3, LAYERS: {"choice": [2]}}
    engine = engine_of(raw, startup=0)
    assert engine.next([]) == {LR: 1e-3, LAYERS: 2}
    curves = [Curve(0, {LR: 1e-3, LAYERS: 2}, {e: 0.1 * e for e in (3, 6, 14, 30, 50)}, "complete")]
    assert engine.next(curves) is None and math.isfinite(engine.expected_gain(curves, 3))
