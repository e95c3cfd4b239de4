"""One run, from config to best model."""

from dataclasses import dataclass
from pathlib import Path

from hearai.config.config import Config
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError, Preempted
from hearai.metrics import MACRO_F1
from hearai.models.model import build_initial_model
from hearai.training.batches import Batches
from hearai.training.cost import costs_of
from hearai.training.evaluation import evaluate
from hearai.training.optim.torch_options import use_fast_layout
from hearai.training.outputs.saved_state import load_last
from hearai.training.run_state import RunState
from hearai.training.run_writer import RunWriter
from hearai.training.runtime import Runtime
from hearai.training.trainer import Trainer


@dataclass(frozen=True)
class FitResult:
    """The result of a run."""

    best: float
    """Best validation score (the objective: by default the mean macro-F1 over the heads), in [0, 1]."""
    best_epoch: int
    """Its epoch, 1-based; 0 = the run diverged in its first epoch."""
    epochs: int
    """Finished epochs."""
    diverged: bool
    metrics: dict[str, float]
    """The metrics of the best epoch; empty if there is none."""
    seconds: float
    """Wall time in `fit`, over all attempts."""
    divergence: str = ""
    """Where the run diverged, and with which settings."""
    remedy: str = ""
    """What to change, so that it does not diverge again."""


def fit(config: Config, runtime: Runtime) -> FitResult:
    """Trains, evaluates every epoch, keeps the best one; resumes where an earlier attempt stopped.

    Raises:
        ConfigError, DataError: unusable input; nothing has been trained.
        Preempted: the runtime asked for it; the run is saved after its last step.
        Superseded: the run continues in another process, and this one has written nothing since that began.
    """
    last = runtime.restore_from()
    saved = load_last(last)[0] if last else None
    progress = RunState(**saved["progress"]) if saved else RunState()

    data = load_data(config)
    model = build_initial_model(config, data.num_class).to(runtime.device)
    if config.train_parameters.frames:
        use_fast_layout(model.feature_extractor, runtime.device)
    progress.costs = progress.costs or costs_of(model, config, data, runtime)
    batches = Batches(config, data, model, runtime)
    trainer = Trainer(config, data, model, runtime, batches)
    if saved:
        trainer.load(saved)
        if problem := progress.misfit(model.state_dict(), data.num_class):
            raise ConfigError(f"{last}: holds the progress of another run ({problem}); give another folder")

    writer = RunWriter(config, data, runtime, progress, model)
    try:
        if last and progress.history:
            runtime.report_missing(progress.history[:-1])
            _report(runtime, progress, last)
        while progress.epoch < batches.last_epoch and not progress.diverged:
            _run_epoch(trainer, batches, progress)
            is_last = progress.diverged or progress.epoch >= batches.last_epoch
            checkpoint = writer.save_if_due(trainer, progress, is_last=is_last)
            writer.log(progress.history[-1])
            with writer.saving_if_ended(trainer, progress):
                _report(runtime, progress, checkpoint)
    except Preempted:
        progress.pause()
        writer.save(trainer, progress)
        raise
    finally:
        writer.close(trainer, progress)
    return result_of(progress)


def _run_epoch(trainer: Trainer, batches: Batches, progress: RunState) -> None:
    """Trains and evaluates one epoch, and adds it to `progress`."""
    config, epoch = trainer.config, progress.epoch
    train_loss = trainer.train_epoch(epoch)
    evaluation = evaluate(
        trainer.model,
        batches.val(epoch),
        config,
        trainer.runtime,
        ranks=config.train_parameters.objective_metric != MACRO_F1,
    )
    is_best = progress.advance(
        train_loss,
        evaluation,
        trainer.facts_of(epoch),
        heads=config.train_parameters.objective_heads,
        score_name=config.train_parameters.objective_metric,
        keep_best=not config.general_parameters.train_on_validation,
    )
    if is_best:
        progress.best_weights = trainer.weights()
    if progress.diverged:
        progress.divergence, progress.remedy = trainer.describe_divergence(epoch, evaluation.loss)


def _report(runtime: Runtime, progress: RunState, checkpoint: Path | None) -> None:
    """Reports the last epoch, and before it the reason if it diverged."""
    if progress.divergence:
        runtime.on_divergence(progress.divergence)
    runtime.report(progress.history[-1], checkpoint)


def result_of(progress: RunState) -> FitResult:
    """The result of a run that has made this progress."""
    return FitResult(
        best=progress.best,
        best_epoch=progress.best_epoch,
        epochs=progress.epoch,
        diverged=progress.diverged,
        metrics=progress.history[progress.best_epoch - 1] if progress.best_epoch else {},
        seconds=progress.seconds,
        divergence=progress.divergence,
        remedy=progress.remedy,
    )
