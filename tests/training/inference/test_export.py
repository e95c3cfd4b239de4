"""Exported models give the same outputs, for any number of clips, and describe their inputs."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from hearai.config.model_parts import SEQUENCE_ENCODERS
from hearai.data.transforms import normalise
from hearai.errors import ConfigError, UserError
from hearai.models.model import build_model
from hearai.training.inference import export as export_module
from hearai.training.inference.export import EXPORT_FORMATS, example_inputs, export
from hearai.training.inference.trained_model import TrainedModel

pytestmark = pytest.mark.training

NUM_CLASS = {"gloss": 5, "x": 3}
WITH_LANDMARKS = {"train_parameters.landmarks": True}
TUBELETS = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16, "tubelet_size": 2}
MODELS = {
    **{name: {"transformer.name": name} for name in SEQUENCE_ENCODERS},
    "landmarks": {**WITH_LANDMARKS, "train_parameters.frames": False, "feature_extractor.name": "gcn_extractor"},
    "points": {
        **WITH_LANDMARKS,
        "train_parameters.frames": False,
        "feature_extractor.name": "points",
        "transformer.name": "conv1d_transformer",
    },
    "points of the face": {
        **WITH_LANDMARKS,
        "train_parameters.frames": False,
        "feature_extractor.name": "points",
        "feature_extractor.points": ["hands", "face_lips"],
        "transformer.name": "fake_transformer",
    },
    "landmarks and images": WITH_LANDMARKS,
    "videomae": {
        "transformer.name": "fake_transformer",
        "feature_extractor.name": "videomae",
        "feature_extractor.network": {**TUBELETS, "image_size": 32, "intermediate_size": 32},
    },
    "vjepa2 of another image size": {
        "transformer.name": "fake_transformer",
        "feature_extractor.name": "vjepa2",
        "feature_extractor.network": {**TUBELETS, "crop_size": 48},
    },
}


@pytest.fixture
def make_trained(make_config, tmp_path):
    def make(changes: dict | None = None) -> TrainedModel:
        config = make_config(None, changes)
        torch.manual_seed(0)
        model = build_model(config, NUM_CLASS).eval()
        return TrainedModel(tmp_path, model, config, NUM_CLASS, {"gloss": {2: "house"}}, {}, None)

    return make


def outputs_of(trained: TrainedModel, tensors: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """The outputs of the model itself."""
    names = [name for name in ("frames", "landmarks") if getattr(trained.config.train_parameters, name)]
    inputs = dict(zip(names, tensors, strict=False))
    if "frames" in inputs:
        inputs["frames"] = normalise(inputs["frames"])
    with torch.no_grad():
        return list(trained.model(inputs, tensors[-1]).values())


def run_file(path: Path, tensors: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """The outputs of the file, run as another program would."""
    if path.suffix == ".pt2":
        return list(torch.export.load(path).module()(*tensors))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == list(NUM_CLASS)
    names = [node.name for node in session.get_inputs()]
    outputs = session.run(None, {name: x.numpy() for name, x in zip(names, tensors, strict=True)})
    return [torch.from_numpy(np.asarray(x)) for x in outputs]


IN_THE_SUITE = {("sign_language_transformer", "onnx"), ("landmarks and images", "onnx"), ("lstm", "pt2")}
"""An export takes up to 20 s; the others are slow tests."""


@pytest.mark.parametrize(
    ("case", "to"),
    [
        pytest.param(case, to, marks=[] if (case, to) in IN_THE_SUITE else pytest.mark.slow)
        for case in MODELS
        for to in EXPORT_FORMATS
    ],
)
def test_an_exported_model_gives_the_same_outputs(make_trained, tmp_path: Path, case: str, to: str):
    trained = make_trained(MODELS[case])
    exported = export(trained, to, tmp_path / f"out{EXPORT_FORMATS[to]}")
    assert exported.difference < 1e-5 and exported.megabytes > 0.1
    description = json.loads(exported.description.read_text())
    length = 5 if description["inputs"]["mask"]["shape"][1] == "frames" else 3
    assert length == 5 or (case, to) == ("lstm", "pt2"), "only PyTorch's format of an LSTM has a fixed length"
    tensors = example_inputs(trained, 4, length - 3, 0.6)
    for expected, found in zip(outputs_of(trained, tensors), run_file(exported.path, tensors), strict=True):
        assert torch.allclose(expected, found, atol=1e-5)
    assert description["outputs"]["gloss"]["classes"] == ["0", "1", "house", "3", "4"]


def test_the_description_gives_the_inputs(make_trained, tmp_path: Path):
    exported = export(make_trained(), "pt2", tmp_path / "model.pt2")
    description = json.loads(exported.description.read_text())
    frames = description["inputs"]["frames"]
    assert frames["shape"] == ["batch", "frames", 3, 32, 32] and frames["type"] == "uint8"
    assert frames["resize_shorter_side_to"] == 32 and description["num_segments"] == 3


def test_an_export_with_other_outputs_is_not_written(make_trained, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(export_module, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="not written: its outputs differ"):
        export(make_trained(), "pt2", tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_model_that_torch_cannot_export_is_named(make_trained, tmp_path: Path):
    """torch 2.15 makes batches of one clip an error of the file where attention follows tubelets; ONNX has them."""
    trained = make_trained({**MODELS["videomae"], "transformer.name": "sign_language_transformer"})
    with pytest.raises(UserError, match=r"not written: this model cannot be exported as pt2 \(.*try another format"):
        export(trained, "pt2", tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []
    assert export(trained, "onnx", tmp_path / "model.onnx").difference < 1e-5


def test_images_of_any_size_cannot_be_exported(make_trained, tmp_path: Path):
    trained = make_trained({"augmentations_parameters.apply_center_crop": False})
    with pytest.raises(ConfigError, match="apply_center_crop is false, so images have no fixed size"):
        export(trained, "pt2", tmp_path / "model.pt2")
