"""Feature extractors: the interface of all of them, and properties of each."""

from pathlib import Path

import pytest
import timm
import torch
from torchvision.models import ResNet50_Weights, WeightsEnum, resnet50
from torchvision.models.video import R2Plus1D_18_Weights, r2plus1d_18

from hearai.config.model_parts import EXTRACTORS
from hearai.config.model_schema import FeatureExtractorParameters as Settings
from hearai.errors import ConfigError
from hearai.models.feature_extractors import FeatureExtractor, backbone_name, build_extractor, weight_source
from hearai.models.landmarks.gcn import LandmarkGraph, adjacency
from hearai.models.pretrained.published import resolve_pretrained
from hearai.models.video.resnet import DenseR2Plus1D
from hearai.sign.skeleton import BODY, CHANNELS, LEFT, POINTS, RIGHT

FAMILIES = ["test_resnet", "test_efficientnet", "test_vit", "test_convnext", "mobilenetv3_small_050"]
MASK_BT = torch.tensor([[True, True, True], [True, True, False]])


def build(name: str = "cnn_extractor", model_path: str = "test_efficientnet", width: int = 10) -> FeatureExtractor:
    torch.manual_seed(0)
    settings = Settings(name=name, model_path=model_path, representation_size=width)
    return build_extractor(settings, pretrained=False).eval()


def clip_for(name: str, *shape: int) -> torch.Tensor:
    """Inputs (*shape, ...) of the type that the extractor reads, different in every frame."""
    generator = torch.Generator().manual_seed(1)
    if EXTRACTORS[name].reads == "frames":
        return torch.randn(*shape, 3, 32, 32, generator=generator)
    points = torch.randn(*shape, POINTS, CHANNELS, generator=generator)
    points[..., 3] = 1
    return points


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(EXTRACTORS))
def test_one_vector_of_the_announced_width_per_frame(name: str):
    extractor = build(name)
    with torch.no_grad():
        x_BTD = extractor(clip_for(name, 2, 3), MASK_BT)
    vectors = -(-3 // extractor.stride)
    assert extractor.width == 10 and x_BTD.shape == (2, vectors, 10) and x_BTD.isfinite().all()
    assert not torch.allclose(x_BTD[0, 0], x_BTD[0, 1], atol=1e-4), "different frames have different vectors"


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(EXTRACTORS))
@pytest.mark.parametrize("content", [0.0, 7.0, float("nan")])
def test_content_of_padded_frames_has_no_influence(name: str, content: float):
    extractor, clip = build(name), clip_for(name, 2, 3)
    padded = clip.clone()
    padded[1, 2] = content
    with torch.no_grad():
        together, alone = extractor(padded, MASK_BT), extractor(clip[1:, :2], MASK_BT[1:, :2])
    assert torch.allclose(together[1, : len(alone[0])], alone[0], atol=1e-4)


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(EXTRACTORS))
def test_backbone_and_projection_get_gradients(name: str):
    extractor, weight_D = (
        build(name).train(),
        torch.arange(10.0),
    )  # the unweighted sum of a normalised vector is constant
    (extractor(clip_for(name, 2, 3), MASK_BT) * weight_D).sum().backward()
    for part in (extractor.backbone, extractor.projection):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters())


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(EXTRACTORS))
def test_export_with_any_number_of_clips_and_frames(name: str):
    extractor, clip = build(name), clip_for(name, 2, 3)
    batch, frames = torch.export.Dim("batch", max=64), torch.export.Dim("frames", max=64)
    if (
        extractor.stride > 1
    ):  # a single tubelet is a special case of torch's kernels; export.py leaves the range to torch
        frames = torch.export.Dim.AUTO
    shapes = ({0: batch, 1: frames}, {0: batch, 1: frames})
    exported = torch.export.export(extractor, (clip, MASK_BT), dynamic_shapes=shapes)
    other, mask_BT = clip_for(name, 3, 5), torch.arange(5) < torch.tensor([[5], [2], [3]])
    with torch.no_grad():
        expected, actual = extractor(other, mask_BT), exported.module()(other, mask_BT)
    vectors_BT = extractor.vector_mask(mask_BT)
    assert torch.allclose(actual[vectors_BT], expected[vectors_BT], atol=1e-4)


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(name for name, spec in EXTRACTORS.items() if spec.per_frame))
def test_cached_features_give_the_vector_of_the_frame(name: str):
    extractor, clip = build(name), clip_for(name, 2, 3)
    with torch.no_grad():
        x_BTD = extractor(clip, MASK_BT)
        for b, t in MASK_BT.nonzero().tolist():
            alone = extractor.projection(extractor.backbone_features(clip[b, t].unsqueeze(0)))
            assert torch.allclose(x_BTD[b, t], alone[0], atol=1e-4)


def test_backbone_gets_real_frames_only():
    extractor, seen = build(), []
    extractor.backbone.register_forward_hook(lambda module, args, output: seen.append(len(args[0])))
    extractor(clip_for("cnn_extractor", 2, 3), torch.tensor([[True, True, True], [True, False, False]]))
    assert seen == [4]


@pytest.mark.parametrize("model_path", FAMILIES)
def test_announced_width_of_timm_models(model_path: str):
    extractor = build(model_path=model_path)
    with torch.no_grad():
        assert extractor.backbone_features(torch.randn(2, 3, 48, 48)).shape == (2, extractor.backbone_width)


