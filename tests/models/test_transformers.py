"""Sequence encoders keep one promise: (B, T, D) and a mask in, (B, width) out, padding without influence."""

import pytest
import torch

from hearai.models.transformers import TRANSFORMERS, masked_mean, sinusoidal_positions

NAMES = sorted(TRANSFORMERS)


def build(name: str, width: int = 12, **values) -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {"feedforward_size": 16, "num_attention_heads": 2, "num_encoder_layers": 2, "output_size": 7}
    return TRANSFORMERS[name](width, **{**sizes, "dropout_rate": 0.0, **values}).eval()


@pytest.mark.parametrize("name", NAMES)
def test_output_has_the_announced_width(name: str):
    transformer = build(name)
    assert transformer.width == 7
    assert transformer(torch.randn(3, 5, 12), torch.ones(3, 5, dtype=torch.bool)).shape == (3, 7)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_padding_does_not_change_the_result(name: str, train: bool):
    transformer = build(name).train(train)  # without gradients, eval mode takes torch's fused path
    clip_BTD = torch.randn(2, 4, 12)
    padded_BTD = torch.cat([clip_BTD, torch.full((2, 3, 12), 1e4)], dim=1)
    mask_BT = torch.arange(7).expand(2, 7) < 4
    with torch.set_grad_enabled(train):
        alone, padded = transformer(clip_BTD, mask_BT[:, :4]), transformer(padded_BTD, mask_BT)
    assert torch.allclose(alone, padded, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_padding_gets_no_gradient(name: str):
    x_BTD = torch.randn(2, 5, 12, requires_grad=True)
    mask_BT = torch.arange(5).expand(2, 5) < torch.tensor([[5], [2]])
    build(name)(x_BTD, mask_BT).sum().backward()
    assert x_BTD.grad[~mask_BT].eq(0).all()
    assert x_BTD.grad[mask_BT].ne(0).any(-1).all()


@pytest.mark.parametrize("name", NAMES)
def test_clips_of_a_batch_do_not_see_each_other(name: str):
    transformer, x_BTD, mask_BT = build(name), torch.randn(3, 5, 12), torch.ones(3, 5, dtype=torch.bool)
    whole = transformer(x_BTD, mask_BT)
    assert torch.allclose(whole[1:2], transformer(x_BTD[1:2], mask_BT[1:2]), atol=1e-5)


@pytest.mark.parametrize(("name", "sees_order"), [("sign_language_transformer", True), ("fake_transformer", False)])
def test_only_the_transformer_sees_the_order_of_frames(name: str, sees_order: bool):
    transformer, x_BTD, mask_BT = build(name), torch.randn(1, 6, 12), torch.ones(1, 6, dtype=torch.bool)
    same = torch.allclose(transformer(x_BTD, mask_BT), transformer(x_BTD.flip(1), mask_BT), atol=1e-4)
    assert same is not sees_order


def test_blocks_start_with_weights_of_their_own():
    first, second = build("sign_language_transformer").blocks
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_number_of_blocks_is_that_of_the_config():
    assert len(build("sign_language_transformer", num_encoder_layers=5).blocks) == 5


@pytest.mark.parametrize("width", [1, 7, 12])
def test_positions_are_distinct_and_bounded(width: int):
    positions_TD = sinusoidal_positions(40, width, torch.device("cpu"))
    assert positions_TD.shape == (40, width)
    assert positions_TD.abs().max() <= 1
    assert torch.cdist(positions_TD, positions_TD).add(torch.eye(40)).min() > 1e-3


def test_positions_do_not_depend_on_the_length_of_the_clip():
    device = torch.device("cpu")
    assert torch.equal(sinusoidal_positions(5, 8, device), sinusoidal_positions(9, 8, device)[:5])


def test_masked_mean_is_over_the_real_frames():
    x_BTD = torch.tensor([[[1.0], [3.0], [100.0]], [[1.0], [2.0], [6.0]]])
    mask_BT = torch.tensor([[True, True, False], [True, True, True]])
    assert masked_mean(x_BTD, mask_BT).tolist() == [[2.0], [3.0]]
