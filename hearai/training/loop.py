"""One run, from config to best model."""

from dataclasses import dataclass

from hearai.config import Config
from hearai.data.folders import load_data
from hearai.training.checkpoint import load_checkpoint
from hearai.training.cost import costs_of
from hearai.training.evaluate import evaluate
from hearai.training.feed import Feed
from hearai.training.initial import build_initial_model
from hearai.training.learner import Learner
from hearai.training.leaving import Leaving
from hearai.training.progress import Progress
from hearai.training.record import Record
from hearai.training.runtime import Runtime


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
    progress = Progress(**saved["progress"]) if saved else Progress()

    data, heads = load_data(config), config.train_parameters.objective_heads
    model = build_initial_model(config, data).to(runtime.device)
    progress.costs = progress.costs or costs_of(model, config, data, runtime)
    feed = Feed(config, data, model, runtime)
    learner = Learner(config, data, model, runtime, feed)
    if saved:
        learner.load(saved)

    record = Record(config, data, runtime, progress)
    try:
        if last and progress.history:
            runtime.report(progress.history[-1], last)  # the earlier attempt may have died before it could
        while progress.epoch < feed.last_epoch and not progress.diverged:
            train_loss = learner.train_epoch(progress.epoch)
            evaluation = evaluate(model, feed.val(progress.epoch), config, runtime)
            is_best = progress.advance(
                train_loss,
                evaluation,
                lr=learner.lr,
                epochs=feed.last_epoch,
                clips=feed.clips_per_epoch,
                frozen=learner.schedule.frozen_shares(progress.epoch, feed.steps_per_epoch),
                heads=heads,
                choose=not config.general_parameters.train_on_validation,
            )
            if is_best:
                progress.best_weights = learner.weights()
            checkpoint = record.save(learner, progress)
            record.log(progress.history[-1])
            runtime.report(progress.history[-1], checkpoint)
    except Leaving:
        progress.pause()
        record.save(learner, progress)
        raise
    finally:
        record.close(learner, progress)
    return _result(progress)


def _result(progress: Progress) -> FitResult:
    return FitResult(
        best=progress.best,
        best_epoch=progress.best_epoch,
        epochs=progress.epoch,
        diverged=progress.diverged,
        metrics=progress.history[progress.best_epoch - 1] if progress.best_epoch else {},
        seconds=progress.seconds,
    )
