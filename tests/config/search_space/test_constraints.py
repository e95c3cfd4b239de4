"""Tied choices, conditions on the values they set, and constraints on points."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hearai.config.study import Request, Study, load_study
from hearai.errors import ConfigError
from hearai.training.optim.freeze import FreezeSchedule

SPACE = """
config: {train_parameters: {classification_mode: gloss}, feature_extractor: {pretrained: false}}
space:
  backbone:
    choice:
      small: {feature_extractor.model_path: efficientnet_b1, feature_extractor.representation_size: 512}
      points:
        feature_extractor.name: gcn_extractor
        train_parameters.frames: false
        train_parameters.landmarks: true
  freeze:
    choice:
      always: {freeze_scheduler.model_params: {feature_extractor.backbone: [true]}}
      half:
        freeze_scheduler.model_params: {feature_extractor.backbone: [true, false]}
        freeze_scheduler.freeze_pattern_repeats: [10, 5]
    when: {backbone: small}
  transformer.num_encoder_layers: {int: [1, 3], when: {feature_extractor.name: gcn_extractor}}
  transformer.dropout_rate: {choice: [0.0, 0.1], when: {freeze: half}}
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Study]:
    """load(YAML, changes={...}) -> its study."""

    def make(text: str, **changes: Any) -> Study:
        (tmp_path / "tied.yaml").write_text(text)
        return load_study(Request(str(tmp_path / "tied.yaml"), changes=changes))

    return make


def problems_of(load: Callable[..., Study], text: str, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, **changes)
    return caught.value.problems


def test_option_sets_all_its_paths(load: Callable[..., Study]) -> None:
    study = load(SPACE)
    params = {"backbone": "points", "transformer.num_encoder_layers": 3}
    config = study.config_of(params, seed=4)
    assert (config.feature_extractor.name, config.train_parameters.landmarks) == ("gcn_extractor", True)
    assert not config.train_parameters.frames and config.transformer.num_encoder_layers == 3


def test_option_can_set_lists(load: Callable[..., Study]) -> None:
    config = load(SPACE).config_of({"backbone": "small", "freeze": "half", "transformer.dropout_rate": 0.0})
    schedule = FreezeSchedule.build(config.freeze_scheduler)
    assert [bool(schedule.frozen_parts(epoch)) for epoch in (0, 9, 10, 14, 15)] == [True, True, False, False, False]


def test_conditions_on_options_and_on_values_they_set(load: Callable[..., Study]) -> None:
    study, rng, seen = load(SPACE), random.Random(0), set()
    for _ in range(60):
        params = study.space.sample(rng, study.base)
        assert ("freeze" in params) == (params["backbone"] == "small")
        assert ("transformer.num_encoder_layers" in params) == (params["backbone"] == "points")
        assert ("transformer.dropout_rate" in params) == (params.get("freeze") == "half")
        study.config_of(params)
        seen.add((params["backbone"], params.get("freeze")))
    assert seen == {("small", "always"), ("small", "half"), ("points", None)}


def test_base_config_is_the_option_that_changes_nothing(load: Callable[..., Study]) -> None:
    study = load(SPACE)
    assert study.base_params() == {"backbone": "small", "freeze": "always"}
    assert study.config_of(study.base_params()) == study.base


@pytest.mark.heavy
def test_round_trip_of_a_study_with_tied_choices(load: Callable[..., Study]) -> None:
    study = load(SPACE)
    again = Study.from_dict(study.to_dict(), "study.yaml")
    assert again.space.domains == study.space.domains and again.to_dict() == study.to_dict()


