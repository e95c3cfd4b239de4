"""One run, from config to best model."""

from dataclasses import dataclass

from hearai.config.config import Config
from hearai.data.annotations.load import load_data
from hearai.errors import Preempted
from hearai.models.model import build_initial_model
from hearai.training.batches import Batches
from hearai.training.cost import costs_of
from hearai.training.evaluation import evaluate
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.run_state import RunState
from hearai.training.run_writer import RunWriter
from hearai.training.runtime import Runtime
from hearai.training.trainer import Trainer


@dataclass(frozen=True)
class FitResult:
    """What a run came to."""

    best: float
    """Best validation score (mean macro-F1 over the heads of the objective), in [0, 1]."""
    best_epoch: int
    """Its epoch, 1-based; 0 = the run diverged in its first epoch."""
    epochs: int
    """Finished epochs."""
    diverged: bool
    metrics: dict[str, float]
    """The report of the best epoch; empty where there is none."""
    seconds: float
    """Wall time in `fit`, over all attempts."""


def fit(config: Config, runtime: Runtime) -> FitResult:
    """Trains, evaluates every epoch, keeps the best one; goes on where an earlier attempt stopped.

    Raises:
        ConfigError, DataError: input that cannot be used; nothing has been trained.
        Leaving: the surroundings asked for it; the run is saved after its last step.
        Superseded: the run goes on in another process, and this one has written nothing since that began.
    """
    last = runtime.restore_from()
    saved = load_checkpoint(last) if last else None
    progress = RunState(**saved["progress"]) if saved else RunState()

    data, heads = load_data(config), config.train_parameters.objective_heads
    model = build_initial_model(config, data.num_class).to(runtime.device)
    progress.costs = progress.costs or costs_of(model, config, data, runtime)
    batches = Batches(config, data, model, runtime)
    trainer = Trainer(config, data, model, runtime, batches)
    if saved:
        trainer.load(saved)

    record = RunWriter(config, data, runtime, progress)
    try:
        if last and progress.history:
            runtime.report(progress.history[-1], last)  # the earlier attempt may have died before it could
        while progress.epoch < batches.last_epoch and not progress.diverged:
            train_loss = trainer.train_epoch(progress.epoch)
            evaluation = evaluate(model, batches.val(progress.epoch), config, runtime)
            is_best = progress.advance(
                train_loss,
                evaluation,
                lr=trainer.lr,
                epochs=batches.last_epoch,
                clips=batches.clips_per_epoch,
                frozen=trainer.schedule.frozen_shares(progress.epoch, batches.steps_per_epoch),
                heads=heads,
                choose=not config.general_parameters.train_on_validation,
            )
            if is_best:
                progress.best_weights = trainer.weights()
            checkpoint = record.save(trainer, progress)
            record.log(progress.history[-1])
            runtime.report(progress.history[-1], checkpoint)
    except Preempted:
        progress.pause()
        record.save(trainer, progress)
        raise
    finally:
        record.close(trainer, progress)
    return _result(progress)


def _result(progress: RunState) -> FitResult:
    return FitResult(
        best=progress.best,
        best_epoch=progress.best_epoch,
        epochs=progress.epoch,
        diverged=progress.diverged,
        metrics=progress.history[progress.best_epoch - 1] if progress.best_epoch else {},
        seconds=progress.seconds,
    )
