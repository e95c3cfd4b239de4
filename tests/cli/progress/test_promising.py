"""Which values the best trials share."""

import random

import pytest

from hearai.cli.progress.promising import promising_values


def trials(count: int, seed: int = 0) -> list[tuple[float, dict[str, object]]]:
    rng = random.Random(seed)
    return [
        (rng.random(), {"lr": rng.random(), "layers": rng.randint(1, 3), "name": rng.choice(["lstm", "gru"])})
        for _ in range(count)
    ]


def test_a_range_and_a_choice_of_the_best_are_named() -> None:
    found = [(-abs(params["lr"] - 0.5) + 0.2 * (params["name"] == "gru"), params) for _, params in trials(80)]
    text = promising_values(found)
    assert any(line.startswith(("lr 0.3", "lr 0.4")) for line in text), text
    assert any(line.startswith("name = gru") for line in text), text


def test_chance_is_rarely_named() -> None:
    assert sum(bool(promising_values(trials(40, seed))) for seed in range(100)) < 20, "at most one in ten expected"


@pytest.mark.parametrize("found", [[], trials(7), [(0.5, {})] * 20, [(0.5, {"lr": 0.1})] * 20])
def test_nothing_is_named_where_nothing_is_known(found: list) -> None:
    assert promising_values(found) == ()


def test_a_parameter_that_only_some_trials_have_is_left_out() -> None:
    found = [(i / 20, {"lr": 0.1} if i % 2 else {}) for i in range(20)]
    assert promising_values(found) == ()
