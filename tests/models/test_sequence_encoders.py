"""The interface of all sequence encoders: (B, T, D) and a mask in, (B, width) out, padding without influence."""

import subprocess
import sys

import pytest
import torch

from hearai.config.model_parts import SEQUENCE_ENCODERS
from hearai.config.model_schema import Transformer
from hearai.errors import ConfigError
from hearai.models.pooling import POOLINGS
from hearai.models.sequence_encoders import build_sequence_encoder

NAMES = sorted(SEQUENCE_ENCODERS)
FREE = torch.export.Dim.DYNAMIC  # the export fails if it must fix a size marked with it
FIXED_FRAMES = {"lstm"}  # torch.export fixes the number of frames of an LSTM; the ONNX exporter does not

each = pytest.mark.parametrize("name", NAMES)
each_pooling = pytest.mark.parametrize("pooling", sorted(POOLINGS))


def build(name: str, width: int = 12, **values) -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {"feedforward_size": 16, "num_attention_heads": 2, "num_encoder_layers": 2, "output_size": 7}
    settings = Transformer.model_construct(**{"name": name, **sizes, "dropout_rate": 0.0, "pooling": "mean", **values})
    return build_sequence_encoder(settings, width).eval()


def mask_of(*lengths: int) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def with_scores(transformer: torch.nn.Module) -> torch.nn.Module:
    """Attention pooling with random scores, as after some training; it is initialised to the mean."""
    for name, parameter in transformer.named_parameters():
        if "score" in name:
            torch.nn.init.normal_(parameter)
    return transformer


# -- shapes --------------------------------------------------------------------------------------


@pytest.mark.heavy
@each_pooling
@each
def test_output_has_the_announced_width(name: str, pooling: str):
    transformer = build(name, pooling=pooling)
    assert transformer.width == 7
    assert transformer(torch.randn(3, 5, 12), mask_of(5, 5, 5)).shape == (3, 7)


@pytest.mark.heavy
@each
def test_clips_of_any_length(name: str):
    transformer = build(name)
    before = sum(p.numel() for p in transformer.parameters())
    for frames in (1, 2, 8, 64):
        result = transformer(torch.randn(2, frames, 12), mask_of(frames, 1))
        assert result.shape == (2, 7) and result.isfinite().all()
    assert sum(p.numel() for p in transformer.parameters()) == before


@pytest.mark.heavy
@pytest.mark.parametrize("width", [6, 48])
@each
def test_other_widths_and_sizes(name: str, width: int):
    transformer = build(name, width, feedforward_size=9, num_attention_heads=3, num_encoder_layers=1, output_size=5)
    assert transformer(torch.randn(1, 4, width), mask_of(4)).shape == (1, 5)


# -- the mask ------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("content", [1e4, -1e30, float("inf"), float("nan")])
@each_pooling
@each
def test_padding_has_no_influence(name: str, pooling: str, content: float, train: bool):
    transformer = with_scores(build(name, pooling=pooling)).train(
        train
    )  # eval without gradients uses torch's fused path
    clip_BTD, lengths = torch.randn(3, 6, 12), (6, 4, 1)
    mask_BT = mask_of(*lengths, 9)[:3]
    padded_BTD = torch.full((3, 9, 12), content)
    padded_BTD[:, :6] = clip_BTD.masked_fill(~mask_BT[:, :6, None], content)
    with torch.set_grad_enabled(train):
        padded = transformer(padded_BTD, mask_BT)
        alone = [transformer(clip_BTD[i : i + 1, :n], mask_of(n)) for i, n in enumerate(lengths)]
    assert torch.allclose(padded, torch.cat(alone), atol=1e-5)


@each_pooling
@each
def test_gradients_of_real_and_padded_frames(name: str, pooling: str):
    x_BTD, mask_BT = torch.randn(2, 5, 12), mask_of(5, 2)
    x_BTD[~mask_BT] = float("nan")
    x_BTD.requires_grad_()
    with_scores(build(name, pooling=pooling))(x_BTD, mask_BT).sum().backward()
    assert x_BTD.grad[~mask_BT].eq(0).all()
    assert x_BTD.grad[mask_BT].ne(0).any(-1).all() and x_BTD.grad.isfinite().all()


@each_pooling
@each
def test_gradients_of_all_weights(name: str, pooling: str):
    transformer = build(name, pooling=pooling).train()
    transformer(torch.randn(3, 5, 12), mask_of(5, 4, 2)).square().sum().backward()
    for where, parameter in transformer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), where
        assert parameter.ndim == 1 or parameter.grad.ne(0).any(), where


