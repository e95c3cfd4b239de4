"""Measures on validation clips when a trained model should not be believed, and stores it in its `best` folder.

That is done once, after a run that `train.py` or `hearai.fit` has trained, and for the winner of a search; the trials
of a search do not pay for it. It reads at most 2,000 training and 2,000 validation clips, each once.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from hearai.config.config import Config, dataset_folders
from hearai.config.overrides import override
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.load import Data, load_data, unsplit_data
from hearai.errors import ConfigError
from hearai.training.batches import eval_batches
from hearai.training.features.decoded_frames import load_frames
from hearai.training.features.feature_cache import epochs_on_features, load_or_compute, run_length
from hearai.training.inference.calibration import fit_temperatures
from hearai.training.inference.novelty import draw_clips, limit_of, nearest_distances
from hearai.training.inference.predict import ClipOutputs, model_outputs
from hearai.training.inference.reliability import Reliability
from hearai.training.inference.trained_model import TrainedModel, load_trained, require_dataset
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint
from hearai.training.outputs.layout import holds_checkpoint
from hearai.training.runtime import LocalRuntime
from hearai.training.scores import labels_of

log = logging.getLogger(__name__)


def add_reliability(
    best: Path, device: torch.device, of_search: Path | None = None, copies: Sequence[str] = ()
) -> Reliability | None:
    """Adds to a `best` folder what `measure` finds; what is there already is kept.

    Args:
        of_search: `best` folder of a run of the same config, whose temperatures and limit hold for a model that was
            trained on its validation clips.
        copies: folders that may hold a copy of its dataset.

    Returns:
        None, and the log says why, where there are no clips to measure it on; or there is no model, since the run
        diverged in its first epoch.

    Raises:
        ConfigError: the dataset is another one than in training.
        DataError: it cannot be read.
    """
    if not holds_checkpoint(best):
        return None
    trained = load_trained(best, device)
    if trained.reliability is not None:
        return trained.reliability
    known = load_trained(of_search, torch.device("cpu")).reliability if of_search else None
    reliability = measure(trained, known, copies)
    if reliability is not None:
        save_checkpoint(best, {**load_checkpoint(best), "reliability": reliability.content()})
    return reliability


def measure(
    trained: TrainedModel, of_search: Reliability | None = None, copies: Sequence[str] = ()
) -> Reliability | None:
    """Temperatures and the limit from validation clips, vectors from training clips; see `add_reliability`."""
    config = _with_dataset(trained, copies)
    data = load_data(config)
    if trained.fingerprints and not is_same_dataset(trained.fingerprints, data.fingerprints.as_dict()):
        folders = ", ".join(map(str, dataset_folders(config)))
        raise ConfigError(
            f"{trained.folder}: {folders} is not the dataset that it was trained on, or has changed since, so that its "
            "validation clips are not known; give an unchanged copy (--data-path), or train it again"
        )
    has_validation = bool(data.split.val) and not config.general_parameters.train_on_validation
    if not has_validation and of_search is None:
        log.info("not calibrated: no validation clips that the model was not trained on")
        return None
    train, val = draw_clips(data.split.train), draw_clips(data.split.val)
    vectors_MD = _outputs(trained, config, data, train).vectors_ND.half()
    if of_search is not None:
        return Reliability(of_search.temperatures, vectors_MD, of_search.limit)
    outputs = _outputs(trained, config, data, val)
    temperatures = fit_temperatures(outputs.logits, labels_of(val, outputs.logits))
    return Reliability(temperatures, vectors_MD, limit_of(nearest_distances(outputs.vectors_ND, vectors_MD)))


def _with_dataset(trained: TrainedModel, copies: Sequence[str]) -> Config:
    """The model's config, with the copies where its own dataset is gone, or they are the same as it was in training.

    Raises:
        ConfigError: it is gone, and there are none.
    """
    if not copies:
        require_dataset(trained)
        return trained.config
    with_copies = override(trained.config, {"general_parameters.data_path": list(copies)})
    if not all(folder.is_dir() for folder in dataset_folders(trained.config)):
        return with_copies
    found = unsplit_data(with_copies).fingerprints.as_dict()
    return with_copies if is_same_dataset(trained.fingerprints, found) else trained.config


def _outputs(trained: TrainedModel, config: Config, data: Data, clips: Sequence[Clip]) -> ClipOutputs:
    """Those for clips of the run's own data, from the features or decoded frames that its training has left."""
    runtime = LocalRuntime(trained.device, trained.folder)
    known = [*data.split.train, *data.split.val]
    features = frames = None
    if _trained_on_features(config, data):
        features = load_or_compute(config, data, known, trained.model.feature_extractor, trained.device)
    elif config.train_parameters.frames:
        frames = load_frames(config, known, reads=0)
    return model_outputs(trained.model, eval_batches(config, clips, runtime, features, frames), config, trained.device)


def _trained_on_features(config: Config, data: Data) -> bool:
    return epochs_on_features(config, data) == run_length(config, data)[0]
