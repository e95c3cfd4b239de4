"""Pre-training of the backbone: each clip is one frame, there is no sequence. N frames, K classes.

Where no pretrained weights are available, two minutes of this improve a frozen extractor more than any search over
the parts after it.
"""

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from hearai.models.backbones.batch_norm import has_batch_norms, synchronise_batch_norms
from hearai.models.feature_extractors import FeatureExtractor, backbone_name
from hearai.models.heads import Heads
from hearai.models.model import build_initial_model
from hearai.models.pretrained.clip_table import stating
from hearai.training.batches import derived_seed, on_device
from hearai.training.evaluation import evaluate
from hearai.training.optim.loss import head_losses, weighted_loss
from hearai.training.optim.optimizer import build_optimizer, set_lr
from hearai.training.optim.torch_options import autocast
from hearai.training.outputs.checkpoint import save_checkpoint, save_tensors
from hearai.training.outputs.layout import LAST
from hearai.training.outputs.trained_clips import trained_clips
from hearai.training.runtime import Runtime
from hearai.training.setup.pretrain_state import VERSION, PretrainState
from hearai.training.setup.stills import AUGMENTATIONS, Share, Stills, read_stills
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

    All workers of a group call this. Each trains its share of every batch, so that together they take the steps of one
    worker; only rank 0 reads and writes files.

    Args:
        key: identifies everything that pre-training depends on; what was saved under another key is not resumed.
        after_save: called by rank 0 when an epoch has been saved.

    Raises:
        ConfigError: it diverged.
        DiskFull: no space left; the epochs saved so far are intact.
    """
    data = load_data(config)
    train, val = read_stills(config, data.split.train), read_stills(config, data.split.val)
    trainer = build_trainer(config, data, settings, runtime)
    name, last = backbone_name(config.feature_extractor), runtime.folder / LAST
    workers = f" by {runtime.world} workers" if runtime.world > 1 else ""
    log.info("pre-training %s on %d frames%s", name, len(train.inputs_N), workers)
    state = PretrainState.load_shared(last, key, runtime) or PretrainState(key)
    if state.epoch:
        trainer.load(state)
        log.info("pre-training is resumed after epoch %d of %d", state.epoch, settings.epochs)
    time_left = TimeLeft(len(train.inputs_N), len(val.inputs_N), settings, first_epoch=state.epoch)
    while state.epoch < settings.epochs and not state.has_stalled(settings.patience):
        _run_epoch(trainer, state, train, val, time_left)
        if runtime.rank == 0:
            runtime.ensure_current_attempt()
            save_checkpoint(last, state.content())
            after_save()
    if state.epoch < settings.epochs:
        saved = rough_time((settings.epochs - state.epoch) * state.seconds / state.epoch)
        log.info("pre-training stops: no better epoch for %d; about %s saved", settings.patience, saved)
    if runtime.rank == 0:
        _write(out, state, name, trainer.trained_clips_N2)
        shutil.rmtree(last, ignore_errors=True)
    return out


def _run_epoch(
    trainer: "PretrainTrainer", state: PretrainState, train: Stills, val: Stills, time_left: TimeLeft
) -> None:
    """Trains and evaluates one epoch, and adds it to `state`."""
    settings, started = trainer.settings, time.monotonic()
    loss = trainer.train_epoch(train, state.epoch, time_left.after_step)
    if not math.isfinite(loss):
        raise ConfigError(
            f"pre-training diverged in epoch {state.epoch + 1} of {settings.epochs}: loss {loss:g}; lower its lr "
            f"({settings.lr:g}), or check the data (experiments/check_data.py DIR)"
        )
    batches = val.batches(EVALUATION_FRAMES, shuffle=False, share=trainer.share)
    score = evaluate(trainer.model, batches, trainer.config, trainer.runtime).macro_f1
    state.advance(loss, score, time.monotonic() - started, trainer)
    log.info("pre-training %s", state.describe_epoch(settings.epochs))


def build_trainer(config: Config, data: Data, settings: Pretrain, runtime: Runtime) -> "PretrainTrainer":
    """The trainer of a backbone with initial weights from the config's seed."""
    initial = build_initial_model(config, data.num_class)
    model: nn.Module = FrameModel(initial.feature_extractor, initial.reads, dict(data.num_class))
    if runtime.world > 1 and has_batch_norms(model):
        assert runtime.device.type != "cpu", "see hearai.search.trial.pretrain_group.group_size"
        model = synchronise_batch_norms(model)
    model = model.to(runtime.device, memory_format=torch.channels_last)
    return PretrainTrainer(model, config, settings, runtime, trained_clips(data, initial.start_clips))


