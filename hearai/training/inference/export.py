"""Exports a trained model to one file for other programs: ONNX, or PyTorch's `pt2`. B clips, T frames, K classes.

The exported graph takes the output of a decoder (uint8 images of the right size, or landmarks); it normalises itself.
"""

import importlib.metadata
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hearai.data.annotations.metadata import class_name
from hearai.data.transforms import normalise
from hearai.errors import ConfigError, UserError
from hearai.files import atomic_write, atomic_write_text, require_writable_file
from hearai.sign.skeleton import CHANNELS, count_points
from hearai.training.inference.trained_model import TrainedModel

EXPORT_FORMATS = {"onnx": ".onnx", "pt2": ".pt2"}
"""{format: suffix of its files}."""

MISFITS = (RuntimeError, TypeError, ValueError, AssertionError, AttributeError, LookupError)
"""What exporters, and the files they have written, raise for a model that they do not support."""

TOLERANCE = 1e-3
"""Largest difference of a logit that counts as rounding: other kernels sum in a different order."""

CHECKED_INPUTS = ((1, 0, 1.0), (3, 0, 0.5), (2, 3, 0.4))
"""Inputs on which an exported model is compared: (clips, extra frames, length of the shortest clip as a share)."""


class Deployed(nn.Module):
    """The model with normalisation in front, and inputs and outputs in a fixed order."""

    def __init__(self, model: nn.Module, inputs: list[str], heads: list[str]):
        super().__init__()
        self.model, self.inputs, self.heads = model, inputs, heads

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Inputs in order, then the mask (B, T) -> logits (B, K) of each head."""
        *values, mask_BT = tensors
        inputs = dict(zip(self.inputs, values, strict=True))
        if "frames" in inputs:
            inputs["frames"] = normalise(inputs["frames"])
        logits = self.model(inputs, mask_BT)
        return tuple(logits[head] for head in self.heads)


@dataclass(frozen=True)
class Exported:
    """The files written, and how closely they match the model."""

    path: Path
    description: Path
    """JSON beside the file: inputs, outputs, class names."""
    difference: float
    """Largest difference of a logit on `CHECKED_INPUTS`."""
    megabytes: float


def export(trained: TrainedModel, to: str, path: Path) -> Exported:
    """Writes the model and its description, after checking that the exported model gives the same outputs.

    Raises:
        ConfigError: images without a fixed size, or a path that cannot be written.
        UserError: the packages for ONNX are missing, or the outputs differ.
    """
    description = path.with_suffix(".json")
    if path == description:
        raise ConfigError(f"--out {path}: is where the description is written; give a name that ends in another way")
    require_writable_file(path, "--out")
    heads = list(trained.num_class)
    deployed = Deployed(trained.model.cpu(), inputs_of(trained), heads).eval()
    example = example_inputs(trained, 2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, torch.no_grad():
            # torch's exporter warns about its internals (the weights of an LSTM); the outputs are compared below
            with warnings.catch_warnings(record=True), _named_problems(to, path):
                runner = {"onnx": _write_onnx, "pt2": _write_pt2}[to](deployed, example, temporary)
                difference = _difference(deployed, runner, trained)
            if not difference <= TOLERANCE:
                raise UserError(
                    f"{path}: not written: its outputs differ by {difference:.3g} from the model's; expected at most "
                    f"{TOLERANCE:g}; try another format ({', '.join(EXPORT_FORMATS)})"
                )
        atomic_write_text(description, json.dumps(describe(trained, runner.any_length), indent=1, ensure_ascii=False))
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot be written ({error.strerror or error}); give another path") from None
    return Exported(path, description, difference, path.stat().st_size / 1e6)


@contextmanager
def _named_problems(to: str, path: Path) -> Iterator[None]:
    """Within the block: what the exporter cannot convert, and what its file does not take, is the user's to know."""
    try:
        yield
    except MISFITS as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in lines if "No ONNX function" in line), lines[0] if lines else repr(error))
        raise UserError(
            f"{path}: not written: this model cannot be exported as {to} ({reason:.300}); try another format "
            f"({', '.join(set(EXPORT_FORMATS) - {to})}) or another sequence encoder"
        ) from None


def inputs_of(trained: TrainedModel) -> list[str]:
    """Names of the model's inputs, in the order of the exported graph; the mask follows."""
    train = trained.config.train_parameters
    return [name for name, used in (("frames", train.frames), ("landmarks", train.landmarks)) if used]


def example_inputs(trained: TrainedModel, clips: int, extra: int = 0, shortest: float = 1.0) -> tuple[Tensor, ...]:
    """Random inputs and a mask: `extra` frames more than in training, the last clip shorter by a factor."""
    frames = max(2, trained.config.train_parameters.num_segments) + extra
    generator = torch.Generator().manual_seed(0)
    height, width = image_size(trained) if "frames" in inputs_of(trained) else (0, 0)
    images = (clips, frames, 3, height, width)
    points = count_points(face=trained.config.feature_extractor.reads_face)
    draw = {
        "frames": lambda: torch.randint(0, 256, images, generator=generator, dtype=torch.uint8),
        "landmarks": lambda: torch.randn(clips, frames, points, CHANNELS, generator=generator),
    }
    mask_BT = torch.ones(clips, frames, dtype=torch.bool)
    mask_BT[-1, max(1, round(shortest * frames)) :] = False
    return (*(draw[name]() for name in inputs_of(trained)), mask_BT)