def test_multi_frame_feature_extractor_is_the_cnn():
    one, other = build("multi_frame_feature_extractor"), build("cnn_extractor")
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_unknown_model_is_a_config_error_with_close_matches():
    with pytest.raises(ConfigError, match=r"model_path: 'efficentnet_b1' is not a model of timm.*efficientnet_b1"):
        build(model_path="efficentnet_b1")


def test_weights_are_random_but_seeded():
    first, second = build(), build()
    third = build_extractor(Settings(model_path="test_efficientnet"), pretrained=False)
    weights = [e.backbone.conv_stem.weight for e in (first, second, third)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_backbone_is_the_timm_model_without_classifier():
    plain = timm.create_model("test_efficientnet", num_classes=0)
    assert build().backbone.state_dict().keys() == plain.state_dict().keys()


def test_backbone_name_identifies_the_network():
    assert backbone_name(Settings(model_path="resnet18")) == "resnet18"
    assert backbone_name(Settings(name="video_resnet", model_path="resnet18")) == "video_resnet"


@pytest.mark.heavy
@pytest.mark.parametrize("frames", [16, 11, 3])
def test_every_eighth_vector_of_video_resnet_equals_torchvision(frames: int):
    torch.manual_seed(0)
    dense, published = DenseR2Plus1D(pretrained=False).eval(), r2plus1d_18().eval()
    published.fc = torch.nn.Identity()
    published.load_state_dict(dense.net.state_dict())
    clip_BTCHW = torch.randn(1, frames, 3, 32, 32)
    with torch.no_grad():
        dense_BTW = dense(clip_BTCHW, torch.ones(1, frames, dtype=torch.bool))
        expected_BW = published((clip_BTCHW * dense.scale_C11 + dense.shift_C11).transpose(1, 2))
    assert torch.allclose(dense_BTW[:, ::8].mean(1), expected_BW, atol=1e-5)


@pytest.mark.heavy
def test_vectors_of_video_resnet_depend_on_neighbouring_frames():
    extractor, clip = build("video_resnet"), clip_for("video_resnet", 1, 3)
    other = clip.clone()
    other[0, 2] += 1
    with torch.no_grad():
        vectors = [extractor(x, MASK_BT[:1])[0, 0] for x in (clip, other)]
    assert not torch.allclose(*vectors, atol=1e-5)
    assert not EXTRACTORS["video_resnet"].per_frame, "so its output cannot be cached per frame"


TORCHVISION = {
    "resnet50_extractor": (resnet50, ResNet50_Weights.IMAGENET1K_V2, ""),
    "video_resnet": (r2plus1d_18, R2Plus1D_18_Weights.KINETICS400_V1, "net."),
}


def downloaded(weights: WeightsEnum, folder: Path) -> Path:
    """The path to which torch's hub downloads these weights."""
    (folder / "checkpoints").mkdir()
    return folder / "checkpoints" / weights.url.rpartition("/")[2]


@pytest.mark.heavy
@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_weights_are_loaded_from_disk(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    build_net, weights, prefix = TORCHVISION[name]
    (tmp_path / "hub").mkdir()
    source = build_net().state_dict()
    torch.save(source, downloaded(weights, tmp_path / "hub"))
    settings = Settings(name=name, representation_size=4)
    assert resolve_pretrained(weight_source(settings), True)
    loaded = build_extractor(settings, pretrained=True).backbone.state_dict()
    assert all(torch.equal(loaded[prefix + key], x) for key, x in source.items() if not key.startswith("fc."))


@pytest.mark.heavy
def test_corrupt_torchvision_weights_are_a_config_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub").mkdir()
    downloaded(ResNet50_Weights.IMAGENET1K_V2, tmp_path / "hub").write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="weights of ResNet50_Weights.IMAGENET1K_V2 are not available"):
        build_extractor(Settings(name="resnet50_extractor"), pretrained=True)


def test_gcn_extractor_has_no_published_weights():
    source = weight_source(Settings(name="gcn_extractor"))
    assert resolve_pretrained(source, "auto") is False
    with pytest.raises(ConfigError, match="weights of gcn_extractor are not available .none are published."):
        resolve_pretrained(source, True)


def points() -> torch.Tensor:
    """(1, P, C): every point known, at random positions."""
    x = torch.randn(1, POINTS, CHANNELS, generator=torch.Generator().manual_seed(2))
    x[..., 3] = 1
    return x


def test_skeleton_is_connected():
    joined_PP = adjacency()
    assert torch.equal(joined_PP, joined_PP.T) and joined_PP.sum(1).min() >= 2
    assert joined_PP[BODY + 15, LEFT] and joined_PP[BODY + 16, RIGHT]
    reachable = torch.linalg.matrix_power(joined_PP, POINTS) > 0
    assert reachable.all(), "there is a path between any two points"


def test_unknown_points_have_no_influence():
    torch.manual_seed(0)
    net, x = LandmarkGraph().eval(), points()
    x[:, LEFT : LEFT + 21, 3] = 0
    moved = x.clone()
    moved[:, LEFT : LEFT + 21, :3] += 5
    with torch.no_grad():
        assert torch.equal(net(x), net(moved))
        moved[:, LEFT : LEFT + 21, 3] = 1
        assert not torch.allclose(net(x), net(moved), atol=1e-3)


def test_frame_without_known_points_gives_finite_values():
    with torch.no_grad():
        assert LandmarkGraph()(torch.zeros(1, POINTS, CHANNELS)).isfinite().all()
