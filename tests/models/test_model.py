"""The complete model, built from a config."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config, load_config
from hearai.config.model_parts import EXTRACTORS, SEQUENCE_ENCODERS
from hearai.data.annotations.load import load_data
from hearai.data.dataset import build_dataset, build_loader
from hearai.data.transforms import normalise
from hearai.errors import ConfigError
from hearai.models.model import SignModel, build_model
from hearai.models.pooling import AttentionPooling
from hearai.sign.hamnosys import HEADS
from hearai.sign.skeleton import CHANNELS, POINTS

NUM_CLASS = {"gloss": 5, "x": 3}


def build(config: Config, seed: int = 0) -> SignModel:
    torch.manual_seed(seed)
    return build_model(config, NUM_CLASS).eval()


@pytest.fixture
def clip_BTCHW() -> torch.Tensor:
    return torch.randn(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask_BT() -> torch.Tensor:
    return torch.tensor([[True, True, True, True], [True, True, False, False]])


@pytest.mark.heavy
@pytest.mark.parametrize("transformer", sorted(SEQUENCE_ENCODERS))
@pytest.mark.parametrize("extractor", sorted(EXTRACTORS))
def test_every_combination_of_parts(make_config: Callable, clip_BTCHW, mask_BT, extractor, transformer):
    reads = EXTRACTORS[extractor].reads
    inputs = {"frames": clip_BTCHW, "landmarks": torch.randn(2, 4, POINTS, CHANNELS)}
    names = {"feature_extractor.name": extractor, "transformer.name": transformer}
    selected = {f"train_parameters.{name}": name == reads for name in inputs}
    logits = build(make_config(None, {**names, **selected}))({reads: inputs[reads]}, mask_BT)
    assert {head: tuple(x.shape) for head, x in logits.items()} == {"gloss": (2, 5), "x": (2, 3)}


def test_landmarks_in_addition_to_images_have_an_influence(make_config: Callable, clip_BTCHW, mask_BT):
    model = build(make_config(None, {"train_parameters.landmarks": True}))
    points = torch.ones(2, 4, POINTS, CHANNELS)
    with torch.no_grad():
        one, other = (model({"frames": clip_BTCHW, "landmarks": x}, mask_BT)["gloss"] for x in (points, points * 2))
    assert not torch.allclose(one, other, atol=1e-4)
    assert model.get_submodule("landmark_extractor.backbone"), "so that a freeze schedule can name it"


def test_config_checks_the_inputs_of_an_extractor(make_config: Callable):
    for name in ("resnet50_extractor", "video_resnet", "multi_frame_feature_extractor"):
        assert make_config(None, {"feature_extractor.name": name})
    both = {"feature_extractor.name": "gcn_extractor", "train_parameters.landmarks": True}
    with pytest.raises(ConfigError, match="gcn_extractor reads landmarks only; set .*frames: false"):
        make_config(None, both)
    assert make_config(None, {**both, "train_parameters.frames": False})
    with pytest.raises(ConfigError, match="frames: false, but cnn_extractor reads frames"):
        make_config(None, {"train_parameters.landmarks": True, "train_parameters.frames": False})
    with pytest.raises(ConfigError, match="both false"):
        make_config(None, {"train_parameters.frames": False})
    with pytest.raises(ConfigError, match="pre_training: .*video_resnet needs whole clips"):
        make_config(None, {"feature_extractor.name": "video_resnet", "train_parameters.pre_training": True})


def test_part_names_of_a_freeze_schedule_exist(make_config: Callable):
    model = build(make_config(None))
    for part in ("feature_extractor", "feature_extractor.backbone", "feature_extractor.projection", "transformer"):
        assert any(True for _ in model.get_submodule(part).parameters())
    assert model.get_submodule("heads.gloss")


def test_padding_does_not_change_logits(make_config: Callable, clip_BTCHW, mask_BT):
    model = build(make_config(None))
    with torch.no_grad():
        padded = model({"frames": clip_BTCHW}, mask_BT)
        alone = model({"frames": clip_BTCHW[1:, :2]}, mask_BT[1:, :2])
    for head in NUM_CLASS:
        assert torch.allclose(padded[head][1:], alone[head], atol=1e-5)


def test_features_give_the_same_logits_as_images(make_config: Callable, clip_BTCHW, mask_BT):
    model = build(make_config(None))
    with torch.no_grad():
        features_BTW = model.feature_extractor.backbone_features(clip_BTCHW.flatten(0, 1)).unflatten(0, (2, 4))
        from_images = model({"frames": clip_BTCHW}, mask_BT)
        from_features = model({"features": features_BTW}, mask_BT)
    for head in NUM_CLASS:
        assert torch.allclose(from_features[head], from_images[head], atol=1e-4)


def test_config_sets_all_sizes(make_config: Callable):
    values = {
        "feature_extractor.representation_size": 24,
        "transformer.num_attention_heads": 3,
        "transformer.num_encoder_layers": 3,
        "transformer.feedforward_size": 40,
        "transformer.output_size": 20,
        "transformer.dropout_rate": 0.3,
        "transformer.pooling": "attention",
        "heads.model.additional_layers": 2,
        "heads.model.dropout_rate": 0.4,
    }
    model = build(make_config(None, values))
    assert model.feature_extractor.projection[0].out_features == 24
    assert len(model.transformer.blocks) == 3
    block = model.transformer.blocks[0]
    assert (block.self_attn.num_heads, block.linear1.out_features, block.dropout.p) == (3, 40, 0.3)
    assert model.transformer.output.out_features == 20 and isinstance(model.transformer.pooling, AttentionPooling)
    assert len(model.heads["gloss"]) == 4 and model.heads["gloss"][2].p == 0.4


@pytest.mark.parametrize("part", ["feature_extractor", "transformer"])
def test_unknown_part_is_a_config_error(make_config: Callable, part: str):
    with pytest.raises(ConfigError, match=f"{part}.name: got 'lstmm'; choose from "):
        make_config(None, {f"{part}.name": "lstmm"})


def test_bfloat16_autocast_is_close_to_fp32(make_config: Callable, clip_BTCHW, mask_BT):
    model = build(make_config(None))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = model({"frames": clip_BTCHW}, mask_BT)
    with torch.no_grad():
        full = model({"frames": clip_BTCHW}, mask_BT)
    assert torch.allclose(half["gloss"].float(), full["gloss"], atol=0.1)


@pytest.mark.training
def test_model_overfits_four_clips(make_config: Callable, make_dataset: Callable):
    config = make_config(make_dataset(clips=4, classes=4, signers=0))
    dataset = build_dataset(config, load_data(config).clips, train=False)
    (batch,) = build_loader(dataset, batch_size=4, shuffle_seed=None)
    torch.manual_seed(0)
    model = build_model(config, {"gloss": 4}).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        logits = model({"frames": normalise(batch.inputs["frames"])}, batch.mask)["gloss"]
        loss = torch.nn.functional.cross_entropy(logits, batch.labels["gloss"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert logits.argmax(1).tolist() == batch.labels["gloss"].tolist()


def with_checkpoint(make_config: Callable, path: Path) -> Config:
    return make_config(None, {"feature_extractor.checkpoint": str(path)})


@pytest.mark.heavy
def test_checkpoint_sets_the_weights_of_the_backbone_only(make_config: Callable, tmp_path: Path):
    source = build(make_config(None), seed=1)
    saved = {"backbone": source.feature_extractor.backbone.state_dict(), "model_path": "test_efficientnet"}
    torch.save(saved, tmp_path / "backbone.pt")
    loaded, plain = build(with_checkpoint(make_config, tmp_path / "backbone.pt")), build(make_config(None))
    for name, value in loaded.state_dict().items():
        expected = source if name.startswith("feature_extractor.backbone.") else plain
        assert torch.equal(value, expected.state_dict()[name]), name


def test_checkpoint_takes_precedence_over_pretrained_weights(
    make_config: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    backbone = build(make_config(None)).feature_extractor.backbone
    torch.save({"backbone": backbone.state_dict(), "model_path": "test_efficientnet"}, tmp_path / "backbone.pt")
    assert build_model(with_checkpoint(make_config, tmp_path / "backbone.pt"), NUM_CLASS, pretrained=True)
    with pytest.raises(ConfigError, match="weights of test_efficientnet are not available"):
        build_model(make_config(None), NUM_CLASS, pretrained=True)


def write_checkpoint(kind: str, path: Path) -> None:
    weights = torch.nn.Linear(2, 2).state_dict()
    if kind == "missing":
        return
    if kind == "text":
        path.write_text("not weights")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        torch.save({"backbone": weights, "model_path": "test_efficientnet"}, path)
        path.write_bytes(path.read_bytes()[:500])
    elif kind == "code":
        torch.save({"backbone": Path("x"), "model_path": "test_efficientnet"}, path)
    elif kind == "other content":
        torch.save(weights, path)
    elif kind == "other model":
        torch.save({"backbone": weights, "model_path": "resnet18"}, path)
    else:
        torch.save({"backbone": weights, "model_path": "test_efficientnet"}, path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "cannot be read"),
        ("text", "does not contain torch weights"),
        ("empty", "does not contain torch weights"),
        ("truncated", "does not contain torch weights"),
        ("code", "does not contain torch weights"),
        ("other content", "does not contain `backbone` and `model_path`"),
        ("other model", "has weights of 'resnet18', but the config asks for 'test_efficientnet'"),
        ("other weights", "does not fit test_efficientnet"),
    ],
)
def test_unusable_checkpoint_is_a_config_error(make_config: Callable, tmp_path: Path, kind, words):
    write_checkpoint(kind, tmp_path / "backbone.pt")
    with pytest.raises(ConfigError) as caught:
        build(with_checkpoint(make_config, tmp_path / "backbone.pt"))
    (problem,) = caught.value.problems
    assert problem.startswith(f"feature_extractor.checkpoint: {tmp_path / 'backbone.pt'}")
    assert words in problem and "give " in problem and len(problem) < 400


@pytest.mark.heavy
@pytest.mark.parametrize("mode", ["gloss", "hamnosys"])
def test_published_sanity_configs(real_data: Path, mode: str):
    folder = real_data / "hearai_sanity"
    config = load_config(folder / f"train_config_sanity_{mode}.yml")
    num_class = {head: parameters.num_class for head, parameters in config.active_heads.items()}
    model = build_model(config, num_class).eval()
    with torch.no_grad():
        logits = model({"frames": torch.zeros(1, 2, 3, 64, 64)}, torch.tensor([[True, False]]))
    assert {head: x.shape[1] for head, x in logits.items()} == num_class
    assert mode == "gloss" or num_class == {head.name: head.num_class for head in HEADS.values()}
