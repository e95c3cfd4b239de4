"""Per-frame encoders: any timm model, only real frames, one width."""

import pytest
import timm
import torch

from hearai.errors import ConfigError
from hearai.models.feature_extractors import EXTRACTORS, CNNExtractor

FAMILIES = ["test_resnet", "test_efficientnet", "test_vit", "test_convnext", "mobilenetv3_small_050"]


def build(model_path: str = "test_efficientnet", width: int = 10) -> CNNExtractor:
    torch.manual_seed(0)
    return CNNExtractor(model_path, width, pretrained=False).eval()


@pytest.mark.parametrize("model_path", FAMILIES)
def test_every_family_gives_the_announced_widths(model_path: str):
    extractor, clip_BTCHW = build(model_path), torch.randn(2, 2, 3, 48, 48)
    with torch.no_grad():
        assert extractor.backbone_features(clip_BTCHW[0]).shape == (2, extractor.backbone_width)
        assert extractor(clip_BTCHW, torch.ones(2, 2, dtype=torch.bool)).shape == (2, 2, extractor.width)
    assert extractor.width == 10


@pytest.mark.parametrize("name", sorted(EXTRACTORS))
def test_every_name_builds(name: str):
    assert EXTRACTORS[name]("test_efficientnet", 10, pretrained=False).width == 10


def test_only_real_frames_run_through_the_backbone():
    extractor, seen = build(), []
    extractor.backbone.register_forward_hook(lambda module, args, output: seen.append(len(args[0])))
    mask_BT = torch.tensor([[True, True, True], [True, False, False]])
    extractor(torch.randn(2, 3, 3, 32, 32), mask_BT)
    assert seen == [4]


def test_frames_come_back_at_their_places():
    extractor, clip_BTCHW = build(), torch.randn(2, 3, 3, 32, 32)
    mask_BT = torch.tensor([[True, True, True], [True, True, False]])
    with torch.no_grad():
        x_BTD = extractor(clip_BTCHW, mask_BT)
        for b, t in mask_BT.nonzero().tolist():
            alone = extractor.projection(extractor.backbone_features(clip_BTCHW[b, t].unsqueeze(0)))
            assert torch.allclose(x_BTD[b, t], alone[0], atol=1e-4)


def test_what_is_in_padded_frames_does_not_matter():
    extractor, clip_BTCHW = build(), torch.randn(1, 3, 3, 32, 32)
    mask_BT = torch.tensor([[True, True, False]])
    other = clip_BTCHW.clone()
    other[0, 2] = float("nan")
    with torch.no_grad():
        assert torch.equal(extractor(clip_BTCHW, mask_BT), extractor(other, mask_BT))


def test_backbone_and_projection_both_learn():
    extractor = build().train()
    weight_D = torch.arange(10.0)  # a plain sum over the normed vector is constant
    (extractor(torch.randn(2, 2, 3, 32, 32), torch.ones(2, 2, dtype=torch.bool)) * weight_D).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in extractor.projection.parameters())
    assert any(p.grad.any() for p in extractor.backbone.parameters())


def test_unknown_model_is_a_config_error_with_close_names():
    with pytest.raises(ConfigError, match=r"model_path: 'efficentnet_b1' is no model of timm.*efficientnet_b1"):
        build("efficentnet_b1")


def test_weights_are_random_but_seeded():
    first, second = build(), build()
    torch.manual_seed(1)
    third = CNNExtractor("test_efficientnet", 10, pretrained=False)
    weights = [e.backbone.conv_stem.weight for e in (first, second, third)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_backbone_is_the_timm_model_without_its_classifier():
    plain = timm.create_model("test_efficientnet", num_classes=0)
    assert build().backbone.state_dict().keys() == plain.state_dict().keys()
