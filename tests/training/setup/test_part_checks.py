"""Parts of the user's own are checked before any trial: what they must keep, and what is said where they do not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.model_parts.code_folder import use_code
from hearai.errors import ConfigError
from hearai.training.setup.part_checks import check_own_parts

CODE = """
import random, torch
from torch import nn

class Good(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.width, self.layer = width, nn.Linear(3, width)
    def forward(self, x, mask):
        return self.layer(x.mean((3, 4)))
class BadShape(Good):
    def forward(self, x, mask): return super().forward(x, mask)[..., :4]
class NoMask(Good):
    def forward(self, x, mask): return (out := super().forward(x, mask)) + out.mean(1, keepdim=True)
class Detached(Good):
    def forward(self, x, mask): return super().forward(x, mask).detach()
class Infinite(Good):
    def forward(self, x, mask): return super().forward(x, mask) / 0
class Fails(Good):
    def forward(self, x, mask): return x.no_such_thing
class Unused(Good):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)
class Hidden(Good):
    def __init__(self):
        super().__init__()
        self.hidden = [torch.randn(8)]
    def forward(self, x, mask): return super().forward(x, mask) + self.hidden[0]
class Random(Good):
    def forward(self, x, mask): return super().forward(x, mask) + torch.rand(1)
class Double(Good):
    def forward(self, x, mask): return super().forward(x, mask).double()
class Lazy(Good):
    def __init__(self):
        super().__init__()
        self.layer = nn.LazyLinear(8)
class Exits(Good):
    def __init__(self): raise SystemExit(3)
class Encoder(nn.Module):
    def __init__(self, size, output_size):
        super().__init__()
        self.width, self.layer = output_size, nn.Linear(size, output_size)
    def forward(self, x, mask): return self.layer(x[:, 0])
class Last(Encoder):
    def forward(self, x, mask): return self.layer(x[:, -1])
class Loss(nn.Module):
    def forward(self, logits, labels): return nn.functional.cross_entropy(logits, labels, reduction="none")
class Mean(Loss):
    def forward(self, logits, labels): return super().forward(logits, labels).mean()
class Weighted(Loss):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
class Augment:
    def __call__(self, inputs): return {"frames": inputs["frames"].flip(-1)}
class InPlace(Augment):
    def __call__(self, inputs):
        inputs["frames"] //= 2
        return inputs
class Seedless(Augment):
    def __call__(self, inputs): return {"frames": (inputs["frames"] + random.randrange(1, 250)).to(torch.uint8)}
class Float(Augment):
    def __call__(self, inputs): return {"frames": inputs["frames"] / 255}
"""
EXTRACTOR, ENCODER, LOSS = "feature_extractor.name", "transformer.name", "train_parameters.loss"
AUGMENTATION = "augmentations_parameters.augmentation"


@pytest.fixture(autouse=True)
def code(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "checked_parts.py").write_text(CODE)
    use_code(tmp_path / "code")


@pytest.mark.heavy
def test_parts_that_keep_their_promises_pass(make_config: Callable) -> None:
    names = {EXTRACTOR: "Good", ENCODER: "Encoder", LOSS: "Loss", AUGMENTATION: "Augment"}
    state = torch.get_rng_state()
    check_own_parts([make_config(None, {path: f"checked_parts:{name}" for path, name in names.items()})])
    assert torch.equal(torch.get_rng_state(), state), "runs start from the same weights as without the check"


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("path", "name", "problem"),
    [
        (EXTRACTOR, "BadShape", r"returned the shape \(2, 4, 4\); expected \(B, T, width\) = \(2, 4, 8\)"),
        (EXTRACTOR, "NoMask", "padding, where the mask is false, must not matter"),
        (EXTRACTOR, "Detached", "does not depend on any weight"),
        (EXTRACTOR, "Infinite", "values that are not finite"),
        (EXTRACTOR, "Fails", r"checked_parts.py, line \d+ .*AttributeError"),
        (EXTRACTOR, "Unused", "no gradient reaches spare.weight, spare.bias"),
        (EXTRACTOR, "Hidden", "another one with the same state dict gives other values"),
        (EXTRACTOR, "Random", "different outputs in evaluation mode|gives other values"),
        (EXTRACTOR, "Double", "returned torch.float64; expected torch.float32"),
        (EXTRACTOR, "Lazy", "lazy modules, whose size is not known yet: layer"),
        (EXTRACTOR, "Exits", r"Exits\(no arguments\) failed: .*SystemExit: 3"),
        (EXTRACTOR, "Augment", "is no subclass of torch.nn.Module"),
        (ENCODER, "Last", "padding, where the mask is false, must not matter"),
        (LOSS, "Mean", r"expected \(B,\) = \(6,\), one loss per clip"),
        (LOSS, "Weighted", "has weights of its own, which are not trained"),
        (AUGMENTATION, "InPlace", "changes its inputs in place"),
        (AUGMENTATION, "Seedless", "draw random numbers from torch alone"),
        (AUGMENTATION, "Float", "returned frames as .*float32; expected .*uint8"),
        (AUGMENTATION, "Good", "failed"),
    ],
)
def test_broken_promises_are_named(path: str, name: str, problem: str, make_config: Callable) -> None:
    with pytest.raises(ConfigError, match=f"(?s){path}: checked_parts:{name}: .*({problem})"):
        check_own_parts([make_config(None, {path: f"checked_parts:{name}"})])


@pytest.mark.heavy
def test_all_problems_of_all_parts_are_told_at_once(make_config: Callable) -> None:
    parts = {EXTRACTOR: "checked_parts:Detached", LOSS: "checked_parts:Mean", ENCODER: "missing:Encoder"}
    smooth = {LOSS: "checked_parts:Loss", "train_parameters.label_smoothing": 0.1}
    with pytest.raises(ConfigError) as error:
        check_own_parts([make_config(None, parts), make_config(None, smooth)])
    assert [problem.partition(": ")[0] for problem in error.value.problems] == [EXTRACTOR, ENCODER, LOSS, LOSS]
