"""One classifier per head, and custom groups of heads."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import load_config
from hearai.data.annotations.load import load_data
from hearai.data.dataset import build_dataset, build_loader
from hearai.data.transforms import normalise
from hearai.errors import ConfigError, DataError
from hearai.models.heads import Heads
from hearai.models.model import build_model
from hearai.sign.hamnosys import HEADS
from hearai.training.optim.loss import head_losses, trained_heads, weighted_loss


def test_logits_have_the_number_of_classes():
    logits = Heads(6, {"a": 3, "b": 5})(torch.randn(4, 6))
    assert {head: tuple(x.shape) for head, x in logits.items()} == {"a": (4, 3), "b": (4, 5)}


def test_heads_share_no_weights():
    heads = Heads(6, {"a": 3, "b": 3}, additional_layers=1)
    heads(torch.randn(4, 6))["a"].sum().backward()
    assert all(p.grad is not None for p in heads["a"].parameters())
    assert all(p.grad is None for p in heads["b"].parameters())


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_additional_layers_are_added(layers: int):
    linear = [m for m in Heads(6, {"a": 3}, additional_layers=layers).modules() if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linear] == [6] * layers + [3]


def test_dropout_in_training_mode_only():
    heads, x_BD = Heads(64, {"a": 3}, dropout_rate=0.5), torch.randn(1, 64)
    assert not torch.equal(heads(x_BD)["a"], heads(x_BD)["a"])
    heads.eval()
    assert torch.equal(heads(x_BD)["a"], heads(x_BD)["a"])


@pytest.mark.parametrize("name", ["a.b", "values", "forward"])
def test_invalid_name_is_a_config_error(name: str):
    with pytest.raises(ConfigError, match=f"{name!r} cannot be the name of a head"):
        Heads(6, {name: 3})


@pytest.mark.parametrize(("mode", "classes"), [("gloss", {"gloss": 3}), ("hamnosys", HEADS)])
def test_default_groups(make_config: Callable, tiny_dataset: Path, mode: str, classes: dict):
    values = {"train_parameters.classification_mode": mode, "heads.model.additional_layers": 1}
    config = make_config(tiny_dataset, {**values, "heads.model.dropout_rate": 0.2})
    model = build_model(config, load_data(config).num_class)
    outputs = {head: classifier[-1].out_features for head, classifier in model.heads.items()}
    assert outputs == {head: getattr(value, "num_class", value) for head, value in classes.items()}
    assert all(classifier[-2].p == 0.2 and len(classifier) == 3 for classifier in model.heads.values())


CUSTOM = """
general_parameters: {data_path: DATA, gpu: -1, ratio_test: 0.25, ratio_train_test: 0.67}
augmentations_parameters: {resize_size: 32, center_crop_size: 32}
train_parameters: {classification_mode: mine, num_segments: 3, batch_size: 4}
feature_extractor: {model_path: test_efficientnet, representation_size: 16, pretrained: false}
transformer: {feedforward_size: 32, num_attention_heads: 2, num_encoder_layers: 1, output_size: 16}
heads:
  model: {additional_layers: 1, dropout_rate: 0.1}
  mine:
    colour: {num_class: 3}
    size: {num_class: auto, loss_weight: 0.5}
"""


@pytest.mark.heavy
def test_custom_group_is_trained_by_config_only(tiny_dataset: Path, tmp_path: Path):
    rows = [f"c{i} 0 4 {i % 3} {i % 5}" for i in range(12)]  # colours 0..2, sizes 0..4
    (tiny_dataset / "test_mine.txt").write_text("\n".join(["name start end colour size", *rows]) + "\n")
    (tmp_path / "mine.yml").write_text(CUSTOM.replace("DATA", str(tiny_dataset)))
    config = load_config(tmp_path / "mine.yml")
    data = load_data(config)
    assert data.num_class == {"colour": 3, "size": 5}
    torch.manual_seed(0)
    model = build_model(config, data.num_class).train()
    before = {name: p.detach().clone() for name, p in model.heads.named_parameters()}
    batch = next(iter(build_loader(build_dataset(config, data.clips, train=True), batch_size=4, shuffle_seed=0)))

    logits = model({"frames": normalise(batch.inputs["frames"])}, batch.mask)
    heads, weights = trained_heads(config, torch.device("cpu"))
    loss = weighted_loss(*head_losses(logits, batch.labels, heads, config.train_parameters.loss), weights)
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()

    assert {head: tuple(x.shape) for head, x in logits.items()} == {"colour": (4, 3), "size": (4, 5)}
    assert heads == ["colour", "size"] and weights.tolist() == [1.0, 0.5] and loss.isfinite()
    for name, parameter in model.heads.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_label_out_of_range_is_an_error_with_its_row(tiny_dataset: Path, tmp_path: Path):
    (tiny_dataset / "test_mine.txt").write_text("c0 0 4 2 0\nc1 0 4 3 1\n")
    (tmp_path / "mine.yml").write_text(CUSTOM.replace("DATA", str(tiny_dataset)))
    with pytest.raises(DataError, match=r"test_mine\.txt:2: colour has label '3'; expected 0\.\.2 or -1"):
        load_data(load_config(tmp_path / "mine.yml"))


def test_skipped_head_is_computed_in_evaluation_only():
    heads, seen = Heads(6, {"a": 3, "b": 5}), []
    heads["b"].register_forward_hook(lambda *_: seen.append("b"))
    heads.skip_in_training(["b"])
    assert list(heads(torch.randn(4, 6))) == ["a"] and not seen
    assert not any(p.requires_grad for p in heads["b"].parameters())
    heads.eval()
    assert list(heads(torch.randn(4, 6))) == ["a", "b"] and seen == ["b"]
