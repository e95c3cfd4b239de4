"""Properties of `conv1d_transformer` alone; those of all encoders are in test_sequence_encoders.py."""

from collections.abc import Callable

import pytest
import torch

from hearai.config.model_parts import EXTRACTORS
from hearai.errors import ConfigError
from hearai.models.conv1d_transformer import Conv1dTransformer, DepthwiseBlock, LateDropout

SIZES = {"feedforward_size": 16, "num_attention_heads": 2, "output_size": 5}


def build(layers: int = 1, **values) -> Conv1dTransformer:
    torch.manual_seed(0)
    return Conv1dTransformer(8, num_encoder_layers=layers, dropout_rate=0.0, **SIZES, **values)


def test_each_layer_has_three_convolutions_and_attention():
    kinds = [type(layer).__name__ for layer in build(2).layers]
    assert kinds == [*["DepthwiseBlock"] * 3, "TransformerEncoderLayer"] * 2


def test_a_convolution_looks_back_over_its_kernel():
    torch.manual_seed(0)
    block, mask_BT = DepthwiseBlock(4, 8, 3, 0.0), torch.ones(1, 9, dtype=torch.bool)
    torch.nn.init.zeros_(block.gate.weight)  # the gate sees all frames
    x_BTD = torch.randn(1, 9, 4)
    other = x_BTD.clone()
    other[0, 4] += 1
    changed_T = (block(x_BTD, ~mask_BT) - block(other, ~mask_BT)).abs().amax(-1)[0] > 1e-6
    assert changed_T.nonzero().flatten().tolist() == [4, 5, 6]


def test_clips_skip_whole_convolution_blocks_in_training():
    torch.manual_seed(0)
    block, x_BTD = DepthwiseBlock(4, 8, 3, 0.5), torch.randn(200, 2, 4)
    padded_BT = torch.zeros(200, 2, dtype=torch.bool)
    skipped_BT = block(x_BTD, padded_BT).eq(x_BTD).all(-1)
    assert torch.equal(skipped_BT[:, 0], skipped_BT[:, 1]) and 60 < skipped_BT[:, 0].sum() < 140
    assert not block.eval()(x_BTD, padded_BT).eq(x_BTD).all(-1).any()


def test_late_dropout_begins_after_its_batches():
    layer, x = LateDropout(0.8, after=2), torch.ones(1000)
    zeros = [int(layer(x).eq(0).sum()) for _ in range(4)]
    assert zeros[:2] == [0, 0] and all(700 < n < 900 for n in zeros[2:])
    assert torch.equal(layer.eval()(x), x)


def test_late_dropout_continues_from_a_checkpoint():
    before, after, x = build(late_dropout_rate=0.5, late_dropout_after=1), build(late_dropout_rate=0.5), torch.ones(9)
    before.late_dropout(x)
    after.load_state_dict(before.state_dict())
    assert int(after.late_dropout.batches) == 1 and after.late_dropout(x).eq(0).any()
    assert "late_dropout.batches" not in build().state_dict(), "without the option there is nothing to remember"


@pytest.mark.parametrize("extractor", sorted(EXTRACTORS))
def test_config_accepts_it_with_every_extractor(make_config: Callable, extractor: str):
    reads = EXTRACTORS[extractor].reads
    inputs = {f"train_parameters.{name}": name == reads for name in ("frames", "landmarks")}
    assert make_config(None, {"feature_extractor.name": extractor, "transformer.name": "conv1d_transformer", **inputs})


@pytest.mark.parametrize(
    ("option", "value"), [("kernel_size", 5), ("late_dropout_rate", 0.5), ("late_dropout_after", 3)]
)
def test_other_encoders_refuse_its_options(make_config: Callable, option: str, value: float):
    values = {f"transformer.{option}": value}
    with pytest.raises(ConfigError, match=f"transformer.{option}: .* lstm has no such option; .*conv1d_transformer"):
        make_config(None, {**values, "transformer.name": "lstm"})
    assert make_config(None, {**values, "transformer.name": "conv1d_transformer"})
