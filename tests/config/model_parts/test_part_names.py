"""Names of parts in a config, of the user's own and of installed packages; keyword arguments in a search space."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearai.config.config import build_config, to_dict
from hearai.config.model_parts import EXTRACTORS, part_names
from hearai.config.model_parts.load_part import load_class
from hearai.config.model_parts.part_names import EXTRACTOR, collision, is_own_name
from hearai.config.overrides import override
from hearai.config.search_space.space import parse_space
from hearai.config.search_space.space_check import corner_points, space_problems
from hearai.errors import ConfigError
from tests.helpers.text_files import write_text

OWN = {"feature_extractor": {"name": "mine:Wave", "kwargs": {"width": 8, "sizes": [1, 2], "rate": "1e-4"}}}


@pytest.mark.parametrize(
    ("name", "is_own"),
    [("a:B", True), ("a.b_1.c:D", True), ("points", False), ("a:", False), ("a:b.c", False), ("../a:B", False)],
)
def test_form_of_an_own_name(name: str, is_own: bool) -> None:
    assert is_own_name(name) == is_own


def test_config_with_own_parts_needs_no_code_to_be_read() -> None:
    config = build_config(OWN)
    assert config.feature_extractor.kwargs == {"width": 8, "sizes": (1, 2), "rate": 1e-4}
    assert build_config(to_dict(config)) == config
    changed = override(config, {"feature_extractor.kwargs.width": 16, "feature_extractor.kwargs.depth": 2})
    assert changed.feature_extractor.kwargs == {"width": 16, "sizes": (1, 2), "rate": 1e-4, "depth": 2}


def test_another_part_starts_without_the_keyword_arguments() -> None:
    assert override(build_config(OWN), {"feature_extractor.name": "resnet50_extractor"}).feature_extractor.kwargs == {}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"name": "wave"}, "choose from .*, or name your own as module:Class"),
        ({"kwargs": {"width": 8}}, "cnn_extractor takes none"),
        ({"name": "a:B", "kwargs": {"a b": 1}}, "got the name 'a b'"),
        ({"name": "a:B", "kwargs": {"a": {"b": 1}}}, "a: got {'b': 1}; must be a finite number"),
        ({"name": "a:B", "kwargs": {"a": float("inf")}}, "a: got inf"),
        ({"name": "a:B", "kwargs": {"a": [[1]]}}, "must be a finite number, a text"),
        ({"name": "a:B", "kwargs": 3}, "got 3; must be a mapping"),
        ({"name": "a:B", "pretrained": True}, "no published weights for a:B"),
    ],
)
def test_wrong_names_and_keyword_arguments_are_refused(section: dict, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        build_config({"feature_extractor": section})


def test_keyword_arguments_are_searched_by_dotted_path() -> None:
    space = {
        "feature_extractor.name": {"choice": ["cnn_extractor", "mine:Wave"]},
        "feature_extractor.kwargs.width": {"int": [4, 8], "when": {"feature_extractor.name": "mine:Wave"}},
        "feature_extractor.kwargs.sizes": {"choice": [[1], [2, 3]], "when": {"feature_extractor.name": "mine:Wave"}},
        "train_parameters.loss_kwargs.gamma": {"float": [0, 2]},
    }
    base = build_config({"train_parameters": {"loss": "mine:Focal"}})
    parsed = parse_space(space, "space")
    assert space_problems(parsed, base) == []
    points = [override(base, parsed.expand(point)) for point in corner_points(parsed, base)]
    assert {4, 8} <= {config.feature_extractor.kwargs.get("width") for config in points}
    assert (2, 3) in [config.feature_extractor.kwargs.get("sizes") for config in points]
    assert space_problems(parsed, build_config({})), "cross_entropy takes no gamma"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with two extractors, one of which has a name of ours."""
    write_text(tmp_path / "wave_package.py", "class Wave: pass")
    write_text(tmp_path / "waves-1.0.dist-info" / "METADATA", "Metadata-Version: 2.1\nName: waves\nVersion: 1.0\n")
    entries = "[hearai.feature_extractors]\nwave = wave_package:Wave\npoints = wave_package:Wave\n"
    write_text(tmp_path / "waves-1.0.dist-info" / "entry_points.txt", entries)
    monkeypatch.syspath_prepend(str(tmp_path))
    for cached in (part_names._entry_points, part_names.installed_parts):
        cached.cache_clear()
    yield
    for cached in (part_names._entry_points, part_names.installed_parts):
        cached.cache_clear()
    sys.modules.pop("wave_package", None)


@pytest.mark.usefixtures("package")
def test_parts_of_installed_packages_have_plain_names() -> None:
    assert build_config({"feature_extractor": {"name": "wave", "kwargs": {"a": 1}}}).feature_extractor.spec.is_own
    assert load_class(EXTRACTOR, "wave").__name__ == "Wave"
    with pytest.raises(ConfigError, match="choose from .*wave"):
        build_config({"feature_extractor": {"name": "waves"}})


@pytest.mark.usefixtures("package")
def test_a_name_that_two_offer_is_refused() -> None:
    assert collision(EXTRACTOR, "wave", EXTRACTORS) is None
    clash = collision(EXTRACTOR, "points", EXTRACTORS)
    assert clash and "'points' is offered by the package waves (wave_package:Wave) and by hearai" in clash