def image_size(trained: TrainedModel) -> tuple[int, int]:
    """(H, W) of the images that the model was trained on.

    Raises:
        ConfigError: without a crop, images may have any size.
    """
    parameters = trained.config.augmentations_parameters
    if not parameters.apply_center_crop:
        raise ConfigError(
            f"{trained.folder}: augmentations_parameters.apply_center_crop is false, so images have no fixed size; "
            "an exported model needs one"
        )
    return parameters.crop_sides


def describe(trained: TrainedModel, any_length: bool) -> dict[str, Any]:
    """What a program needs to know to use the exported model.

    Args:
        any_length: whether clips may have another number of frames than in training.
    """
    train, images = trained.config.train_parameters, trained.config.augmentations_parameters
    frames = "frames" if any_length else train.num_segments
    temperatures = trained.reliability.temperatures if trained.reliability else {}
    shapes: dict[str, Any] = {}
    if train.frames:
        shapes["frames"] = {
            "shape": ["batch", frames, 3, *image_size(trained)],
            "type": "uint8",
            "resize_shorter_side_to": images.resize_size if images.apply_resize else None,
            "colours": "RGB",
        }
    if train.landmarks:
        points = count_points(face=trained.config.feature_extractor.reads_face)
        shapes["landmarks"] = {"shape": ["batch", frames, points, CHANNELS], "type": "float32"}
    shapes["mask"] = {"shape": ["batch", frames], "type": "bool", "meaning": "true at real frames, they come first"}
    return {
        "inputs": shapes,
        "num_segments": train.num_segments,
        "seconds_between_frames": train.time,
        "outputs": {
            head: {
                "logits": number,
                "temperature": temperatures.get(head, 1.0),
                "classes": [class_name(trained.class_names, head, k) for k in range(number)],
            }
            for head, number in trained.num_class.items()
        },
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "timm")},
    }


@dataclass(frozen=True)
class _Runner:
    """The exported model, read back and ready to run."""

    run: Callable[..., Sequence[Tensor]]
    any_length: bool
    """Whether it takes any number of frames; PyTorch's format fixes that of an LSTM."""


def _dynamic_shapes(count: int) -> tuple[dict[int, Any], ...]:
    """For `count` tensors: any batch size, and any number of frames where the model's layers allow it."""
    batch = torch.export.Dim("batch", min=1, max=1024)
    # named for the first tensor only: ONNX allows a name on one axis
    return tuple({0: torch.export.Dim.AUTO if i else batch, 1: torch.export.Dim.AUTO} for i in range(count))


def _write_pt2(deployed: Deployed, example: tuple[Tensor, ...], path: Path) -> _Runner:
    exported = torch.export.export(deployed, example, dynamic_shapes=(_dynamic_shapes(len(example)),))
    with path.open("wb") as file:
        torch.export.save(exported, file)
    with path.open("rb") as file:
        loaded = torch.export.load(file)
    first = next(node for node in loaded.graph.nodes if node.name == loaded.graph_signature.user_inputs[0])
    return _Runner(loaded.module(), isinstance(first.meta["val"].shape[1], torch.SymInt))


def _write_onnx(deployed: Deployed, example: tuple[Tensor, ...], path: Path) -> _Runner:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  needed by torch's exporter
    except ImportError as error:
        raise UserError(f"--to onnx: {error.name} is not installed; pip install 'hearai[export]'") from None
    names = [*deployed.inputs, "mask"]
    program = torch.onnx.export(
        deployed,
        example,
        dynamo=True,
        dynamic_shapes=(_dynamic_shapes(len(example)),),
        input_names=names,
        output_names=deployed.heads,
        verbose=False,
    )
    program.save(str(path), external_data=False)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(*tensors: Tensor) -> list[Tensor]:
        batches = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        return [torch.from_numpy(np.asarray(logits)) for logits in session.run(deployed.heads, batches)]

    return _Runner(run, isinstance(session.get_inputs()[0].shape[1], str))


def _difference(deployed: Deployed, runner: _Runner, trained: TrainedModel) -> float:
    """The largest over all logits of all inputs that the file accepts; infinite where one is NaN."""
    largest = 0.0
    for clips, extra, shortest in CHECKED_INPUTS:
        if extra and not runner.any_length:
            continue
        tensors = example_inputs(trained, clips, extra, shortest)
        for expected, found in zip(deployed(*tensors), runner.run(*tensors), strict=True):
            largest = max(largest, float((expected - found).abs().nan_to_num(torch.inf).max()))
    return largest
