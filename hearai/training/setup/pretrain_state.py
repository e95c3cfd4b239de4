"""Progress of a pre-training: what is saved with each epoch, and read back to resume. G bytes of generator states."""

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from hearai.errors import ConfigError
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.outputs.layout import STATE, holds_checkpoint
from hearai.training.runtime import Runtime

log = logging.getLogger(__name__)

VERSION = 2
"""Of the saved state and of the backbone's file. Another one is not read: the backbone is pre-trained again."""


class TrainedParts(Protocol):
    """What a trainer has: `PretrainTrainer`."""

    model: Any
    """With a part `extractor.backbone`, whose best weights are kept."""
    optimizer: torch.optim.Optimizer
    device: torch.device


@dataclass
class PretrainState:
    """Finished epochs of a pre-training. The names of the fields are keys of the checkpoint."""

    key: str = ""
    """Identifies what was trained; see `pretrain`."""
    best: float = -1.0
    """Best validation score so far, in [0, 1]; -1 = none yet."""
    best_epoch: int = 0
    """1-based; 0 = none yet."""
    curve: list[dict[str, float]] = field(default_factory=list)
    """Of each finished epoch: `epoch` (1-based), `loss`, `score` and `seconds`."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """The backbone's after the best epoch."""
    model: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    generators_G: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))
    """States of the CPU's generator and of the GPU's, if there is one; the same on all workers."""

    @classmethod
    def load(cls, folder: Path, key: str, *, origin: str | None = None) -> Self | None:
        """What is saved in a folder; None, with the reason in the log, if it cannot be resumed.

        origin: from where the folder was copied, for the log.
        """
        if not holds_checkpoint(folder):
            return None
        place, result = origin or folder, "it is not used" if origin else "pre-training starts with epoch 1"
        try:
            content = load_checkpoint(folder)
        except ConfigError as error:
            log.warning("%s: %s; %s", place, error.problems[0].removeprefix(f"{folder / STATE}: "), result)
            return None
        version, names = content.pop("version", None), {entry.name for entry in fields(cls)}
        if version != VERSION or content.keys() != names:
            log.warning("%s: saved by another version; %s", place, result)
            return None
        if content["key"] != key:
            log.warning("%s: of another pre-training; %s", place, result)
            return None
        return cls(**content)

    @classmethod
    def load_shared(cls, folder: Path, key: str, runtime: Runtime) -> Self | None:
        """What `load` finds on rank 0, on all workers: folders and their content may differ between nodes."""
        state = cls.load(folder, key) if runtime.rank == 0 else None
        if runtime.world == 1:
            return state
        saved = io.BytesIO()
        if state:
            torch.save(dict(state.content()), saved)
        size = int(runtime.sum(torch.tensor(saved.tell())))
        if size == 0:
            return None
        bytes_S = torch.zeros(size, dtype=torch.uint8)
        if state:
            bytes_S = torch.frombuffer(saved.getbuffer(), dtype=torch.uint8)
        content = torch.load(io.BytesIO(runtime.sum(bytes_S).numpy().tobytes()), weights_only=True)
        return cls(**{name: value for name, value in content.items() if name != "version"})

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.curve)

    @property
    def seconds(self) -> float:
        """Spent in the finished epochs, over all calls."""
        return sum(row["seconds"] for row in self.curve)

    def has_stalled(self, patience: int) -> bool:
        """Whether none of the last `patience` epochs was the best; 0 = never."""
        return 0 < patience <= self.epoch - self.best_epoch

    def advance(self, loss: float, score: float, seconds: float, parts: TrainedParts) -> None:
        """Notes one more finished epoch."""
        self.curve.append({"epoch": self.epoch + 1, "loss": loss, "score": score, "seconds": round(seconds, 3)})
        if score > self.best:
            self.best, self.best_epoch, self.weights = score, self.epoch, copied(parts.model.extractor.backbone)
        self.model, self.optimizer = parts.model.state_dict(), parts.optimizer.state_dict()
        states = [torch.get_rng_state()]
        if parts.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(parts.device).cpu())
        self.generators_G = torch.cat(states)

    def restore_generators(self, device: torch.device) -> None:
        """Sets the generators; those of a GPU only if they were saved on one."""
        size = len(torch.get_rng_state())
        torch.set_rng_state(self.generators_G[:size].clone())
        if device.type == "cuda" and len(self.generators_G) > size:
            torch.cuda.set_rng_state(self.generators_G[size:].clone(), device)

    def content(self) -> Mapping[str, Any]:
        """Tensors and plain values, for a checkpoint."""
        return {"version": VERSION, **{entry.name: getattr(self, entry.name) for entry in fields(self)}}

    def describe_epoch(self, epochs: int) -> str:
        """One line about the last finished epoch. epochs: planned."""
        loss, score = self.curve[-1]["loss"], self.curve[-1]["score"]
        scores = f"loss {loss:.3f}, val macro-F1 of single frames {score:.3f}"
        return f"epoch {self.epoch} of {epochs}: {scores} ({self.seconds:.0f} s)"


def copied(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's weights on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in module.state_dict().items()}
