"""Every shipped search space, and one over all sequence encoders, samples configs that build a model."""

import functools
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import yaml

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.config.schema import Transformer
from hearai.config.study import SPACES, Request, Study, load_study
from hearai.errors import ConfigError
from hearai.models.model import build_model
from hearai.models.sequence_encoders import TRANSFORMERS

OWN_DATA = ("some/folder",)


@pytest.mark.parametrize("data_paths", [(), OWN_DATA], ids=["demo", "own data"])
@pytest.mark.parametrize("space", sorted(path.stem for path in SPACES.glob("*.yaml")))
def test_each_of_200_sampled_configs_builds_a_model_whose_heads_answer(
    space: str, data_paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timm, "create_model", functools.cache(timm.create_model))  # most of the time goes there
    study = load_study(Request(space, data_paths=data_paths))
    rng, built = random.Random(0), set()
    for _ in range(200):
        config = study.config_of(study.space.sample(rng, study.base))
        if parts := parts_of(config) - built:  # a model of two parts that are known from other models is known
            built |= parts
            assert_model_answers(config)


def parts_of(config: Config) -> set[str]:
    """The extractor and the sequence encoder with what joins them: vectors of `representation_size`."""
    alike = override(config, {"transformer.dropout_rate": 0.0})
    extractor, train = alike.feature_extractor, alike.train_parameters
    return {
        repr((extractor, train.landmarks, train.frames)),
        repr((alike.transformer, extractor.representation_size)),
    }


def assert_model_answers(config: Config) -> None:
    """The config's model builds, and each of its heads gives its classes."""
    classes = {
        head: 7 if parameters.num_class == "auto" else parameters.num_class
        for head, parameters in config.active_heads.items()
    }
    with torch.device("meta"):  # shapes without numbers: built and run in no time
        model = build_model(config, classes).eval()
        features_BTW = torch.zeros(2, 3, model.feature_extractor.backbone_width)
        logits = model({"features": features_BTW}, torch.ones(2, 3, dtype=torch.bool))
    assert {head: logit.shape[-1] for head, logit in logits.items()} == classes


ALL_TRANSFORMERS = """
config:
  train_parameters: {classification_mode: gloss}
  feature_extractor: {model_path: test_efficientnet, representation_size: 64, pretrained: false}
  transformer: {feedforward_size: 128, num_attention_heads: 4, num_encoder_layers: 1, output_size: 64}
space:
  transformer.name:
    choice: [sign_language_transformer, sign_language_cnn_transformer, hubert_transformer, lstm, fake_transformer]
  transformer.pooling:
    choice: [mean, attention]
    when: {transformer.name: [sign_language_transformer, sign_language_cnn_transformer, hubert_transformer, lstm]}
  transformer.num_attention_heads:
    choice: [2, 4, 8]
    when: {transformer.name: [sign_language_transformer, sign_language_cnn_transformer, hubert_transformer]}
  transformer.num_encoder_layers:
    int: [1, 3]
    when: {transformer.name: [sign_language_transformer, sign_language_cnn_transformer, hubert_transformer, lstm]}
  transformer.feedforward_size:
    int: [64, 256]
    when: {transformer.name: [sign_language_transformer, sign_language_cnn_transformer, hubert_transformer, lstm]}
  transformer.dropout_rate:
    float: [0.0, 0.5]
    when: {transformer.name: [sign_language_transformer, sign_language_cnn_transformer, hubert_transformer, lstm]}
  transformer.output_size: {choice: [32, 64]}
  feature_extractor.representation_size: {choice: [64, 96]}
"""


@pytest.fixture
def over_all(tmp_path: Path) -> Callable[..., Study]:
    """over_all(name) -> the study over all transformers whose base config has that one."""

    def load(name: str = "sign_language_transformer") -> Study:
        (tmp_path / "all.yaml").write_text(ALL_TRANSFORMERS)
        return load_study(Request(str(tmp_path / "all.yaml"), settings={"config": {"transformer": {"name": name}}}))

    return load


