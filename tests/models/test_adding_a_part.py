"""One entry in the table of model parts is all that a new feature extractor or sequence encoder needs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from hearai.benchmarks.model_comparison import EXTRACTOR_CASES
from hearai.config.model_parts import EXTRACTORS, SEQUENCE_ENCODERS, FeatureExtractorSpec, SequenceEncoderSpec
from hearai.config.options_page import options_page
from hearai.errors import ConfigError
from hearai.models.feature_extractors import Backbone
from hearai.models.pooling import masked_mean
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime

pytestmark = pytest.mark.training


def toy_backbone(model_path: str, pretrained: bool) -> Backbone:
    """The mean colour of an image, through a linear layer."""
    return Backbone(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5)), 5)


class ToyEncoder(nn.Module):
    """The mean of the frames through a linear layer with a non-linearity."""

    def __init__(self, input_size: int, *, output_size: int, **_: object):
        super().__init__()
        self.width = output_size
        self.output = nn.Linear(input_size, output_size)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        return self.output(masked_mean(x_BTD, mask_BT)).relu()


TOYS = {"feature_extractor.name": "toy_extractor", "transformer.name": "toy_encoder"}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry for each toy."""
    extractor = FeatureExtractorSpec(f"{__name__}:toy_backbone", "the mean colour")
    encoder = SequenceEncoderSpec(f"{__name__}:ToyEncoder", "a non-linear mean", uses_pooling=False)
    monkeypatch.setitem(EXTRACTORS, "toy_extractor", extractor)
    monkeypatch.setitem(SEQUENCE_ENCODERS, "toy_encoder", encoder)


def test_unknown_without_an_entry(make_config: Callable) -> None:
    for path, name in TOYS.items():
        with pytest.raises(ConfigError, match=f"{path}: got '{name}'; choose from "):
            make_config(None, {path: name})


@pytest.mark.usefixtures("toys")
def test_run_with_both_toys(make_config: Callable, tiny_dataset: Path, tmp_path: Path) -> None:
    config = make_config(tiny_dataset, {**TOYS, "train_parameters.epochs": 1, "freeze_scheduler.model_params": {}})
    result = fit(config, LocalRuntime("cpu", tmp_path / "run"))
    assert result.best_epoch == 1 and 0 <= result.best <= 1


@pytest.mark.usefixtures("toys")
def test_config_checks_what_the_entries_say(make_config: Callable) -> None:
    assert make_config(None, {**TOYS, "transformer.num_attention_heads": 3}), "the encoder has no attention heads"
    with pytest.raises(ConfigError, match="pooling: got 'attention', but toy_encoder always takes the mean"):
        make_config(None, {**TOYS, "transformer.pooling": "attention"})
    with pytest.raises(ConfigError, match="no published weights for toy_extractor"):
        make_config(None, {**TOYS, "feature_extractor.pretrained": True})


@pytest.mark.usefixtures("toys")
def test_options_page_lists_the_entries() -> None:
    page = options_page()
    assert "| `toy_extractor` | frames | the mean colour |" in page and "| `toy_encoder` | a non-linear mean |" in page
    assert "`points`, `toy_extractor`" in page and "`fake_transformer`, `toy_encoder`" in page


def test_benchmark_has_a_case_for_every_extractor() -> None:
    names = {changes.get("feature_extractor.name") for changes in EXTRACTOR_CASES.values()}
    assert names >= EXTRACTORS.keys() - {"multi_frame_feature_extractor"}
