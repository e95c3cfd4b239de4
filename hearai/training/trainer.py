"""Model, optimizer and schedules together: takes the steps of an epoch. H trained heads."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hearai.config.config import Config
from hearai.data.annotations.load import Data
from hearai.data.dataset import Batch
from hearai.errors import ConfigError, Preempted
from hearai.models.model import SignModel
from hearai.training.batches import Batches, derived_seed, on_device
from hearai.training.feature_cache import BACKBONE_MODULE
from hearai.training.optim.freeze import FreezeSchedule, apply_freeze, check_parts
from hearai.training.optim.loss import build_class_weights, head_losses, label_sums, trained_heads, weighted_loss
from hearai.training.optim.lr_schedule import lr_factor
from hearai.training.optim.optimizer import build_optimizer, set_lr
from hearai.training.optim.torch_options import autocast, compiled
from hearai.training.runtime import Runtime

log = logging.getLogger(__name__)


class Trainer:
    """Trains a model. Schedules are functions of the epoch it is told, so weights alone have to be saved.

    Raises:
        ConfigError: the freeze schedule does not fit the model.
    """

    def __init__(self, config: Config, data: Data, model: SignModel, runtime: Runtime, batches: Batches):
        self.config, self.model, self.runtime, self.batches = config, model, runtime, batches
        self.schedule = FreezeSchedule.build(config.freeze_scheduler)
        self.heads, self._loss_weights = trained_heads(config, runtime.device)
        self._class_weights = build_class_weights(config, data, runtime.device)
        self._rest_idle_heads()
        check_parts(model, self.schedule)
        train = config.train_parameters
        self.optimizer = build_optimizer(model, name=train.optimizer, lr=train.lr, weight_decay=train.weight_decay)
        self.lr = 0.0
        """Learning rate of the last step."""
        self.partial: PartialEpoch | None = None
        """The epoch that was left after some of its steps."""
        self._frozen: frozenset[str] | None = None
        self._wrapped: nn.Module = model

    def train_epoch(self, epoch: int) -> float:
        """Trains an epoch (0-based), or what is left of it; its mean loss over all workers.

        Raises:
            Leaving: the run is asked to go on elsewhere; `state` knows the steps that were taken.
        """
        # Dropout is a pure function of (seed, epoch, worker), like order and jitter: resuming needs no generator.
        torch.manual_seed(derived_seed(self.config.general_parameters.seed, epoch, self.runtime.rank))
        self.model.train()
        partial, self.partial = self.partial, None
        first = partial.steps if partial else 0
        total = torch.zeros(2, len(self.heads), dtype=torch.float64, device=self.runtime.device)
        if partial:
            total, self.lr = partial.own_sums(self.runtime), self._lr(epoch * self.batches.steps_per_epoch + first - 1)
        for taken, batch in enumerate(self.batches.train(epoch, first), start=first):
            if partial and taken == first:
                partial.restore_generators(self.runtime)
            step = epoch * self.batches.steps_per_epoch + taken
            done = epoch if self.schedule.mode == "epoch" else step
            self._freeze(self.schedule.frozen_parts(done), done)
            total += self._step(batch, step)
            if self.runtime.is_preempted(taken):
                self.partial = PartialEpoch.gathered(taken + 1, total, self.runtime)
                raise Preempted(f"left in epoch {epoch + 1}, after {taken + 1} of {self.batches.steps_per_epoch} steps")
        sums, counts = self.runtime.sum(total)
        return float(weighted_loss(sums, counts, self._loss_weights))

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's weights on the CPU; where features are kept, without the unchanging backbone."""
        return {
            name: tensor.detach().to("cpu", copy=True)
            for name, tensor in self.model.state_dict().items()
            if not (self.batches.from_features and name.startswith(f"{BACKBONE_MODULE}."))
        }

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which `load` goes on."""
        optimizer = self.optimizer.state_dict()
        partial = self.partial.state() if self.partial else None
        return {
            "model": self.weights(),
            "optimizer": optimizer,
            "backbone": self.batches.backbone_hash,
            "begun": partial,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Goes on from `state`.

        Raises:
            ConfigError: it is of another model, or of features of another backbone.
        """
        problem = None
        self.partial = PartialEpoch.from_state(state.get("begun"))
        if state["backbone"] != self.batches.backbone_hash:
            problem = "its features come from another backbone"
        try:
            self.model.load_state_dict({**self.model.state_dict(), **state["model"]})
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            problem = str(error).splitlines()[-1].strip()
        if problem:
            raise ConfigError(
                f"{self.runtime.folder}: holds an unfinished run of another config ({problem}); "
                "give its config, or another folder"
            )

    def _step(self, batch: Batch, step: int) -> Tensor:
        """One optimizer step; this worker's loss sums and sums of label weights (2, H)."""
        train = self.config.train_parameters
        labels = {head: batch.labels[head].to(self.runtime.device, non_blocking=True) for head in self.heads}
        # All parts of all workers are divided by the same sums; so the step is that of the whole batch.
        counts = label_sums(labels, self.heads, self._class_weights)
        divisors = self.runtime.sum(counts)
        parts = batch.split(train.gradient_accumulation)
        self.optimizer.zero_grad()
        sums = torch.zeros(len(self.heads), dtype=torch.float64, device=self.runtime.device)
        for left, part in zip(reversed(range(len(parts))), parts, strict=True):
            with _gathering(self._wrapped) if left else nullcontext():
                sums += self._backward(part, divisors)
        if train.gradient_clip is not None:  # alike on all workers, whose gradients have been averaged
            nn.utils.clip_grad_norm_(self.model.parameters(), train.gradient_clip)
        self.lr = self._lr(step)
        set_lr(self.optimizer, self.lr)
        self.optimizer.step()
        return torch.stack([sums, counts])

    def _backward(self, part: Batch, divisors: Tensor) -> Tensor:
        """Adds the gradient of a part of a batch; its loss sums (H,)."""
        train, part = self.config.train_parameters, on_device(part, self.runtime.device)
        with autocast(self.config, self.runtime.device):
            logits = self._wrapped(part.inputs, part.mask)
        sums, _ = head_losses(
            logits,
            part.labels,
            self.heads,
            train.loss,
            smoothing=train.label_smoothing,
            class_weights=self._class_weights,
        )
        # `world` undoes the mean that is taken of the workers' gradients
        (weighted_loss(sums, divisors, self._loss_weights) * self.runtime.world).backward()
        return sums.detach()

    def _lr(self, step: int) -> float:
        train = self.config.train_parameters
        return train.lr * lr_factor(
            step,
            schedule=train.lr_schedule,
            steps_per_epoch=self.batches.steps_per_epoch,
            total_steps=self.batches.steps_per_epoch * self.batches.epochs,
            warmup_steps=train.warmup_steps,
            multiply_lr_step=train.multiply_lr_step,
        )

    def _freeze(self, frozen: frozenset[str], done: int) -> None:
        if frozen == self._frozen and not self._in_train_mode(frozen):
            return
        apply_freeze(self.model, self.schedule, frozen)
        self._rest_idle_heads()
        if frozen != self._frozen:
            # DistributedDataParallel takes only parameters that require grad when it wraps.
            self._wrapped, self._frozen = self.runtime.wrap(self._called()), frozen
            if self.config.freeze_scheduler.verbose:
                log.info("%s %d: frozen: %s", self.schedule.mode, done + 1, ", ".join(sorted(frozen)) or "nothing")

    def _in_train_mode(self, frozen: frozenset[str]) -> bool:
        return any(self.model.get_submodule(part).training for part in frozen)

    def _called(self) -> nn.Module:
        """The model, or its compiled twin: the model's own names are those of the saved weights."""
        return compiled(self.model, self.runtime.device) if self.config.train_parameters.compile else self.model

    def _rest_idle_heads(self) -> None:
        """Heads of loss weight 0 cost a training step nothing. Called again after a schedule has thawed them."""
        self.model.heads.leave_idle(head for head in self.config.active_heads if head not in self.heads)