@each
def test_inputs_are_not_modified(name: str):
    x_BTD, mask_BT = torch.randn(2, 5, 12), mask_of(5, 2)
    x_before, mask_before = x_BTD.clone(), mask_BT.clone()
    build(name)(x_BTD, mask_BT)
    assert torch.equal(x_BTD, x_before) and torch.equal(mask_BT, mask_before)


@each
def test_clips_of_a_batch_are_independent(name: str):
    transformer, x_BTD, mask_BT = build(name).train(), torch.randn(3, 5, 12), mask_of(5, 5, 3)
    batched = transformer(x_BTD, mask_BT)
    assert torch.allclose(batched[1:2], transformer(x_BTD[1:2], mask_BT[1:2]), atol=1e-5)


# -- layers -----------------------------------------------------------------------


@each
def test_only_fake_transformer_ignores_the_order_of_frames(name: str):
    transformer, x_BTD = build(name), torch.randn(1, 6, 12)
    same = torch.allclose(transformer(x_BTD, mask_of(6)), transformer(x_BTD.flip(1), mask_of(6)), atol=1e-4)
    assert same is (name == "fake_transformer")


@each
def test_number_of_layers_and_their_initial_weights(name: str):
    if name == "fake_transformer":
        assert len(build(name, num_encoder_layers=5).state_dict()) == 2
        return
    sizes = [sum(p.numel() for p in build(name, 16, num_encoder_layers=n).parameters()) for n in (2, 3, 4)]
    assert sizes[0] < sizes[1] < sizes[2] and sizes[2] - sizes[1] == sizes[1] - sizes[0]
    matrices = [p for p in build(name, 16).parameters() if p.ndim == 2]
    assert not any(a.shape == b.shape and torch.equal(a, b) for i, a in enumerate(matrices) for b in matrices[:i])


@each
def test_dropout_in_training_mode_only(name: str):
    transformer, x_BTD = build(name, dropout_rate=0.5, num_encoder_layers=1), torch.randn(2, 5, 12)
    assert torch.equal(transformer(x_BTD, mask_of(5, 5)), transformer(x_BTD, mask_of(5, 5)))
    transformer.train()
    same = torch.equal(transformer(x_BTD, mask_of(5, 5)), transformer(x_BTD, mask_of(5, 5)))
    assert same is (name == "fake_transformer")


@each
def test_training_mode_without_dropout_is_deterministic(name: str):
    transformer, x_BTD = build(name).train(), torch.randn(2, 40, 12)  # 40 frames: SpecAugment would mask some
    results = [transformer(x_BTD, mask_of(40, 30)) for _ in range(5)]
    assert all(torch.equal(result, results[0]) for result in results)


@each
def test_unknown_pooling_is_a_config_error(name: str):
    if name == "fake_transformer":
        return  # the config refuses all but the mean
    with pytest.raises(ConfigError, match="unknown transformer.pooling 'max'; choose from attention, mean"):
        build(name, pooling="max")


@each
def test_bfloat16_autocast_is_close_to_fp32(name: str):
    transformer, x_BTD, mask_BT = build(name, pooling="attention"), torch.randn(2, 6, 12), mask_of(6, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = transformer(x_BTD, mask_BT)
    assert torch.allclose(half.float(), transformer(x_BTD, mask_BT), atol=0.05)


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:.*_flat_weights:UserWarning")  # a warning of torch about its own LSTM
@each
def test_export_with_any_number_of_clips_and_frames(name: str):
    transformer = with_scores(build(name, pooling="attention"))
    frames = 5 if name in FIXED_FRAMES else 9
    free = {0: FREE} if name in FIXED_FRAMES else {0: FREE, 1: FREE}
    exported = torch.export.export(transformer, (torch.randn(3, 5, 12), mask_of(5, 2, 1)), dynamic_shapes=(free, free))
    for x_BTD, mask_BT in (
        (torch.randn(3, 5, 12), mask_of(5, 1, 2)),
        (torch.randn(1, 5, 12), mask_of(5)),
        (torch.full((4, frames, 12), float("nan")), mask_of(frames, 2, 3, 4)),
    ):
        x_BTD[mask_BT] = torch.randn(int(mask_BT.sum()), 12)
        assert torch.allclose(exported.module()(x_BTD, mask_BT), transformer(x_BTD, mask_BT), atol=1e-5)


@pytest.mark.heavy
def test_transformers_is_imported_only_if_needed():
    code = (
        "import sys, hearai.models.model as m; from hearai.config.model_schema import SEQUENCE_ENCODERS, Transformer;"
        "build = lambda name: m.build_sequence_encoder(Transformer(name=name, feedforward_size=8, output_size=2), 4);"
        "[build(n) for n in SEQUENCE_ENCODERS if n != 'hubert_transformer']; assert 'transformers' not in sys.modules;"
        "build('hubert_transformer'); assert 'transformers' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
