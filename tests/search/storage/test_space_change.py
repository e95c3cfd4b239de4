"""How the space of a study may change while it continues."""

from collections.abc import Mapping
from typing import Any

import pytest

from hearai.config.search_space.space import parse_space
from hearai.search.storage.space_change import compare_spaces, is_in_space

LR, LAYERS, DROPOUT = "train_parameters.lr", "transformer.num_encoder_layers", "transformer.dropout_rate"
NAME = "transformer.name"
LOG = {"float": [1e-3, 1e-2], "log": True}
TIED = {"small": {"transformer.output_size": 16}, "large": {"transformer.output_size": 64}}


def change(before: Any, now: Any, name: str = "p") -> tuple[list[str], list[str]]:
    """(lines, refusals) for one parameter."""
    found = compare_spaces(parse_space({name: before}, "before"), parse_space({name: now}, "now"))
    return list(found.lines), list(found.refused)


@pytest.mark.parametrize(
    ("before", "now", "line"),
    [
        (LOG, {**LOG, "float": [1e-3, 2e-2]}, "widened: p float 0.001 .. 0.02, log (was 0.001 .. 0.01)"),
        ({"float": [0, 0.5]}, {"float": [-1, 0.5]}, "widened: p float -1 .. 0.5 (was 0 .. 0.5)"),
        ({"int": [1, 4]}, {"int": [1, 6]}, "widened: p int 1 .. 6 (was 1 .. 4)"),
        (
            {"int": [2, 8], "step": 2},
            {"int": [0, 12], "step": 2},
            "widened: p int 0 .. 12, step 2 (was 2 .. 8, step 2)",
        ),
        ({"float": [0, 0.3], "step": 0.1}, {"float": [0, 0.3], "step": 0.05}, "widened: p float 0 .. 0.3, step 0.05"),
        ({"float": [0, 0.3], "step": 0.1}, {"float": [0, 0.3]}, "widened: p float 0 .. 0.3 (was 0 .. 0.3, step 0.1)"),
        ({"choice": ["a", "b"]}, {"choice": ["b", "c", "a"]}, "widened: p choice b | c | a (was a | b)"),
        ({"choice": ["a", "b"]}, "b", "narrowed: p choice b (was a | b)"),
        ({"choice": ["a", "b"]}, {"choice": ["b", "c"]}, "changed: p choice b | c (was a | b)"),
        (LOG, {**LOG, "float": [2e-3, 5e-3]}, "narrowed: p float 0.002 .. 0.005, log (was 0.001 .. 0.01)"),
        (LOG, {**LOG, "float": [2e-3, 5e-2]}, "changed: p float 0.002 .. 0.05, log (was 0.001 .. 0.01)"),
        ({"choice": TIED}, {"choice": {"new": {"x.y": 1}, **TIED}}, "widened: p choice new | small | large (was small"),
        (
            {"int": [1, 4], "when": {NAME: ["a", "b"]}},
            {"int": [1, 5], "when": {NAME: ["b", "a"]}},
            "widened: p int 1 .. 5 (was 1 .. 4)",
        ),
    ],
)
def test_ranges_and_choices_may_change(before: Any, now: Any, line: str) -> None:
    (found,), refused = change(before, now)
    assert found.startswith(f"space {line}") and refused == []


def test_the_order_of_choices_is_no_change() -> None:
    assert change({"choice": ["a", "b"]}, {"choice": ["b", "a"]}) == ([], [])


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        ({"float": [1, 4]}, {"int": [1, 4]}, "another kind (float, now int)"),
        ({"choice": ["small", "large"]}, {"choice": TIED}, "another kind (choice, now tied choice)"),
        (LOG, {"float": [1e-3, 1e-1]}, "another scale (`log`)"),
        ({"int": [1, 9], "step": 2}, {"int": [0, 12], "step": 2}, "another step"),
        ({"float": [0, 0.3], "step": 0.05}, {"float": [0, 0.3], "step": 0.1}, "another step"),
        ({"float": [0, 0.3]}, {"float": [0, 0.3], "step": 0.1}, "another step"),
        ({"int": [1, 4]}, {"int": [1, 5], "when": {NAME: "a"}}, "another condition (`when`)"),
        ({"int": [1, 4], "when": {NAME: True}}, {"int": [1, 4], "when": {NAME: 1}}, "another condition (`when`)"),
        ({"choice": TIED}, {"choice": {**TIED, "small": {"transformer.output_size": 8}}}, "the option small sets"),
        ({"choice": [True, False]}, {"choice": [1, 0]}, "no value in common"),
        (LOG, {**LOG, "float": [2e-2, 3e-2]}, "no value in common"),
    ],
)
def test_another_parameter_is_refused(before: Any, now: Any, reason: str) -> None:
    lines, (refused,) = change(before, now)
    assert lines == [] and refused.startswith(f"space.p: {reason}")


def test_all_refusals_are_listed() -> None:
    before = parse_space({LR: LOG, LAYERS: {"int": [1, 4]}, "a": 1}, "before")
    now = parse_space({LR: {"float": [1e-3, 1.0]}, LAYERS: {"int": [1, 5]}, DROPOUT: {"float": [0, 1]}}, "now")
    assert compare_spaces(before, now).refused == (
        f"space.{LR}: another scale (`log`)",
        "space.a: the parameter was removed",
        f"space.{DROPOUT}: the parameter was added",
    )


@pytest.mark.parametrize(
    ("params", "inside"), [({LR: 5e-3}, True), ({}, True), ({LR: 0.1}, False), ({LR: 5e-3, LAYERS: 1}, False)]
)
def test_points_inside_and_outside(params: Mapping[str, Any], inside: bool) -> None:
    assert is_in_space(parse_space({LR: LOG}, "space"), params) == inside
