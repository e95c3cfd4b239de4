"""Configs sampled from every shipped search space, and from one over all sequence encoders, build a model."""

import functools
import pkgutil
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from hearai.config.config import Config
from hearai.config.model_parts import EXTRACTORS, SEQUENCE_ENCODERS
from hearai.config.model_schema import Transformer
from hearai.config.overrides import override
from hearai.config.search_space.space_check import space_problems
from hearai.config.study import SPACES, Request, Study, load_study
from hearai.errors import ConfigError
from hearai.models.model import build_model

OTHER_DATA = ("some/folder",)


@pytest.fixture(autouse=True)
def cached_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds each backbone once per test, which is most of the work."""
    for build in {spec.build for spec in EXTRACTORS.values()}:
        monkeypatch.setattr(build.replace(":", "."), functools.cache(pkgutil.resolve_name(build)))


@pytest.mark.heavy
@pytest.mark.parametrize("data_paths", [(), OTHER_DATA], ids=["demo", "other data"])
@pytest.mark.parametrize("space", sorted(path.stem for path in SPACES.glob("*.yaml")))
def test_200_samples_build_a_model_with_all_heads(space: str, data_paths: tuple[str, ...]) -> None:
    study = load_study(Request(space, data_paths=data_paths))
    rng, built = random.Random(0), set()
    for _ in range(200):
        config = study.config_of(study.space.sample(rng, study.base))
        if parts := parts_of(config) - built:  # a combination of tested parts needs no test
            built |= parts
            check_model(config)


def parts_of(config: Config) -> set[tuple]:
    """The extractor with its inputs, and each option of the sequence encoder with its name and input width."""
    extractor, train, encoder = config.feature_extractor, config.train_parameters, config.transformer
    options = encoder.model_dump(exclude={"dropout_rate"}).items()  # dropout has no influence on shapes
    return {
        (extractor, train.landmarks, train.frames),
        *((encoder.name, extractor.representation_size, option, repr(value)) for option, value in options),
    }


def check_model(config: Config) -> None:
    """The model of a config can be built, and each head has logits for its classes."""
    classes = {
        head: 7 if parameters.num_class == "auto" else parameters.num_class
        for head, parameters in config.active_heads.items()
    }
    model = build_model(config, classes).eval()
    features_BTW = torch.zeros(2, 3, model.feature_extractor.backbone_width)
    with torch.no_grad():
        logits = model({"features": features_BTW}, torch.ones(2, 3, dtype=torch.bool))
    assert {head: logit.shape[-1] for head, logit in logits.items()} == classes


POOLED = [name for name, spec in SEQUENCE_ENCODERS.items() if spec.uses_pooling]
WITH_ATTENTION = [name for name, spec in SEQUENCE_ENCODERS.items() if spec.uses_attention_heads]
ALL_ENCODERS = f"""
config:
  train_parameters: {{classification_mode: gloss}}
  feature_extractor: {{model_path: test_efficientnet, representation_size: 64, pretrained: false}}
  transformer: {{feedforward_size: 128, num_attention_heads: 4, num_encoder_layers: 1, output_size: 64}}
space:
  transformer.name: {{choice: [{", ".join(SEQUENCE_ENCODERS)}]}}
  transformer.pooling: {{choice: [mean, attention], when: {{transformer.name: [{", ".join(POOLED)}]}}}}
  transformer.num_attention_heads: {{choice: [2, 4, 8], when: {{transformer.name: [{", ".join(WITH_ATTENTION)}]}}}}
  transformer.num_encoder_layers: {{int: [1, 3], when: {{transformer.name: [{", ".join(POOLED)}]}}}}
  transformer.feedforward_size: {{int: [64, 256], when: {{transformer.name: [{", ".join(POOLED)}]}}}}
  transformer.dropout_rate: {{float: [0.0, 0.5], when: {{transformer.name: [{", ".join(POOLED)}]}}}}
  transformer.kernel_size: {{int: [1, 17], when: {{transformer.name: conv1d_transformer}}}}
  transformer.late_dropout_rate: {{float: [0.0, 0.8], when: {{transformer.name: conv1d_transformer}}}}
  transformer.late_dropout_after: {{int: [0, 100], when: {{transformer.name: conv1d_transformer}}}}
  transformer.output_size: {{choice: [32, 64]}}
  feature_extractor.representation_size: {{choice: [64, 96]}}
