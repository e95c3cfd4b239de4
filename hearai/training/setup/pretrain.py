"""Pre-training of the backbone: each clip is one frame, there is no sequence. N frames, K classes.

Where no pretrained weights are available, two minutes of this improve a frozen extractor more than any search over
the parts after it.
"""

import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from hearai.cli.progress.time_left import rough_time
from hearai.config.config import Config
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import Data, load_data
from hearai.data.dataset import Batch
from hearai.errors import ConfigError
from hearai.models.feature_extractors import FeatureExtractor, backbone_name
from hearai.models.heads import Heads
from hearai.models.model import build_initial_model
from hearai.training.batches import on_device
from hearai.training.evaluation import evaluate
from hearai.training.optim.loss import head_losses, weighted_loss
from hearai.training.optim.optimizer import build_optimizer, set_lr
from hearai.training.optim.torch_options import autocast
from hearai.training.outputs.checkpoint import save_checkpoint, save_tensors
from hearai.training.outputs.layout import LAST
from hearai.training.runtime import Runtime
from hearai.training.setup.pretrain_state import VERSION, PretrainState
from hearai.training.setup.stills import AUGMENTATIONS, Stills, read_stills
from hearai.training.setup.time_estimate import TimeLeft, steps_per_epoch

log = logging.getLogger(__name__)

WEIGHT_DECAY = 0.02
WARM_UP_SHARE = 0.1
"""Share of the steps in which the learning rate rises; then it falls as a cosine."""
EVALUATION_FRAMES = 128
"""Frames per step of an evaluation."""


class FrameModel(nn.Module):
    """Backbone and one classifier per head, directly on its output."""

    def __init__(self, extractor: FeatureExtractor, reads: str, num_class: dict[str, int]):
        super().__init__()
        self.reads = reads
        self.extractor, self.heads = extractor, Heads(extractor.backbone_width, num_class)
        extractor.projection.requires_grad_(False)  # not part of the backbone file

    def forward(self, inputs: Mapping[str, Tensor], mask_N1: Tensor) -> dict[str, Tensor]:
        """{head: logits (N, K)} of clips of one frame: normalised images or landmarks."""
        x_N = inputs[self.reads].squeeze(1)
        if x_N.ndim == 4:
            x_N = x_N.contiguous(memory_format=torch.channels_last)
        return self.heads(self.extractor.backbone_features(x_N))


def pretrain(
    config: Config,
    runtime: Runtime,
    out: Path,
    settings: Pretrain,
    *,
    key: str = "",
    after_save: Callable[[], None] = lambda: None,
) -> Path:
    """Trains the backbone on frames of the training clips and writes it to `out`.

    All heads have the same weight. The epoch with the best validation score (mean macro-F1 over heads, single frames)
    is kept. The file holds {"backbone": state_dict, "model_path": name}, as `feature_extractor.checkpoint` takes it,
    and the score of each epoch as "curve".

    Each epoch is saved in the folder `last` of `runtime.folder`. The next call resumes there, and ends with the weights
    of an uninterrupted one; at the end the folder is removed.

    Args:
        key: identifies everything that pre-training depends on; what was saved under another key is not resumed.
        after_save: called when an epoch has been saved.

    Raises:
        ConfigError: it diverged.
        DiskFull: no space left; the epochs saved so far are intact.
    """
    data = load_data(config)
    train, val = read_stills(config, data.split.train), read_stills(config, data.split.val)
    trainer = build_trainer(config, data, settings, runtime.device)
    name, last = backbone_name(config.feature_extractor), runtime.folder / LAST
    log.info("pre-training %s on %d frames", name, len(train.inputs_N))
    state = PretrainState.load(last, key) or PretrainState(key)
    if state.epoch:
        trainer.load(state)
        log.info("pre-training is resumed after epoch %d of %d", state.epoch, settings.epochs)
    time_left = TimeLeft(len(train.inputs_N), len(val.inputs_N), settings, first_epoch=state.epoch)
    while state.epoch < settings.epochs and not state.has_stalled(settings.patience):
        started = time.monotonic()
        loss = trainer.train_epoch(train, state.epoch, time_left.after_step)
        if not math.isfinite(loss):
            raise ConfigError(
                f"pre-training diverged in epoch {state.epoch + 1} of {settings.epochs}: loss {loss:g}; lower its lr "
                f"({settings.lr:g}), or check the data (experiments/check_data.py DIR)"
            )
        score = evaluate(trainer.model, val.batches(EVALUATION_FRAMES, shuffle=False), config, runtime).macro_f1
        state.advance(loss, score, time.monotonic() - started, trainer)
        log.info("pre-training %s", state.describe_epoch(settings.epochs))
        runtime.ensure_current_attempt()
        save_checkpoint(last, state.content())
        after_save()
    if state.epoch < settings.epochs:
        saved = rough_time((settings.epochs - state.epoch) * state.seconds / state.epoch)
        log.info("pre-training stops: no better epoch for %d; about %s saved", settings.patience, saved)
    _write(out, state, name)
    shutil.rmtree(last, ignore_errors=True)
    return out