def _write(out: Path, state: PretrainState, model_path: str, clips_N2: Tensor | None) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {"backbone": state.weights, "model_path": model_path, "version": VERSION, "curve": state.curve}
    save_tensors(out, content | stating(clips_N2))


class PretrainTrainer:
    """Model, optimizer and learning rate of pre-training.

    Args:
        trained_clips_N2: see `hearai.training.outputs.trained_clips`.
    """

    def __init__(
        self,
        model: nn.Module,
        config: Config,
        settings: Pretrain,
        runtime: Runtime,
        trained_clips_N2: Tensor | None = None,
    ):
        self.model, self.config, self.settings, self.runtime = model, config, settings, runtime
        self.trained_clips_N2 = trained_clips_N2
        self.device, self.share = runtime.device, Share(runtime.rank, runtime.world)
        self.optimizer = build_optimizer(model, lr=settings.lr, weight_decay=WEIGHT_DECAY)
        self.heads = list(config.active_heads)
        self.weights = torch.ones(len(self.heads), device=self.device)
        self._wrapped = runtime.wrap(model)

    def train_epoch(
        self, stills: Stills, epoch: int, after_step: Callable[[int, int, Tensor | float], None] = lambda *_: None
    ) -> float:
        """One epoch of the frames in random order, without an incomplete last batch; returns the mean loss.

        after_step: called with the epoch, the number of its steps done and the sum of this worker's parts of their
            losses.
        """
        self.model.train()
        steps = steps_per_epoch(len(stills.inputs_N), self.settings)
        frames = min(len(stills.inputs_N), self.settings.batch_size)
        total = torch.zeros((), device=self.device)
        batches = stills.batches(self.settings.batch_size, shuffle=True, share=self.share)
        for step, batch in enumerate(islice(batches, steps)):
            done = (epoch + (step + 1) / steps) / self.settings.epochs
            set_lr(self.optimizer, learning_rate(done, self.settings.lr))
            total += self.step(on_device(batch, self.device), frames, number=epoch * steps + step)
            after_step(epoch, step + 1, total)
        return float(self.runtime.sum(total)) / steps

    def step(self, batch: Batch, frames: int, *, number: int = 0) -> Tensor:
        """One optimizer step; this worker's part of its loss, which has not been waited for.

        Args:
            batch: this worker's share, on the device.
            frames: in the whole batch.
            number: of the step since the first epoch began.
        """
        draw = self.share.draw(frames, self.device)
        inputs = {name: AUGMENTATIONS[name](x_N1.squeeze(1), draw).unsqueeze(1) for name, x_N1 in batch.inputs.items()}
        with self._own_generators(number), autocast(self.config, self.device):
            logits = self._wrapped(inputs, batch.mask)
        sums, counts = head_losses(logits, batch.labels, self.heads, "cross_entropy")
        # All workers divide by the same counts, so the step is that of the whole batch.
        loss = weighted_loss(sums, self.runtime.sum(counts), self.weights)
        self.optimizer.zero_grad()
        (loss * self.share.world).backward()  # `world` cancels the mean over workers that averaging the gradients takes
        self.optimizer.step()
        return loss.detach()

    @contextmanager
    def _own_generators(self, number: int) -> Iterator[None]:
        """Within a with block, each worker of a group draws other random numbers, as dropout must.

        After it the generators of all workers are in the same state again, from which they draw the same order and
        augmentation. number: see `step`.
        """
        if self.share.world == 1:
            yield
            return
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(derived_seed(self.config.general_parameters.seed, number, self.share.rank))
            yield

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
