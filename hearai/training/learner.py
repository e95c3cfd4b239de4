"""Model, optimizer and schedules together: takes the steps of an epoch. H trained heads."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hearai.config import Config
from hearai.data.dataset import Batch
from hearai.data.folders import Data
from hearai.errors import ConfigError
from hearai.models.model import SignModel
from hearai.training.begun import Begun
from hearai.training.compiling import compiled
from hearai.training.features import BACKBONE
from hearai.training.feed import Feed, derived_seed, prepared
from hearai.training.freeze import FreezeSchedule, apply_freeze, check_parts
from hearai.training.leaving import Leaving
from hearai.training.objective import build_class_weights, head_losses, label_sums, trained_heads, weighted_loss
from hearai.training.optimizer import build_optimizer, lr_factor, set_lr
from hearai.training.precision import autocast
from hearai.training.runtime import Runtime

log = logging.getLogger(__name__)


class Learner:
    """Trains a model. Schedules are functions of the epoch it is told, so weights alone have to be saved.

    Raises:
        ConfigError: the freeze schedule does not fit the model.
    """

    def __init__(self, config: Config, data: Data, model: SignModel, runtime: Runtime, feed: Feed):
        self.config, self.model, self.runtime, self.feed = config, model, runtime, feed
        self.schedule = FreezeSchedule.build(config.freeze_scheduler)
        self.heads, self._loss_weights = trained_heads(config, runtime.device)
        self._class_weights = build_class_weights(config, data, runtime.device)
        self._rest_idle_heads()
        check_parts(model, self.schedule)
        train = config.train_parameters
        self.optimizer = build_optimizer(model, name=train.optimizer, lr=train.lr, weight_decay=train.weight_decay)
        self.lr = 0.0
        """Learning rate of the last step."""
        self.begun: Begun | None = None
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
        begun, self.begun = self.begun, None
        first = begun.steps if begun else 0
        total = torch.zeros(2, len(self.heads), dtype=torch.float64, device=self.runtime.device)
        if begun:
            total, self.lr = begun.own_sums(self.runtime), self._lr(epoch * self.feed.steps_per_epoch + first - 1)
        for taken, batch in enumerate(self.feed.train(epoch, first), start=first):
            if begun and taken == first:
                begun.restore_generators(self.runtime)
            step = epoch * self.feed.steps_per_epoch + taken
            done = epoch if self.schedule.mode == "epoch" else step
            self._freeze(self.schedule.frozen_parts(done), done)
            total += self._step(batch, step)
            if self.runtime.leaves(taken):
                self.begun = Begun.gathered(taken + 1, total, self.runtime)
                raise Leaving(f"left in epoch {epoch + 1}, after {taken + 1} of {self.feed.steps_per_epoch} steps")
        sums, counts = self.runtime.sum(total)
        return float(weighted_loss(sums, counts, self._loss_weights))

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's weights on the CPU; where features are kept, without the unchanging backbone."""
        return {
            name: tensor.detach().to("cpu", copy=True)
            for name, tensor in self.model.state_dict().items()
            if not (self.feed.from_features and name.startswith(f"{BACKBONE}."))
        }

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which `load` goes on."""
        optimizer = self.optimizer.state_dict()
        begun = self.begun.state() if self.begun else None
        return {"model": self.weights(), "optimizer": optimizer, "backbone": self.feed.backbone_hash, "begun": begun}

    def load(self, state: Mapping[str, Any]) -> None:
        """Goes on from `state`.

        Raises:
            ConfigError: it is of another model, or of features of another backbone.
        """
        problem = None
        self.begun = Begun.from_state(state.get("begun"))
        if state["backbone"] != self.feed.backbone_hash:
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
        train, part = self.config.train_parameters, prepared(part, self.runtime.device)
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
            steps_per_epoch=self.feed.steps_per_epoch,
            total_steps=self.feed.steps_per_epoch * self.feed.epochs,
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