def build_trainer(config: Config, data: Data, settings: Pretrain, device: torch.device) -> "PretrainTrainer":
    """The trainer of a backbone with initial weights from the config's seed."""
    initial = build_initial_model(config, data.num_class)
    model = FrameModel(initial.feature_extractor, initial.reads, dict(data.num_class))
    return PretrainTrainer(model.to(device, memory_format=torch.channels_last), config, settings, device)


def _write(out: Path, state: PretrainState, model_path: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {"backbone": state.weights, "model_path": model_path, "version": VERSION, "curve": state.curve}
    save_tensors(out, content)


class PretrainTrainer:
    """Model, optimizer and learning rate of pre-training."""

    def __init__(self, model: FrameModel, config: Config, settings: Pretrain, device: torch.device):
        self.model, self.config, self.settings, self.device = model, config, settings, device
        self.optimizer = build_optimizer(model, lr=settings.lr, weight_decay=WEIGHT_DECAY)
        self.heads = list(config.active_heads)
        self.weights = torch.ones(len(self.heads), device=device)

    def train_epoch(
        self, stills: Stills, epoch: int, after_step: Callable[[int, int, Tensor | float], None] = lambda *_: None
    ) -> float:
        """One epoch of the frames in random order, without an incomplete last batch; returns the mean loss.

        after_step: called with the epoch, the number of its steps done and the sum of their losses.
        """
        self.model.train()
        steps, total = steps_per_epoch(len(stills.inputs_N), self.settings), 0.0
        for step, batch in enumerate(islice(stills.batches(self.settings.batch_size, shuffle=True), steps)):
            done = (epoch + (step + 1) / steps) / self.settings.epochs
            set_lr(self.optimizer, learning_rate(done, self.settings.lr))
            total += self.step(on_device(batch, self.device))
            after_step(epoch, step + 1, total)
        return float(total) / steps

    def step(self, batch: Batch) -> Tensor:
        """One optimizer step with a batch on the device; its loss, which has not been waited for."""
        inputs = {name: AUGMENTATIONS[name](x_N1.squeeze(1)).unsqueeze(1) for name, x_N1 in batch.inputs.items()}
        with autocast(self.config, self.device):
            logits = self.model(inputs, batch.mask)
        loss = weighted_loss(*head_losses(logits, batch.labels, self.heads, "cross_entropy"), self.weights)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def load(self, state: PretrainState) -> None:
        """Continues after the last epoch of `state`."""
        self.model.load_state_dict(state.model)
        self.optimizer.load_state_dict(state.optimizer)
        state.restore_generators(self.device)


def learning_rate(done: float, peak: float) -> float:
    """Linear rise, then a cosine down to 0; `done` is the share of all steps taken, in [0, 1].

    Not an `LRSchedule`: neither of the config's schedules has this shape, and a backbone must stay the same to the last
    bit for the same fingerprint.
    """
    if done < WARM_UP_SHARE:
        return peak * done / WARM_UP_SHARE
    return peak * (1 + math.cos(math.pi * (done - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))) / 2