def test_fifty_configs_over_all_transformers_build_a_model_whose_heads_answer(over_all: Callable[..., Study]) -> None:
    study, rng, seen = over_all(), random.Random(0), set()
    for _ in range(50):
        params = study.space.sample(rng, study.base)
        config = study.config_of(params)
        name = config.transformer.name
        assert ("transformer.pooling" in params) == (name != "fake_transformer")
        assert ("transformer.num_attention_heads" in params) == (name not in ("lstm", "fake_transformer"))
        assert_model_answers(config)
        seen.add((name, config.transformer.pooling))
    both = {(name, pooling) for name in TRANSFORMERS for pooling in ("mean", "attention")}
    assert seen == both - {("fake_transformer", "attention")}


@pytest.mark.parametrize("name", sorted(TRANSFORMERS))
def test_any_transformer_may_be_the_base_of_a_search_over_all(name: str, over_all: Callable[..., Study]) -> None:
    study = over_all(name)
    params = study.base_params()
    assert params["transformer.name"] == name and study.config_of(params) == study.base
    always = {path for path, domain in study.space.domains.items() if not domain.when}
    assert (params.keys() == always) == (name == "fake_transformer")


def test_what_is_searched_of_transformers_is_everything() -> None:
    searched = {path for path in yaml.safe_load(ALL_TRANSFORMERS)["space"] if path.startswith("transformer.")}
    assert searched == {f"transformer.{field}" for field in Transformer.model_fields}


ALL_INPUTS = """
config:
  train_parameters: {classification_mode: gloss}
  feature_extractor: {model_path: test_efficientnet, representation_size: 16, pretrained: false}
  transformer: {feedforward_size: 16, num_attention_heads: 2, num_encoder_layers: 1, output_size: 16}
space:
  feature_extractor.name: {choice: [cnn_extractor, resnet50_extractor, video_resnet, gcn_extractor]}
  train_parameters.frames: {choice: [false], when: {feature_extractor.name: gcn_extractor}}
  train_parameters.landmarks: {choice: [true], when: {feature_extractor.name: gcn_extractor}}
"""


def test_extractors_of_pictures_clips_and_landmarks_can_be_searched_together(tmp_path: Path) -> None:
    (tmp_path / "inputs.yaml").write_text(ALL_INPUTS)
    study = load_study(Request(str(tmp_path / "inputs.yaml"), data_paths=OWN_DATA))
    rng, seen = random.Random(0), set()
    for _ in range(20):
        config = study.config_of(study.space.sample(rng, study.base))
        assert_model_answers(config)
        train = config.train_parameters
        seen.add((config.feature_extractor.name, train.frames, train.landmarks))
    assert {(name, frames) for name, frames, _ in seen} == {
        ("cnn_extractor", True),
        ("resnet50_extractor", True),
        ("video_resnet", True),
        ("gcn_extractor", False),
    }
    assert study.base_params() == {"feature_extractor.name": "cnn_extractor"}


def test_an_extractor_without_its_input_is_refused_before_the_search(tmp_path: Path) -> None:
    alone = "\n".join(line for line in ALL_INPUTS.splitlines() if "landmarks:" not in line)
    (tmp_path / "inputs.yaml").write_text(alone)
    with pytest.raises(ConfigError, match="frames and landmarks are both false"):
        load_study(Request(str(tmp_path / "inputs.yaml"), data_paths=OWN_DATA))


def test_published_weights_are_not_asked_of_an_extractor_that_has_none(tmp_path: Path) -> None:
    (tmp_path / "inputs.yaml").write_text(ALL_INPUTS)
    study = load_study(Request(str(tmp_path / "inputs.yaml"), data_paths=OWN_DATA))
    found_weights = override(study.base, {"feature_extractor.pretrained": True})
    assert any(
        "nobody publishes weights of gcn_extractor" in problem for problem in study.space.problems(found_weights)
    )
    (tmp_path / "inputs.yaml").write_text(
        ALL_INPUTS
        + "  feature_extractor.pretrained: {choice: [false], when: {feature_extractor.name: gcn_extractor}}\n"
    )
    study = load_study(Request(str(tmp_path / "inputs.yaml"), data_paths=OWN_DATA))
    assert study.space.problems(found_weights) == []
