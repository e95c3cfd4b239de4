"""Every shipped search space loads and gives valid configs, on demo data and on other data."""

import random
from pathlib import Path

import pytest

from hearai.config.config import build_config, to_dict
from hearai.config.study import SPACES, Request, Study, load_study

SHIPPED = sorted(path.stem for path in SPACES.glob("*.yaml"))


@pytest.fixture(params=[(), ("some/folder",)], ids=["demo", "other data"])
def data_paths(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


@pytest.mark.heavy
@pytest.mark.parametrize("space", SHIPPED)
def test_200_samples_give_valid_configs(space: str, data_paths: tuple[str, ...]) -> None:
    study, rng = load_study(Request(space, data_paths=data_paths)), random.Random(0)
    for _ in range(200):
        params = study.space.sample(rng, study.base)
        assert all(study.space.domains[path].contains(value) for path, value in params.items())
        config = study.config_of(params, seed=7)
        assert build_config(to_dict(config)) == config
        assert config.general_parameters.seed == 7
        assert config.train_parameters.classification_mode == study.base.train_parameters.classification_mode


@pytest.mark.heavy
@pytest.mark.parametrize("space", SHIPPED)
def test_base_config_is_a_point_of_its_space(space: str, data_paths: tuple[str, ...]) -> None:
    study = load_study(Request(space, data_paths=data_paths))
    assert study.config_of(study.base_params()) == study.base
    always = {path for path, domain in study.space.domains.items() if not domain.when}
    assert always <= study.base_params().keys(), "the first trial has a value for every unconditional parameter"


@pytest.mark.heavy
@pytest.mark.parametrize("space", SHIPPED)
def test_study_round_trip(space: str, data_paths: tuple[str, ...]) -> None:
    study = load_study(Request(space, data_paths=data_paths))
    again = Study.from_dict(study.to_dict(), "study.yaml")
    assert again.to_dict() == study.to_dict()
    assert again.base == study.base and again.space.domains == study.space.domains


@pytest.mark.heavy
def test_each_space_has_a_description_and_a_comment() -> None:
    assert SHIPPED == ["architecture", "gloss", "hamnosys", "hamnosys_finetune", "landmarks", "pareto", "smoke"]
    for space in SHIPPED:
        text = (Path(SPACES) / f"{space}.yaml").read_text()
        assert load_study(Request(space)).settings.description and text.startswith("# ")
