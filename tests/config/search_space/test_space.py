"""Search spaces: domains, conditions, and validation against the base config."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearai.config.config import build_config
from hearai.config.search_space.domains import Domain, Value
from hearai.config.search_space.space import Space, parse_space
from hearai.config.search_space.space_check import space_problems
from hearai.errors import ConfigError

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # do not fail on a busy machine

BASE = build_config({})
LR, LAYERS, HEADS = "train_parameters.lr", "transformer.num_encoder_layers", "transformer.num_attention_heads"
NAME, DROPOUT = "transformer.name", "transformer.dropout_rate"


def problem_of(spec: object, path: str = LR) -> str:
    with pytest.raises(ConfigError) as caught:
        space = parse_space({path: spec}, "s.yaml")
        raise ConfigError(space_problems(space, BASE) or "no problem")
    return "\n".join(caught.value.problems)


# -- domains -------------------------------------------------------------------------------------

finite = st.floats(-1e6, 1e6)


@st.composite
def domains(draw: st.DrawFn) -> Domain:
    kind = draw(st.sampled_from(["float", "int", "choice"]))
    if kind == "choice":
        values = draw(st.lists(st.none() | st.booleans() | st.integers() | st.text("abc "), min_size=1, unique_by=repr))
        return parse_space({"p": {"choice": values}}, "f").domains["p"]
    log = draw(st.booleans())
    ends = st.integers(1 if log else -1000, 1000) if kind == "int" else st.floats(1e-6, 1e6) if log else finite
    low, high = sorted((draw(ends), draw(ends)))
    spec = {kind: [low, high], "log": log}
    if not log and draw(st.booleans()):
        spec["step"] = draw(st.integers(1, 50) if kind == "int" else st.sampled_from([0.05, 0.1, 0.3, 7.0]))
        spec[kind][1] = low + spec["step"] * draw(st.integers(0, 20))
    return parse_space({"p": spec}, "f").domains["p"]


@pytest.mark.heavy
@relaxed
@given(domains(), st.integers())
def test_samples_are_in_the_domain_and_of_its_type(domain: Domain, seed: int) -> None:
    value = domain.sample(random.Random(seed))
    assert domain.contains(value)
    if domain.kind == "int":
        assert isinstance(value, int) and not isinstance(value, bool)
    if domain.kind == "float":
        assert isinstance(value, float)
    assert all(domain.contains(corner) for corner in domain.corners() if not domain.step)


@pytest.mark.heavy
@relaxed
@given(domains(), finite)
def test_numbers_outside_the_bounds_are_not_in_the_domain(domain: Domain, value: float) -> None:
    if domain.kind != "choice" and not domain.low <= value <= domain.high:
        assert not domain.contains(value)


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        ({"int": [0, 100]}, [0, 7, 100], [0.1, 101, True, "7"]),
        ({"int": [1, 9], "step": 4}, [1, 5, 9], [2, 7]),
        ({"float": [0, 0.3], "step": 0.05}, [0.0, 0.05, 0.15, 0.3], [0.02, 0.29]),
        ({"choice": [True, 2, None]}, [True, 2, None], [1, False, 3]),
        (0.5, [0.5], [0.4]),
    ],
)
def test_domain_contains(spec: object, inside: list, outside: list) -> None:
    domain = parse_space({"p": spec}, "f").domains["p"]
    assert all(domain.contains(value) for value in inside)
    assert not any(domain.contains(value) for value in outside)


def test_log_domain_is_sampled_uniformly_in_its_logarithm() -> None:
    domain, rng = parse_space({"p": {"float": [1e-4, 1.0], "log": True}}, "f").domains["p"], random.Random(0)
    below = sum(domain.sample(rng) < 1e-2 for _ in range(2000))
    assert 900 < below < 1100


def test_every_step_is_sampled_including_both_bounds() -> None:
    domain, rng = parse_space({"p": {"int": [1, 10], "step": 3}}, "f").domains["p"], random.Random(0)
    assert {domain.sample(rng) for _ in range(200)} == {1, 4, 7, 10}


def test_domain_as_text() -> None:
    space = parse_space({"a": {"float": [1e-4, 1], "log": True}, "b": {"int": [1, 9], "step": 2}, "c": 3}, "f")
    assert [str(domain) for domain in space.domains.values()] == ["float 0.0001 .. 1, log", "int 1 .. 9, step 2", "3"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"float": [1, 0.1]}, "low 1 is above high 0.1; swap them"),
        ({"float": [0, 1], "log": True}, "low 0 with log: true; it must be above 0"),
        ({"float": [0, float("inf")]}, "got inf; give a finite number"),
        ({"float": [0, 10**400]}, "give a finite number"),
        ({"float": [False, 1]}, "got False; give a finite number"),
        ({"float": [0.1]}, "give [low, high]"),
        ({"float": [0.1, 1], "step": 0}, "step: got 0"),
        ({"float": [0.1, 1], "step": 0.1, "log": True}, "step: got 0.1 with log: true"),
        ({"float": [0.1, 1], "log": "yes"}, "log: got 'yes'; give true or false"),
        (
            {"float": [0.1, 1], "logs": True},
            "unknown key 'logs'; choose from float, log, step, when (did you mean 'log'?)",
        ),
        ({"float": [0, 1], "int": [0, 1]}, "give exactly one of float, int, choice"),
        ({"int": [1.5, 2]}, "got 1.5; give an integer"),
        ({"choice": []}, "give a list of at least one value"),
        ({"choice": [1, 1]}, "contains duplicates"),
        ({"choice": [[1], [2]]}, "give single values"),
        ({"choice": [1], "step": 1}, "unknown key 'step'"),
        ([1, 2], "give single values"),
        ({"choice": [1], "when": ["a"]}, "when: got ['a']; give {other path"),
        ({"choice": [1], "when": {"a": []}}, "when: a: got no values"),
    ],
)
def test_malformed_domain_is_an_error_with_its_path(spec: object, words: str) -> None:
    problem = problem_of(spec)
    assert problem.startswith(f"s.yaml: space: {LR}: ") and words in problem


def test_all_malformed_domains_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_space({"a": {"float": [1, 0]}, "b": {"choice": []}, "c": 3}, "s.yaml")
    assert len(caught.value.problems) == 2


# -- conditions ----------------------------------------------------------------------------------


def nested() -> Space:
    return parse_space(
        {
            "c": {"choice": [1], "when": {"b": [2, 3]}},  # listed before the parameter that it depends on
            "a": {"choice": ["on", "off"]},
            "b": {"int": [1, 3], "when": {"a": "on"}},
        },
        "f",
    )


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"a": "off"}, {"a"}),
        ({"a": "on", "b": 1}, {"a", "b"}),
        ({"a": "on", "b": 3}, {"a", "b", "c"}),
    ],
)
def test_parameter_exists_only_if_its_conditions_hold(chosen: dict[str, Value], expected: set[str]) -> None:
    assert nested().walk(lambda path, domain: chosen.get(path, domain.values[:1]), BASE).keys() == expected


@relaxed
@given(st.integers())
def test_samples_have_no_inactive_parameters(seed: int) -> None:
    point = nested().sample(random.Random(seed), BASE)
    assert ("b" in point) == (point["a"] == "on")
    assert ("c" in point) == (point.get("b") in (2, 3))


def test_condition_on_a_path_that_is_not_searched() -> None:
    space = parse_space({HEADS: {"choice": [2, 4], "when": {NAME: "lstm"}}}, "f")
    assert space.sample(random.Random(0), BASE) == {}
    lstm = build_config({"transformer": {"name": "lstm"}})
    assert space.sample(random.Random(0), lstm).keys() == {HEADS}


def test_circular_conditions_are_an_error_with_the_cycle() -> None:
    cycle = {"a": {"choice": [1], "when": {"b": 1}}, "b": {"choice": [1], "when": {"c": 1}}}
    with pytest.raises(ConfigError, match=r"a: circular conditions \(a -> b -> c -> a\)"):
        parse_space({**cycle, "c": {"choice": [1], "when": {"a": 1}}}, "f")
    assert "circular conditions (train_parameters.lr -> train_parameters.lr)" in problem_of(
        {"choice": [1], "when": {LR: 1}}
    )


def test_two_conditions_on_the_same_path_are_not_circular() -> None:
    both = {"b": {"choice": [1], "when": {"a": 1}}, "c": {"choice": [1], "when": {"a": 1, "b": 1}}}
    space = parse_space({**both, "a": {"choice": [1, 2]}}, "f")
    assert list(space.domains) == ["a", "b", "c"]


# -- against the base config ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "spec", "words"),
    [
        ("train_parameters.lrr", 0.1, "no 'lrr' in train_parameters"),
        ("heads.hamnosys.nose.loss_weight", 0.1, "no 'nose' in heads.hamnosys"),
        (DROPOUT, {"float": [0, 2]}, "transformer.dropout_rate: got 2.0; must be less than 1"),
        (LAYERS, {"float": [1, 4]}, "transformer.num_encoder_layers: got 1.0; must be an integer"),
        (HEADS, {"choice": [4, 7]}, "7 does not divide"),
        (DROPOUT, {"float": [0, 0.5], "when": {"transformer.nam": "x"}}, "no 'nam' in transformer"),
        (DROPOUT, {"float": [0, 0.5], "when": {LAYERS: "two"}}, "when: transformer.num_encoder_layers: got 'two'"),
    ],
)
def test_values_invalid_in_the_config_are_errors(path: str, spec: object, words: str) -> None:
    problem = problem_of(spec, path)
    assert words in problem and problem.startswith("space: ")


def test_condition_on_a_value_outside_the_space_is_an_error() -> None:
    space = parse_space({LAYERS: {"int": [1, 4]}, DROPOUT: {"float": [0, 0.5], "when": {LAYERS: [4, 5]}}}, "f")
    (problem,) = space_problems(space, BASE)
    assert f"{DROPOUT}: when: {LAYERS}: got 5, which is not in the space; choose from int 1 .. 4" in problem


def test_incompatible_combinations_are_errors() -> None:
    width = {"choice": [100, 128, 512]}
    space = parse_space({"feature_extractor.representation_size": width, HEADS: {"choice": [2, 4, 8]}}, "f")
    (problem,) = space_problems(space, BASE)
    assert "incompatible values" in problem and "8 does not divide feature_extractor.representation_size 100" in problem


def test_values_are_validated_where_their_conditions_hold() -> None:
    pooling = {"choice": ["mean", "attention"], "when": {NAME: ["lstm", "hubert_transformer"]}}
    space = parse_space({NAME: {"choice": ["fake_transformer", "lstm"]}, "transformer.pooling": pooling}, "f")
    base = build_config({"transformer": {"name": "fake_transformer"}})
    assert space_problems(space, base) == [
        "space: transformer.pooling: when: transformer.name: got 'hubert_transformer', "
        "which is not in the space; choose from fake_transformer | lstm"
    ]
    pooling["when"][NAME] = "lstm"
    space = parse_space({NAME: {"choice": ["fake_transformer", "lstm"]}, "transformer.pooling": pooling}, "f")
    assert space_problems(space, base) == []
    pooling["when"][NAME] = "fake_transformer"
    (problem,) = space_problems(parse_space({"transformer.pooling": pooling}, "f"), BASE)
    assert "transformer.pooling: got 'attention', but fake_transformer always takes the mean" in problem


def test_values_are_validated_where_nested_conditions_hold() -> None:
    space = parse_space(
        {
            NAME: {"choice": ["fake_transformer", "lstm"]},
            LAYERS: {"choice": [1, 2], "when": {NAME: "lstm"}},
            "transformer.pooling": {"choice": ["attention"], "when": {LAYERS: 1}},
        },
        "f",
    )
    assert space_problems(space, build_config({"transformer": {"name": "fake_transformer"}})) == []


# -- rules and validity ------------------------------------------------------------------

WIDTH = "feature_extractor.representation_size"
DIVIDES = [{"divides": [WIDTH, HEADS]}]


@pytest.mark.parametrize(
    ("widths", "heads"),
    [
        ({"choice": [64, 96]}, {"choice": [3, 4]}),  # 3 only with 96
        ({"choice": [70, 99]}, {"choice": [9, 10]}),  # neither value fits the base config
        ({"int": [60, 120], "step": 20}, {"int": [3, 7]}),  # 7 with none: bounds of a range may be unreachable
    ],
)
def test_a_value_is_valid_if_the_rules_allow_it_with_others(widths: dict, heads: dict) -> None:
    space = parse_space({WIDTH: widths, HEADS: heads}, "f", DIVIDES)
    assert space_problems(space, BASE) == []
    assert space_problems(parse_space({WIDTH: widths, HEADS: heads}, "f"), BASE), "without the rule it is not"
    rng = random.Random(0)
    assert all(point[WIDTH] % point[HEADS] == 0 for point in (space.sample(rng, BASE) for _ in range(50)))


def test_a_choice_that_the_rules_always_exclude_is_an_error() -> None:
    space = parse_space({WIDTH: {"choice": [64, 128]}, HEADS: {"choice": [3, 4]}}, "f", DIVIDES)
    (problem,) = space_problems(space, BASE)
    assert problem.startswith(f"space: {HEADS}: 3: excluded by the rules in every combination (divides: ")


def test_rules_that_no_point_satisfies_are_an_error_in_the_list() -> None:
    rules = [{"at_most": [WIDTH, "transformer.feedforward_size"]}]
    space = parse_space({WIDTH: {"choice": [512]}, "transformer.feedforward_size": {"choice": [64]}}, "f", rules)
    assert any("rules: none of" in problem for problem in space_problems(space, BASE))
