"""Components of sequence encoders: positions, convolutions, HuBERT's layers, the reversed LSTM, pooling."""

import pytest
import torch

from hearai.models.hubert import HubertTransformer
from hearai.models.lstm import LSTMEncoder, reversed_times
from hearai.models.pooling import AttentionPooling, MeanPooling, masked_mean
from hearai.models.transformer import (
    CONVOLUTION_FRAMES,
    ConvolutionModule,
    SignLanguageTransformer,
    sinusoidal_positions,
)

SIZES = {"feedforward_size": 16, "num_attention_heads": 2, "output_size": 7, "dropout_rate": 0.0}
MASK_BT = torch.arange(5) < torch.tensor([[5], [3], [1]])


@pytest.mark.parametrize("width", [1, 7, 12])
def test_positions_are_distinct_and_bounded(width: int):
    positions_TD = sinusoidal_positions(40, width, torch.device("cpu"))
    assert positions_TD.shape == (40, width)
    assert positions_TD.abs().max() <= 1
    assert torch.cdist(positions_TD, positions_TD).add(torch.eye(40)).min() > 1e-3


def test_positions_do_not_depend_on_the_number_of_frames():
    device = torch.device("cpu")
    assert torch.equal(sinusoidal_positions(5, 8, device), sinusoidal_positions(9, 8, device)[:5])


def test_transformer_has_pre_norm_blocks_and_positions():
    transformer = SignLanguageTransformer(12, num_encoder_layers=2, **SIZES)
    assert all(block.norm_first for block in transformer.blocks)
    bare = SignLanguageTransformer(12, num_encoder_layers=0, **SIZES)
    x_BTD, mask_BT = torch.randn(1, 5, 12), MASK_BT[:1]
    summed_BTD = x_BTD + sinusoidal_positions(5, 12, x_BTD.device)
    assert torch.allclose(bare(x_BTD, mask_BT), bare.output(bare.norm(summed_BTD).mean(1)))


def test_convolution_is_depthwise_and_local():
    module = ConvolutionModule(4, dropout_rate=0.0)
    assert module.depthwise.weight.shape == (4, 1, CONVOLUTION_FRAMES)
    x_BTD = torch.randn(1, 11, 4, requires_grad=True)
    module(x_BTD, torch.ones(1, 11, dtype=torch.bool))[0, 5].sum().backward()
    seen = x_BTD.grad[0].ne(0).any(-1).nonzero().flatten().tolist()
    assert seen == [3, 4, 5, 6, 7]
    assert not list(module.buffers()), "BatchNorm would have some"


@pytest.mark.heavy
def test_hubert_equals_hugging_face():
    torch.manual_seed(0)
    transformer = HubertTransformer(12, num_encoder_layers=2, **SIZES).eval()
    x_BTD = torch.randn(3, 5, 12)
    expected_BTD = transformer.encoder(x_BTD.clone(), attention_mask=MASK_BT).last_hidden_state
    assert torch.allclose(transformer.encode(x_BTD, MASK_BT)[MASK_BT], expected_BTD[MASK_BT], atol=1e-6)


def test_sizes_of_hubert():
    sizes = {"feedforward_size": 40, "num_attention_heads": 3, "output_size": 7, "dropout_rate": 0.3}
    config = HubertTransformer(24, num_encoder_layers=3, **sizes).encoder.config
    assert (config.hidden_size, config.num_hidden_layers) == (24, 3)
    assert (config.intermediate_size, config.num_attention_heads) == (40, 3)
    assert {config.hidden_dropout, config.activation_dropout, config.attention_dropout} == {0.3}
    assert config.layerdrop == 0


def test_hubert_is_built_without_the_network(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise AssertionError("network access")

    monkeypatch.setattr("socket.socket.connect", fail)
    assert HubertTransformer(12, num_encoder_layers=1, **SIZES)


def test_reversal_leaves_padding_at_the_end():
    assert reversed_times(MASK_BT).tolist() == [[4, 3, 2, 1, 0], [2, 1, 0, 3, 4], [0, 1, 2, 3, 4]]


def test_lstm_equals_bidirectional_lstm_on_packed_clips():
    torch.manual_seed(0)
    encoder = LSTMEncoder(12, num_encoder_layers=1, **SIZES)
    lstm = torch.nn.LSTM(12, 8, batch_first=True, bidirectional=True)
    layer = encoder.layers[0]
    weights = dict(layer.forward_in_time.named_parameters())
    weights |= {f"{name}_reverse": p for name, p in layer.backward_in_time.named_parameters()}
    lstm.load_state_dict(weights)
    x_BTD, lengths = torch.randn(3, 5, 12), MASK_BT.sum(1)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x_BTD, lengths, batch_first=True)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True)
    assert torch.allclose(encoder(x_BTD, MASK_BT), encoder.output(masked_mean(expected, MASK_BT)), atol=1e-6)


@pytest.mark.parametrize(("feedforward_size", "units"), [(16, 8), (15, 8), (1, 1)])
def test_lstm_splits_its_units_between_the_directions(feedforward_size: int, units: int):
    transformer = LSTMEncoder(12, num_encoder_layers=2, **{**SIZES, "feedforward_size": feedforward_size})
    for layer in transformer.layers:
        assert layer.forward_in_time.hidden_size == layer.backward_in_time.hidden_size == units


def test_masked_mean_is_over_real_frames():
    x_BTD = torch.tensor([[[1.0], [3.0], [float("nan")]], [[1.0], [2.0], [6.0]]])
    mask_BT = torch.tensor([[True, True, False], [True, True, True]])
    assert masked_mean(x_BTD, mask_BT).tolist() == [[2.0], [3.0]]
    assert MeanPooling(1)(x_BTD, mask_BT).tolist() == [[2.0], [3.0]]


def test_attention_pooling_is_initialised_to_the_mean():
    x_BTD = torch.randn(3, 5, 12)
    assert torch.allclose(AttentionPooling(12)(x_BTD, MASK_BT), masked_mean(x_BTD, MASK_BT), atol=1e-6)


def test_attention_pooling_weights_frames_by_score():
    pooling = AttentionPooling(2)
    torch.nn.init.constant_(pooling.score.weight, 1.0)
    x_BTD = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [float("nan"), 50.0]]])
    mask_BT = torch.tensor([[True, True, False]])
    weight = torch.tensor([0.0, 1.0]).softmax(0)[1]
    assert torch.allclose(pooling(x_BTD, mask_BT), torch.tensor([[weight, 0.0]]))