def _gathering(module: nn.Module) -> AbstractContextManager:
    """Keeps the gradients of a part to this worker: workers average once a step, with the last part."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()


@dataclass(frozen=True)
class PartialEpoch:
    """What the steps so far came to, over all workers."""

    steps: int
    sums_2H: Tensor
    """Loss sums and sums of label weights."""
    generators_WG: Tensor
    """uint8: where dropout and the like go on."""

    @classmethod
    def gathered(cls, steps: int, sums_2H: Tensor, runtime: Runtime) -> "PartialEpoch":
        """Called by all workers at the same step."""
        own = _generators(runtime)
        rows = torch.zeros(runtime.world, len(own), dtype=torch.int64)
        rows[runtime.rank] = own.long()
        return cls(steps, runtime.sum(sums_2H).cpu(), runtime.sum(rows).to(torch.uint8))

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        return {"steps": self.steps, "sums_2H": self.sums_2H, "generators_WG": self.generators_WG}

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> "PartialEpoch | None":
        """The other way round."""
        return cls(**state) if state else None

    def own_sums(self, runtime: Runtime) -> Tensor:
        """The sums to go on from: worker 0 takes all of them."""
        sums_2H = self.sums_2H.to(runtime.device, copy=True)
        return sums_2H if runtime.rank == 0 else torch.zeros_like(sums_2H)

    def restore_generators(self, runtime: Runtime) -> None:
        """Sets this worker's. On another kind of device they mean nothing, and those of the epoch's start are kept."""
        if self.generators_WG.shape != (runtime.world, len(_generators(runtime))):
            return
        row, size = self.generators_WG[runtime.rank], len(torch.get_rng_state())
        torch.set_rng_state(row[:size].clone())
        if runtime.device.type == "cuda":
            torch.cuda.set_rng_state(row[size:].clone(), runtime.device)


def _generators(runtime: Runtime) -> Tensor:
    """State (G,) uint8 of this worker's generators: the CPU's, and its GPU's if it has one."""
    states = [torch.get_rng_state()]
    if runtime.device.type == "cuda":
        states.append(torch.cuda.get_rng_state(runtime.device).cpu())
    return torch.cat(states)
