"""VideoMAE and V-JEPA 2: as `transformers` computes them, from a folder on disk, for masked clips of any length."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.errors import ConfigError
from hearai.models.model import build_initial_model
from hearai.models.video.tubelets import build_tubelet_net, tubelet_mask, tubelet_means, whole_tubelets
from hearai.training.setup.prepare import with_weights
from hearai.training.setup.starting_weights import with_copy, with_kept_weights, write_copy

SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16}
NAMES = ("videomae", "vjepa2")


def published(name: str) -> nn.Module:
    """A small network of `transformers` with the parts that its published files have."""
    from transformers import VideoMAEConfig, VideoMAEForPreTraining, VJEPA2Config, VJEPA2Model

    torch.manual_seed(1)
    if name == "videomae":
        decoder = {"decoder_hidden_size": 12, "decoder_num_attention_heads": 2, "decoder_num_hidden_layers": 1}
        sizes = {**SIZES, **decoder, "image_size": 32, "num_frames": 6, "intermediate_size": 32}
        return VideoMAEForPreTraining(VideoMAEConfig(**sizes, use_mean_pooling=False)).eval()
    predictor = {"pred_hidden_size": 12, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    return VJEPA2Model(VJEPA2Config(**SIZES, **predictor, crop_size=32, frames_per_clip=6, mlp_ratio=2.0)).eval()


def published_features(net: nn.Module, clip_BTCHW: Tensor) -> Tensor:
    """(B, U, W)."""
    encode = net.videomae if hasattr(net, "videomae") else lambda x: net(x, skip_predictor=True)
    return encode(clip_BTCHW).last_hidden_state.unflatten(1, (-1, 4)).mean(2)


def clip(frames: int, clips: int = 2) -> Tensor:
    return torch.randn(clips, frames, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def config_for(make_config: Callable[..., Config], name: str, path: Path) -> Config:
    return make_config(None, {"feature_extractor.name": name, "feature_extractor.pretrained": str(path)})


@pytest.mark.heavy
@pytest.mark.parametrize("name", NAMES)
def test_features_equal_those_of_transformers(
    make_config: Callable[..., Config], tmp_path: Path, name: str, monkeypatch
):
    net = published(name)
    net.save_pretrained(tmp_path)
    monkeypatch.setattr("socket.getaddrinfo", None)  # any use of the network would fail
    config = with_weights(config_for(make_config, name, tmp_path))
    model = build_initial_model(config, {"gloss": 3}).eval()
    with torch.no_grad():
        ours_BUW = model.feature_extractor.backbone(clip(6), torch.ones(2, 6, dtype=torch.bool))
        assert torch.allclose(ours_BUW, published_features(net, clip(6)), atol=1e-6)
        assert model({"frames": clip(5)}, torch.ones(2, 5, dtype=torch.bool))["gloss"].shape == (2, 3)
    other = "decoder." if name == "videomae" else "predictor."
    assert any(part.startswith(other) for part in model.start.left)
    assert config.feature_extractor.network["hidden_size"] == 24, "so that a trained model needs no folder"
    assert config.freeze_scheduler.model_params, "frozen by default"
    assert with_weights(config) == config


@pytest.mark.heavy
@pytest.mark.parametrize("name", NAMES)
def test_a_study_keeps_the_network_of_a_folder_that_is_gone(
    make_config: Callable[..., Config], tmp_path: Path, name: str
):
    folder, copy = tmp_path / "published", tmp_path / "study" / "backbone.pt"
    published(name).save_pretrained(folder)
    config = config_for(make_config, name, folder)
    before = with_weights(config)
    write_copy(before, copy)
    folder.rename(tmp_path / "moved")
    assert with_weights(with_kept_weights(config, copy)) == with_weights(with_copy(before, copy))


def test_old_names_of_biases_are_known(make_config: Callable[..., Config], tmp_path: Path):
    from safetensors.torch import load_file, save_file

    published("videomae").save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    old = {x.replace("query.bias", "q_bias").replace("value.bias", "v_bias"): y for x, y in weights.items()}
    save_file(old, tmp_path / "model.safetensors")
    assert with_weights(config_for(make_config, "videomae", tmp_path)).feature_extractor.weights_sha256


@pytest.mark.parametrize("name", NAMES)
def test_a_shorter_clip_is_as_it_is_alone(name: str):
    torch.manual_seed(0)
    side = {"videomae": {"image_size": 32, "intermediate_size": 32}, "vjepa2": {"crop_size": 32}}[name]
    net, mask_BT = build_tubelet_net(name, {**SIZES, **side}).eval(), torch.arange(7) < torch.tensor([[7], [3]])
    padded = clip(7)
    padded[1, 3:] = torch.nan
    with torch.no_grad():
        together, alone = net(padded, mask_BT), net(clip(7)[1:, :3], mask_BT[1:, :3])
    assert together.shape == (2, 4, 24) and together.isfinite().all()
    assert torch.allclose(together[1, :2], alone[0], atol=1e-5)


def test_frames_masks_and_vectors_of_tubelets():
    mask_BT = torch.tensor([[True, True, True], [True, False, False]])
    x_BT1 = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[..., None]
    images = whole_tubelets(x_BT1[..., None, None], mask_BT, 2)[..., 0, 0, 0]
    assert images.tolist() == [[1, 2, 3, 3], [4, 4, 4, 4]]
    assert tubelet_mask(mask_BT, 2).tolist() == [[True, True], [True, False]]
    assert tubelet_means(x_BT1, mask_BT, 2)[..., 0].tolist() == [[1.5, 3], [4, 0]]


def test_landmarks_are_added_to_the_vectors_of_tubelets(make_config: Callable[..., Config]):
    values = {"feature_extractor.name": "vjepa2", "train_parameters.landmarks": True}
    model = build_initial_model(make_config(None, values), {"gloss": 3})
    inputs = {"frames": clip(5), "landmarks": torch.ones(2, 5, 75, 4)}
    assert model(inputs, torch.ones(2, 5, dtype=torch.bool))["gloss"].shape == (2, 3)


WRONG = {
    "unknown; choose from": {"hidden": 3},
    "must be from 1 to 65536": {"hidden_size": 0},
    "gives no network of videomae": {"hidden_size": 25, "num_attention_heads": 2},
}


@pytest.mark.parametrize("reason", WRONG)
def test_values_that_give_no_network_are_refused(make_config: Callable[..., Config], reason: str):
    values = {"feature_extractor.name": "videomae", "feature_extractor.network": WRONG[reason]}
    with pytest.raises(ConfigError, match=f"feature_extractor.network.*{reason}"):
        with_weights(make_config(None, values))


def test_folders_of_other_networks_are_refused(make_config: Callable[..., Config], tmp_path: Path):
    published("vjepa2").save_pretrained(tmp_path)
    with pytest.raises(
        ConfigError, match="has weights of 'vjepa2'.*asks for 'videomae'; set feature_extractor.name: vjepa2"
    ):
        with_weights(config_for(make_config, "videomae", tmp_path))
    config = config_for(make_config, "vjepa2", tmp_path)
    with pytest.raises(ConfigError, match="leave it out to take over the latter"):
        with_weights(override(config, {"feature_extractor.network": {"hidden_size": 48}}))
    described = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**described, "hidden_size": 48}))
    with pytest.raises(ConfigError, match="another network .*shape"):
        with_weights(config)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ConfigError, match="no config.json beside it"):
        with_weights(config)
