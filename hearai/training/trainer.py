"""Model, optimizer and schedules together: takes the steps of an epoch. H trained heads."""

import logging
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hearai.config.config import Config
from hearai.data.annotations.load import Data
from hearai.data.dataset import Batch
from hearai.errors import ConfigError, Preempted
from hearai.models.model import SignModel
from hearai.models.weights import load_weights
from hearai.training.batches import Batches, derived_seed, on_device
from hearai.training.features.feature_cache import BACKBONE_MODULE
from hearai.training.optim.divergence import StepGuard, backward, describe_settings, gradient_norm, remedy
from hearai.training.optim.freeze import FreezeSchedule, apply_freeze, check_parts
from hearai.training.optim.loss import (
    build_class_weights,
    build_loss,
    head_losses,
    label_sums,
    trained_heads,
    weighted_loss,
)
from hearai.training.optim.lr_schedule import LRSchedule
from hearai.training.optim.optimizer import build_optimizer, load_optimizer, set_lr
from hearai.training.optim.torch_options import autocast, compiled, precision_of
from hearai.training.run_state import EpochFacts, PartialEpoch
from hearai.training.runtime import Runtime

log = logging.getLogger(__name__)


class Trainer:
    """Trains a model. Schedules are functions of the step, so only weights and optimizer state are saved.

    Raises:
        ConfigError: the freeze schedule does not fit the model.
    """

    def __init__(self, config: Config, data: Data, model: SignModel, runtime: Runtime, batches: Batches):
        train = config.train_parameters
        self.config, self.model, self.runtime, self.batches = config, model, runtime, batches
        self.freeze_schedule = FreezeSchedule.build(config.freeze_scheduler)
        self._lr_schedule = LRSchedule.build(train, batches.steps_per_epoch, batches.epochs)
        self.heads, self._loss_weights = trained_heads(config, runtime.device)
        self._class_weights = build_class_weights(config, data, runtime.device)
        self._loss = build_loss(config, runtime.device)
        self._skip_idle_heads()
        check_parts(model, self.freeze_schedule)
        self.optimizer = build_optimizer(model, name=train.optimizer, lr=train.lr, weight_decay=train.weight_decay)
        self._parameters = list(model.parameters())  # listing them takes longer than their norm
        self._guard = StepGuard(self.optimizer, runtime.device)
        self.lr = 0.0
        """Learning rate of the last step."""
        self.partial: PartialEpoch | None = None
        """The epoch that was interrupted after some of its steps."""
        self._frozen: frozenset[str] | None = None
        self._wrapped: nn.Module = model

    def train_epoch(self, epoch: int) -> float:
        """Trains an epoch (0-based), or the rest of it; its mean loss over all workers, NaN if it diverged.

        Raises:
            Preempted: the run is asked to continue elsewhere; `state` knows the steps that were taken.
        """
        # Dropout is a pure function of (seed, epoch, worker), like order and jitter: resuming needs no generator.
        torch.manual_seed(derived_seed(self.config.general_parameters.seed, epoch, self.runtime.rank))
        self.model.train()
        self._guard.reset()
        partial, self.partial = self.partial, None
        first = partial.steps if partial else 0
        total = torch.zeros(2, len(self.heads), dtype=torch.float64, device=self.runtime.device)
        if partial:
            total = partial.initial_sums(self.runtime)
            self.lr = self._lr_schedule(epoch * self.batches.steps_per_epoch + first - 1)
        for taken, batch in enumerate(self.batches.train(epoch, first), start=first):
            if partial and taken == first:
                partial.restore_generators(self.runtime)
            self._apply_freeze(epoch, taken)
            total += self._step(batch, epoch, taken)
            if self._guard.stopped:
                break
            if self.runtime.is_preempted(taken):
                if self._guard.divergence():
                    break
                self.partial = PartialEpoch.gathered(taken + 1, total, self.runtime)
                raise Preempted(
                    f"stopped in epoch {epoch + 1}, after {taken + 1} of {self.batches.steps_per_epoch} steps"
                )
        sums, counts = self.runtime.sum(total)
        return math.nan if self._guard.divergence() else float(weighted_loss(sums, counts, self._loss_weights))

    def facts_of(self, epoch: int) -> EpochFacts:
        """What is reported of an epoch (0-based) that has just been trained."""
        batches = self.batches
        frozen = self.freeze_schedule.frozen_shares(epoch, batches.steps_per_epoch)
        return EpochFacts(batches.last_epoch, batches.clips_per_epoch, self.lr, frozen)

    def describe_divergence(self, epoch: int, val_loss: float) -> tuple[str, str]:
        """At which step the epoch (0-based) that has just been trained diverged, with which settings; what to change.

        Called by all workers. Where all steps were finite, it was the validation after them that was not.
        """
        found, steps = self._guard.divergence(), self.batches.steps_per_epoch
        step = epoch * steps + (found.step if found else steps - 1)
        if found:
            loss = float(self.runtime.sum(torch.tensor(found.loss, dtype=torch.float64)))
            where = f"in epoch {epoch + 1}, step {found.step + 1} of {steps} (optimizer step {step + 1})"
            values = f"loss {loss:g}, gradient norm {found.gradient_norm:g}"
        else:
            where = f"after the last step of epoch {epoch + 1} (optimizer step {step + 1})"
            values = f"validation loss {val_loss:g}"
        precision = precision_of(self.config, self.runtime.device)
        train, is_first_step = self.config.train_parameters, found is not None and step == 0
        settings = describe_settings(train, self._lr_schedule(step), precision)
        return f"diverged {where}: {values}; {settings}", remedy(train, precision, is_first_step=is_first_step)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's weights on the CPU; without the backbone where it is frozen and never run."""
        return {
            name: tensor.detach().to("cpu", copy=True)
            for name, tensor in self.model.state_dict().items()
            if not (self.batches.from_features and name.startswith(f"{BACKBONE_MODULE}."))
        }

    def state(self, newest: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
        """Tensors and plain values from which `load` resumes; a copy, which later steps do not change.

        newest: the model's `weights` after the last epoch, if they are at hand.
        """
        return {
            "model": self.weights() if newest is None or self.partial else newest,
            "optimizer": cpu_copy(self.optimizer.state_dict()),
            "backbone": self.batches.backbone_hash,
            "begun": self.partial.state() if self.partial else None,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Resumes from `state`, whose types have been checked.

        Raises:
            ConfigError: it belongs to another model, optimizer or number of steps, or to features of another backbone.
        """
        heads, steps = len(self.heads), self.batches.steps_per_epoch
        try:
            if state["backbone"] != self.batches.backbone_hash:
                raise ValueError("its features come from another backbone")
            # Not only finite ones: batch norms have seen the batch in which a run diverged.
            load_weights(self.model, {**self.model.state_dict(), **state["model"]}, finite=False)
            load_optimizer(self.optimizer, state["optimizer"])
            self.partial = PartialEpoch.from_state(state.get("begun"), heads=heads, steps=steps)
            if not self.batches.fit_features(state["progress"]["epoch"]):
                raise ValueError("its features come from another backbone")
        except ValueError as problem:
            raise ConfigError(
                f"{self.runtime.folder}: holds an unfinished run of another config ({problem}); "
                "give its config, or another folder"
            ) from None

    def _step(self, batch: Batch, epoch: int, taken: int) -> Tensor:
        """One optimizer step; this worker's loss sums and sums of label weights (2, H)."""
        train = self.config.train_parameters
        labels = {head: batch.labels[head].to(self.runtime.device, non_blocking=True) for head in self.heads}
        # All parts of all workers are divided by the same sums, so the step is that of the whole batch.
        counts = label_sums(labels, self.heads, self._class_weights)
        divisors = self.runtime.sum(counts)
        parts = batch.split(train.gradient_accumulation)
        self.optimizer.zero_grad()
        sums = torch.zeros(len(self.heads), dtype=torch.float64, device=self.runtime.device)
        for left, part in zip(reversed(range(len(parts))), parts, strict=True):
            with _without_averaging(self._wrapped) if left else nullcontext():
                sums += self._backward(part, divisors)
        norm = gradient_norm(self._parameters, train.gradient_clip)  # the same on all workers: gradients are averaged
        self.lr = self._lr_schedule(epoch * self.batches.steps_per_epoch + taken)
        set_lr(self.optimizer, self.lr)
        self._guard.step(taken, weighted_loss(sums, divisors, self._loss_weights), norm)
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
            self._loss,
            smoothing=train.label_smoothing,
            class_weights=self._class_weights,
        )
        # `world` cancels the mean over workers that averaging the gradients takes
        backward(weighted_loss(sums, divisors, self._loss_weights) * self.runtime.world)
        return sums.detach()

    def _apply_freeze(self, epoch: int, taken: int) -> None:
        """Freezes what the schedule freezes in this step, and wraps the model again where that has changed."""
        schedule = self.freeze_schedule
        done = epoch if schedule.mode == "epoch" else epoch * self.batches.steps_per_epoch + taken
        frozen = schedule.frozen_parts(done)
        if frozen == self._frozen and not any(self.model.get_submodule(part).training for part in frozen):
            return
        apply_freeze(self.model, schedule, frozen)
        self._skip_idle_heads()
        if frozen != self._frozen:
            # DistributedDataParallel takes only parameters that require grad when it wraps.
            self._wrapped, self._frozen = self.runtime.wrap(self._called()), frozen
            if self.config.freeze_scheduler.verbose:
                log.info("%s %d: frozen: %s", schedule.mode, done + 1, ", ".join(sorted(frozen)) or "nothing")

    def _called(self) -> nn.Module:
        """The model or its compiled twin; saved weights always have the model's own names."""
        return compiled(self.model, self.runtime.device) if self.config.train_parameters.compile else self.model

    def _skip_idle_heads(self) -> None:
        """Heads of loss weight 0 are not computed in training. Called again after a schedule has unfrozen them."""
        self.model.heads.skip_in_training(head for head in self.config.active_heads if head not in self.heads)


def cpu_copy(value: Any) -> Any:
    """A copy of nested dictionaries and lists, their tensors on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: cpu_copy(one) for key, one in value.items()}
    return [cpu_copy(one) for one in value] if isinstance(value, list) else value


def _without_averaging(module: nn.Module) -> AbstractContextManager:
    """Keeps the gradients of a part to this worker: workers average once a step, with the last part."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()
