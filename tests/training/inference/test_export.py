"""Exported models: they answer as the model does, for any number of clips, and say how to use them."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from hearai.data.transforms import normalise
from hearai.errors import ConfigError, UserError
from hearai.models.model import build_model
from hearai.models.sequence_encoders import TRANSFORMERS
from hearai.training.inference import export as export_module
from hearai.training.inference.export import FORMATS, example_inputs, export
from hearai.training.inference.trained_model import TrainedModel

NUM_CLASS = {"gloss": 5, "x": 3}
BESIDE = {"train_parameters.landmarks": True}
CASES = {
    **{name: {"transformer.name": name} for name in TRANSFORMERS},
    "landmarks": {**BESIDE, "train_parameters.frames": False, "feature_extractor.name": "gcn_extractor"},
    "landmarks beside pictures": BESIDE,
}


@pytest.fixture
def make_trained(make_config, tmp_path):
    def make(changes: dict | None = None) -> TrainedModel:
        config = make_config(None, changes)
        torch.manual_seed(0)
        model = build_model(config, NUM_CLASS).eval()
        return TrainedModel(tmp_path, model, config, NUM_CLASS, {"gloss": {2: "house"}}, {}, None)

    return make


def answers(trained: TrainedModel, tensors: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """What the model itself says."""
    names = [name for name in ("frames", "landmarks") if getattr(trained.config.train_parameters, name)]
    inputs = dict(zip(names, tensors, strict=False))
    if "frames" in inputs:
        inputs["frames"] = normalise(inputs["frames"])
    with torch.no_grad():
        return list(trained.model(inputs, tensors[-1]).values())


def run_file(path: Path, tensors: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """What the file says, run as another program would."""
    if path.suffix == ".pt2":
        return list(torch.export.load(path).module()(*tensors))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == list(NUM_CLASS)
    names = [given.name for given in session.get_inputs()]
    found = session.run(None, {name: x.numpy() for name, x in zip(names, tensors, strict=True)})
    return [torch.from_numpy(np.asarray(x)) for x in found]


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_an_exported_model_answers_as_the_model_does(make_trained, tmp_path: Path, case: str, to: str):
    trained = make_trained(CASES[case])
    exported = export(trained, to, tmp_path / f"out{FORMATS[to]}")
    assert exported.difference < 1e-5 and exported.megabytes > 0.1
    said = json.loads(exported.description.read_text())
    length = 5 if said["inputs"]["mask"]["shape"][1] == "frames" else 3
    assert length == 5 or (case, to) == ("lstm", "pt2"), "only PyTorch's format of an LSTM has a fixed length"
    tensors = example_inputs(trained, 4, length - 3, 0.6)
    for wanted, found in zip(answers(trained, tensors), run_file(exported.path, tensors), strict=True):
        assert torch.allclose(wanted, found, atol=1e-5)
    assert said["outputs"]["gloss"]["classes"] == ["0", "1", "house", "3", "4"]


def test_the_description_says_what_a_program_must_feed(make_trained, tmp_path: Path):
    exported = export(make_trained(), "pt2", tmp_path / "model.pt2")
    said = json.loads(exported.description.read_text())
    frames = said["inputs"]["frames"]
    assert frames["shape"] == ["batch", "frames", 3, 32, 32] and frames["type"] == "uint8"
    assert frames["resize_shorter_side_to"] == 32 and said["num_segments"] == 3


def test_a_file_that_answers_otherwise_is_not_written(make_trained, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(export_module, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="not written: its outputs differ"):
        export(make_trained(), "pt2", tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_any_size_cannot_be_exported(make_trained, tmp_path: Path):
    trained = make_trained({"augmentations_parameters.apply_center_crop": False})
    with pytest.raises(ConfigError, match="apply_center_crop is false, so pictures have no fixed size"):
        export(trained, "pt2", tmp_path / "model.pt2")
