"""Every sequence encoder except fake_transformer learns a task that depends on the order of frames."""

import pytest
import torch
import torch.nn.functional as F

from hearai.config.model_parts import SEQUENCE_ENCODERS
from hearai.config.model_schema import Transformer
from hearai.models.pooling import POOLINGS
from hearai.models.sequence_encoders import build_sequence_encoder

pytestmark = pytest.mark.training

FRAMES, WIDTH, STEPS = 8, 32, 200
PATTERNS = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(5))
SHORT = {"conv1d_transformer": {"layers": 1, "steps": 50}}
"""{encoder: less of it}: one of its layers has four blocks, and it learns the task sooner."""
ENCODERS = sorted(SEQUENCE_ENCODERS.keys() - {"fake_transformer"})


def clips(number: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Clips of 4 to 8 noisy frames, two of which contain the patterns; the label is their order."""
    length_B1 = torch.randint(4, FRAMES + 1, (number, 1), generator=random)
    mask_BT = torch.arange(FRAMES) < length_B1
    shuffled_BT = torch.rand(number, FRAMES, generator=random).masked_fill(~mask_BT, 2.0).argsort(1)
    first, second = shuffled_BT[:, 0], shuffled_BT[:, 1]
    x_BTD = 0.3 * torch.randn(number, FRAMES, WIDTH, generator=random)
    for pattern, frame_B in zip(PATTERNS, (first, second), strict=True):
        x_BTD[torch.arange(number), frame_B] += pattern
    return x_BTD, mask_BT, (first < second).long()


def accuracy(name: str, pooling: str) -> float:
    """Accuracy on new clips after training on up to 200 small batches."""
    short = SHORT.get(name, {})
    torch.manual_seed(0)
    sizes = {"feedforward_size": 64, "num_attention_heads": 4, "num_encoder_layers": short.get("layers", 2)}
    model = build_sequence_encoder(
        Transformer(name=name, **sizes, output_size=2, dropout_rate=0.0, pooling=pooling), WIDTH
    )
    optimizer, random = torch.optim.AdamW(model.parameters(), lr=3e-3), torch.Generator().manual_seed(0)
    for _ in range(short.get("steps", STEPS)):
        x_BTD, mask_BT, label_B = clips(64, random)
        optimizer.zero_grad()
        F.cross_entropy(model(x_BTD, mask_BT), label_B).backward()
        optimizer.step()
    x_BTD, mask_BT, label_B = clips(1000, random)
    with torch.no_grad():
        return float((model.eval()(x_BTD, mask_BT).argmax(1) == label_B).float().mean())


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
@pytest.mark.parametrize("name", ENCODERS)
def test_encoder_learns_the_order_of_frames(name: str, pooling: str):
    assert accuracy(name, pooling) > 0.9


def test_fake_transformer_does_not():
    assert accuracy("fake_transformer", "mean") < 0.6