def test_default_names_of_options(load: Callable[..., Study]) -> None:
    listed = """
space:
  size:
    choice:
      - {transformer.output_size: 64, transformer.feedforward_size: 128}
      - {transformer.output_size: 256, augmentations_parameters.apply_blur: true}
"""
    (domain,) = load(listed).space.domains.values()
    assert domain.values == ("output_size=64 feedforward_size=128", "output_size=256 apply_blur=true")
    assert str(domain) == "output_size=64 feedforward_size=128 | output_size=256 apply_blur=true"


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("a: {choice: {x: {transformer.nme: lstm}}}", "space: transformer.nme: no 'nme' in transformer"),
        ("a: {choice: {x: {transformer.name: lstmm}}}", "transformer.name: got 'lstmm'"),
        ("a: {choice: {x: {}}}", "space: a: choice: x: got {}; give {dotted path: value}"),
        ("a: {choice: [{transformer.name: lstm}, 3]}", "space: a: choice: 3: got 3; give {dotted path: value}"),
        ("a: {choice: [{transformer.name: lstm}, {transformer.name: lstm}]}", "two options are named 'name=lstm'"),
        ("a: {choice: {1: {transformer.name: lstm}}}", "key 1 is not a string; quote it"),
        ("transformer.name: {choice: {x: {transformer.name: lstm}}}", "needs a name of its own"),
        (
            "{a: {choice: {x: {transformer.name: lstm}}}, transformer.name: lstm}",
            "space: transformer.name: set by both a and transformer.name; keep one of them",
        ),
        (
            "{a: {choice: {x: {transformer.name: lstm}}}, train_parameters.lr: {choice: [0.1], when: {a: y}}}",
            "when: a: got 'y', which is not in the space; choose from x",
        ),
        (
            "{a: {choice: {x: {transformer.name: lstm}}},"
            " train_parameters.lr: {choice: [0.1], when: {transformer.name: hubert_transformer}}}",
            "when: transformer.name: got 'hubert_transformer', which no option of a sets",
        ),
        (
            "{a: {choice: {x: {transformer.name: lstm}}, when: {b: y}}, b: {choice: {y: {train_parameters.lr: 1}},"
            " when: {transformer.name: lstm}}}",
            "circular conditions",
        ),
        ("a: {choice: {x: {general_parameters.seed: 3}}}", "general_parameters.seed: must be the same in all trials"),
    ],
)
def test_invalid_tied_choice_is_an_error_with_its_path(load: Callable[..., Study], space: str, words: str) -> None:
    body = f"space: {space}" if space.startswith("{") else f"space:\n  {space}"
    problems = problems_of(load, body)
    assert any(words in problem for problem in problems), problems


def test_set_conflicts_with_a_tied_choice(load: Callable[..., Study]) -> None:
    (problem,) = problems_of(load, SPACE, **{"feature_extractor.model_path": "resnet18"})
    assert "--set feature_extractor.model_path: also set by a tied choice of the space" in problem


# -- constraints ----------------------------------------------------------------------------------------

CONSTRAINED = """
rules:
  - divides: [transformer.output_size, transformer.num_attention_heads]
  - at_most: [transformer.output_size, transformer.feedforward_size]
config: {transformer: {num_attention_heads: 4, output_size: 64, feedforward_size: 128}}
space:
  transformer.name: {choice: [sign_language_transformer, lstm]}
  transformer.output_size: {int: [60, 64]}
  transformer.feedforward_size: {choice: [62, 128]}
"""


def test_samples_satisfy_constraints_over_base_values(load: Callable[..., Study]) -> None:
    study, rng = load(CONSTRAINED), random.Random(0)
    found = {
        (params["transformer.output_size"], params["transformer.feedforward_size"])
        for params in (study.space.sample(rng, study.base) for _ in range(50))
    }
    assert found == {(60, 62), (60, 128), (64, 128)}


def test_violation_has_paths_and_values(load: Callable[..., Study]) -> None:
    study = load(CONSTRAINED)
    message = "divides: transformer.num_attention_heads (4) must divide transformer.output_size (62)"
    assert study.space.violation({"transformer.output_size": 62}, study.base) == message


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("[divides]", "rules: got 'divides'; give one of divides, at_most with two paths"),
        ("[{divide: [a, b]}]", "rules: divide: unknown rule; choose from at_most, divides (did you mean 'divides'?)"),
        ("[{divides: [transformer.output_size]}]", "give two dotted paths"),
        (
            "[{divides: [transformer.output_size, transformer.heads]}]",
            "rules: divides: transformer.heads: no 'heads' in",
        ),
        ("['transformer.output_size % 4 == 0']", "give one of divides, at_most"),
        (
            "[{divides: [transformer.output_size, transformer.num_encoder_layers]}]",
            "violated by the base config: divides: transformer.num_encoder_layers (3) must divide",
        ),
        ("[{at_most: [transformer.num_attention_heads, transformer.output_size]}]", None),
    ],
)
def test_invalid_constraint_is_an_error_at_load(load: Callable[..., Study], rules: str, words: str | None) -> None:
    body = f"config: {{transformer: {{num_encoder_layers: 3, output_size: 64}}}}\nrules: {rules}\n"
    body += "space: {transformer.num_attention_heads: {choice: [2, 4]}}"
    if words is None:
        load(body)
        return
    (problem,) = problems_of(load, body)
    assert words in problem


def test_unsatisfiable_constraints_are_an_error(load: Callable[..., Study]) -> None:
    text = "rules: [{at_most: [transformer.feedforward_size, transformer.output_size]}]\n"
    text += "config: {transformer: {num_attention_heads: 4, output_size: 64, feedforward_size: 32}}\n"
    text += "space: {transformer.output_size: {choice: [16, 24]}}"
    (problem,) = problems_of(load, text)
    assert "none of 1000 random points satisfies them" in problem