"""


@pytest.fixture
def all_encoders(tmp_path: Path) -> Callable[..., Study]:
    """all_encoders(name) -> the study over all sequence encoders, with that one in the base config."""

    def load(name: str = "sign_language_transformer") -> Study:
        (tmp_path / "all.yaml").write_text(ALL_ENCODERS)
        return load_study(Request(str(tmp_path / "all.yaml"), settings={"config": {"transformer": {"name": name}}}))

    return load


@pytest.mark.heavy
def test_50_samples_over_all_encoders_build_a_model(all_encoders: Callable[..., Study]) -> None:
    study, rng, seen = all_encoders(), random.Random(0), set()
    for _ in range(50):
        params = study.space.sample(rng, study.base)
        config = study.config_of(params)
        name = config.transformer.name
        assert ("transformer.pooling" in params) == (name in POOLED)
        assert ("transformer.num_attention_heads" in params) == (name in WITH_ATTENTION)
        check_model(config)
        seen.add((name, config.transformer.pooling))
    both = {(name, pooling) for name in SEQUENCE_ENCODERS for pooling in ("mean", "attention")}
    assert seen == both - {("fake_transformer", "attention")}


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(SEQUENCE_ENCODERS))
def test_any_encoder_can_be_the_base_config(name: str, all_encoders: Callable[..., Study]) -> None:
    study = all_encoders(name)
    params = study.base_params()
    assert params["transformer.name"] == name and study.config_of(params) == study.base
    always = {path for path, domain in study.space.domains.items() if not domain.when}
    assert (params.keys() == always) == (name == "fake_transformer")


def test_all_options_of_encoders_are_searched() -> None:
    searched = {path for path in yaml.safe_load(ALL_ENCODERS)["space"] if path.startswith("transformer.")}
    assert searched == {f"transformer.{field}" for field in Transformer.model_fields} - {"transformer.kwargs"}


ALL_EXTRACTORS = """
config:
  train_parameters: {classification_mode: gloss}
  feature_extractor: {model_path: test_efficientnet, representation_size: 16, pretrained: false}
  transformer: {feedforward_size: 16, num_attention_heads: 2, num_encoder_layers: 1, output_size: 16}
space:
  feature_extractor.name: {choice: [cnn_extractor, resnet50_extractor, video_resnet, gcn_extractor]}
  train_parameters.frames: {choice: [false], when: {feature_extractor.name: gcn_extractor}}
  train_parameters.landmarks: {choice: [true], when: {feature_extractor.name: gcn_extractor}}
"""


@pytest.mark.heavy
def test_search_over_extractors_with_different_inputs(tmp_path: Path) -> None:
    (tmp_path / "inputs.yaml").write_text(ALL_EXTRACTORS)
    study = load_study(Request(str(tmp_path / "inputs.yaml"), data_paths=OTHER_DATA))
    rng, seen = random.Random(0), set()
    for _ in range(20):
        config = study.config_of(study.space.sample(rng, study.base))
        check_model(config)
        train = config.train_parameters
        seen.add((config.feature_extractor.name, train.frames, train.landmarks))
    assert {(name, frames) for name, frames, _ in seen} == {
        ("cnn_extractor", True),
        ("resnet50_extractor", True),
        ("video_resnet", True),
        ("gcn_extractor", False),
    }
    assert study.base_params() == {"feature_extractor.name": "cnn_extractor"}


def test_extractor_without_its_input_is_an_error(tmp_path: Path) -> None:
    incomplete = "\n".join(line for line in ALL_EXTRACTORS.splitlines() if "landmarks:" not in line)
    (tmp_path / "inputs.yaml").write_text(incomplete)
    with pytest.raises(ConfigError, match="frames and landmarks are both false"):
        load_study(Request(str(tmp_path / "inputs.yaml"), data_paths=OTHER_DATA))


@pytest.mark.heavy
def test_published_weights_of_an_extractor_without_any(tmp_path: Path) -> None:
    (tmp_path / "inputs.yaml").write_text(ALL_EXTRACTORS)
    study = load_study(Request(str(tmp_path / "inputs.yaml"), data_paths=OTHER_DATA))
    with_weights = override(study.base, {"feature_extractor.pretrained": True})
    assert any(
        "there are no published weights for gcn_extractor" in problem
        for problem in space_problems(study.space, with_weights)
    )
    (tmp_path / "inputs.yaml").write_text(
        ALL_EXTRACTORS
        + "  feature_extractor.pretrained: {choice: [false], when: {feature_extractor.name: gcn_extractor}}\n"
    )
    study = load_study(Request(str(tmp_path / "inputs.yaml"), data_paths=OTHER_DATA))
    assert space_problems(study.space, with_weights) == []
