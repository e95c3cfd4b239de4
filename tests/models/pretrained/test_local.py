"""Weights of a path: loaded as the libraries would load them, or refused with the reason; never from the network."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import resnet50

from hearai.config.model_schema import FeatureExtractorParameters as Settings
from hearai.errors import ConfigError
from hearai.files import sha256_of
from hearai.models.feature_extractors import FeatureExtractor, build_extractor, load_local
from hearai.models.pretrained.local import Taken
from hearai.training.outputs.checkpoint import save_checkpoint, save_tensors

MODEL = "test_efficientnet"
IMAGES = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def timm_folder(tmp_path: Path) -> Path:
    """What timm writes for a hub repository: config.json and model.safetensors."""
    torch.manual_seed(3)
    net = timm.create_model(MODEL)
    timm.models.save_for_hf(net, tmp_path / "timm", safe_serialization=True)
    return tmp_path / "timm"


def load(path: object, model: str = MODEL, name: str = "cnn_extractor") -> tuple[FeatureExtractor, Taken]:
    """An extractor with the weights of a path, in eval mode, and what was taken."""
    settings = Settings(name=name, model_path=model, pretrained=str(path), representation_size=4)
    extractor = build_extractor(settings, pretrained=False).eval()
    return extractor, load_local(extractor, settings)


def refused(path: object, model: str = MODEL) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, model)
    (problem,) = caught.value.problems
    return problem


def to_bin(folder: Path) -> Path:
    """The same weights in a pytorch_model.bin."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


FORMS: dict[str, Callable[[Path], Path]] = {
    "folder": lambda folder: folder,
    "bin": to_bin,
    "file": lambda folder: (folder / "model.safetensors").rename(folder.parent / "weights.safetensors"),
}


@pytest.mark.heavy
@pytest.mark.parametrize("form", FORMS)
def test_features_equal_those_of_timm_with_the_same_weights(timm_folder: Path, form: str, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", None)  # any use of the network would fail
    published = timm.create_model(f"local-dir:{timm_folder}", pretrained=True, num_classes=0).eval()
    extractor, taken = load(FORMS[form](timm_folder))
    with torch.no_grad():
        assert torch.equal(extractor.backbone_features(IMAGES), published(IMAGES))
    assert taken.sha256 == sha256_of(taken.path)
    assert taken.left == ("classifier.bias (1000,)", "classifier.weight (1000, 256)")
    assert "not taken: classifier.bias (1000,)" in taken.summary


@pytest.mark.heavy
def test_torchvision_weights_from_a_file(tmp_path: Path):
    weights = resnet50().state_dict()
    save_file(weights, tmp_path / "w.safetensors")
    extractor, taken = load(tmp_path / "w.safetensors", name="resnet50_extractor")
    assert torch.equal(extractor.backbone.conv1.weight, weights["conv1.weight"])
    assert len(taken.left) == 2 and taken.left[0].startswith("fc.")


@pytest.mark.heavy
def test_backbone_and_checkpoint_of_ours(tmp_path: Path):
    source = build_extractor(Settings(model_path=MODEL), pretrained=False)
    save_tensors(tmp_path / "backbone.pt", {"backbone": source.backbone.state_dict(), "model_path": MODEL})
    model = {f"feature_extractor.{name}": x for name, x in source.state_dict().items()} | {"heads.x": torch.ones(2)}
    config = {"feature_extractor": {"model_path": MODEL}}
    save_checkpoint(tmp_path / "run" / "best", {"model": model, "config": config})
    for path in ("backbone.pt", "run", "run/best", "run/best/state.pt"):
        extractor, taken = load(tmp_path / path)
        assert torch.equal(extractor.backbone.conv_stem.weight, source.backbone.conv_stem.weight)
        assert ("heads.x (2,)" in taken.left) is path.startswith("run")
    assert "has weights of 'test_efficientnet', but the config asks for 'test_vit'" in refused(
        tmp_path / "run", "test_vit"
    )


def test_another_network_is_refused_with_its_name(timm_folder: Path):
    problem = refused(timm_folder, "test_resnet")
    assert "has weights of 'test_efficientnet', but the config asks for 'test_resnet'" in problem
    assert "set feature_extractor.model_path: test_efficientnet" in problem


CHANGED: dict[str, Callable[[dict], dict]] = {
    "weights are missing, such as conv_stem.weight": lambda _: timm.create_model("test_vit").state_dict(),
    "it has 1 weights that this network lacks, such as blocks.9.x": lambda x: {**x, "blocks.9.x": torch.ones(1)},
    "conv_stem.weight is (7, 3, 3, 3) there": lambda x: {**x, "conv_stem.weight": torch.ones(7, 3, 3, 3)},
}


@pytest.mark.parametrize("reason", CHANGED)
def test_a_bare_file_of_another_network_is_refused(tmp_path: Path, reason: str):
    save_file(CHANGED[reason](timm.create_model(MODEL).state_dict()), tmp_path / "w.safetensors")
    problem = refused(tmp_path / "w.safetensors")
    assert "holds the weights of another network" in problem and reason in problem and len(problem) < 700


@pytest.mark.heavy
def test_arguments_of_timm_that_change_the_network_are_refused(timm_folder: Path):
    path = timm_folder / "config.json"
    for arguments, is_refused in (
        ({"num_classes": 7, "in_chans": 3}, False),
        ({"in_chans": 1}, True),
        ({"x": 1}, True),
    ):
        path.write_text(json.dumps({"architecture": MODEL, "model_args": arguments}))
        if is_refused:
            assert "model_args" in refused(timm_folder)
        else:
            load(timm_folder)


def test_other_statistics_of_images_are_a_warning(timm_folder: Path, caplog: pytest.LogCaptureFixture):
    (timm_folder / "config.json").write_text(json.dumps({"pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}))
    with caplog.at_level(logging.WARNING, logger="hearai"):
        load(timm_folder)
    assert "normalised by mean [0.5, 0.5, 0.5]" in caplog.text


BROKEN = {
    "no file": (None, "no such file or folder"),
    "empty.safetensors": (b"", "cannot be read as weights"),
    "cut.safetensors": (b"\x08\0\0\0\0\0\0\0{}", "cannot be read as weights"),
    "text.bin": (b"hello", "cannot be read as weights"),
    "list.pt": ([torch.ones(1)], "holds no mapping of names to tensors"),
    "none.pt": ({}, "holds no mapping of names to tensors"),
    "nan.pt": ({"nan": None}, "not finite numbers"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_weights_is_refused(tmp_path: Path, name: str):
    content, reason = BROKEN[name]
    if name == "nan.pt":
        weights = timm.create_model(MODEL, num_classes=0).state_dict()
        content = {key: x * torch.nan if x.is_floating_point() else x for key, x in weights.items()}
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / name)
    assert reason in refused(tmp_path / name)


@pytest.mark.parametrize("path", ["", "\0", "x" * 5000, "/dev/zero"])
def test_what_is_no_path_is_refused(path: str):
    assert "no such file or folder" in refused(path)


def test_folders_without_one_file_of_weights_are_refused(tmp_path: Path, timm_folder: Path):
    assert "holds none of model.safetensors" in refused(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    assert "in several files" in refused(tmp_path)
    for content in ("[1]", "{", "[" * 100_000):
        (timm_folder / "config.json").write_text(content)
        assert "cannot be read as JSON" in refused(timm_folder)
