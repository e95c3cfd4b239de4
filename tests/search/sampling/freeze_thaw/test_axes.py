"""Values of one parameter as positions and coordinates."""

import numpy as np
import pytest

from hearai.config.search_space.domains import parse_domain
from hearai.search.sampling.freeze_thaw.axes import axis_of

DOMAINS = {
    "float": {"float": [-2.0, 3.0]},
    "log": {"float": [1e-6, 1e2], "log": True},
    "step": {"float": [0.0, 0.3], "step": 0.05},
    "uneven step": {"float": [0.0, 1.0], "step": 0.3},
    "int": {"int": [-3, 3]},
    "log int": {"int": [1, 12], "log": True},
    "wide log int": {"int": [16, 512], "log": True},
    "numbers": {"choice": [256, 64, 128]},
    "words": {"choice": ["a", "b", None, True, 1]},
    "bool": {"choice": [True, False]},
}


@pytest.mark.parametrize("name", DOMAINS)
def test_positions_are_values_of_the_domain_and_back(name: str) -> None:
    domain = parse_domain(DOMAINS[name])
    axis = axis_of(domain)
    for code in axis.codes(np.linspace(0, 1, 301)):
        value = axis.value(float(code))
        assert domain.contains(value)
        again = axis.codes(np.array([axis.position_of(value)]))
        assert again == pytest.approx(code) and axis.coordinates(again)[0] == pytest.approx(axis.coordinates_of(value))


@pytest.mark.parametrize("name", [name for name in DOMAINS if name not in ("float", "log", "wide log int")])
def test_every_discrete_value_can_be_drawn(name: str) -> None:
    domain = parse_domain(DOMAINS[name])
    axis = axis_of(domain)
    drawn = {repr(axis.value(float(code))) for code in np.round(axis.codes(np.linspace(0, 1, 2001)), 12)}
    assert len(drawn) == axis.count == len(domain.grid())


@pytest.mark.parametrize("name", DOMAINS)
def test_the_ends_of_an_ordered_domain_are_at_distance_one(name: str) -> None:
    domain = parse_domain(DOMAINS[name])
    axis = axis_of(domain)
    low, high = axis.coordinates(axis.codes(np.array([0.0, 1.0])))
    assert np.linalg.norm(high - low) == pytest.approx(1)


def test_unknown_values_are_between_the_known_ones() -> None:
    for name in DOMAINS:
        axis = axis_of(parse_domain(DOMAINS[name]))
        assert np.isfinite(axis.coordinates_of("no such value")).all() and 0 <= axis.position_of("no such value") <= 1
