"""Training options can be set in YAML and searched."""

import random
from pathlib import Path

import pytest

from hearai.config.config import build_config, load_config
from hearai.config.overrides import get_path, override
from hearai.config.search_space.space import parse_space
from hearai.config.search_space.space_check import space_problems
from hearai.errors import ConfigError

SEARCHED = {
    "train_parameters.lr_schedule": ["multiply", "one_cycle"],
    "train_parameters.class_weights": ["none", "balanced"],
    "train_parameters.gradient_accumulation": [1, 3],
    "train_parameters.compile": [True, False],
}


@pytest.mark.parametrize("path", SEARCHED)
def test_training_option_is_read_from_yaml_and_searched(tmp_path: Path, path: str) -> None:
    section, key = path.split(".")
    for value in SEARCHED[path]:
        text = str(value).lower() if isinstance(value, bool) else value
        (tmp_path / "run.yml").write_text(f"{section}: {{{key}: {text}}}\n")
        assert get_path(load_config(tmp_path / "run.yml"), path) == value
    space, base = parse_space({path: {"choice": SEARCHED[path]}}, "space.yml"), build_config({})
    assert not space_problems(space, base)
    drawn = {get_path(override(base, space.sample(random.Random(seed), base)), path) for seed in range(20)}
    assert drawn == set(SEARCHED[path])


@pytest.mark.parametrize("value", [True, False, "sqlite:///own.db"])
def test_mlflow_option_is_read_from_yaml(tmp_path: Path, value: bool | str) -> None:
    (tmp_path / "run.yml").write_text(f"general_parameters: {{mlflow: {str(value).lower()}}}\n")
    assert load_config(tmp_path / "run.yml").general_parameters.mlflow == value


def test_invalid_values_are_errors_with_the_allowed_ones() -> None:
    wrong = {"lr_schedule": "linear", "class_weights": "heavy", "gradient_accumulation": 0, "compile": 2}
    with pytest.raises(ConfigError) as caught:
        build_config({"train_parameters": wrong})
    assert len(caught.value.problems) == len(wrong)
    assert any("'multiply' or 'one_cycle'" in problem for problem in caught.value.problems)
