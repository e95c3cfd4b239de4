"""Whether a trial can resume from what an earlier attempt left in its folder; removes checkpoints that are unusable."""

import logging
import shutil
import time
from contextlib import suppress
from pathlib import Path

from hearai.config.config import Config, load_config
from hearai.config.overrides import override
from hearai.errors import ConfigError
from hearai.search.storage.layout import LOG
from hearai.training.outputs.layout import BEST, CONFIG_FILE, LAST, METRICS_FILE
from hearai.training.outputs.saved_state import load_last

log = logging.getLogger(__name__)


def clear_unusable(folder: Path, config: Config) -> bool:
    """Removes checkpoints from which the trial cannot resume and logs why, also in its own log.

    Files that a killed process had half written are removed as well. Called by the driver before the trial starts, so
    that all workers of a group find the same.

    Returns:
        Whether checkpoints were removed; the trial then starts again from epoch 1.
    """
    for name in (LAST, BEST):
        for half_written in (folder / name).glob(".*"):  # by a process that was killed while it saved
            half_written.unlink(missing_ok=True)
        with suppress(OSError):  # it holds files, or does not exist
            (folder / name).rmdir()  # of a process that ended before its first checkpoint: nothing is lost
    problem = _problem(folder, config)
    if problem:
        for name in (LAST, BEST):
            shutil.rmtree(folder / name, ignore_errors=True)
        text = f"{problem}; the trial starts again from epoch 1"
        log.warning("%s", text)
        with (folder / LOG).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%F %T')} {text}\n")
    return bool(problem)


def _without_folders(config: Config) -> Config:
    """The config with the file name of its backbone alone: with an object store, the folder differs between nodes."""
    checkpoint = config.feature_extractor.checkpoint
    return override(config, {"feature_extractor.checkpoint": Path(checkpoint).name}) if checkpoint else config


def _problem(folder: Path, config: Config) -> str:
    """Why the trial cannot resume; empty if it can, or has never run."""
    if not (folder / LAST).is_dir():
        rows = folder / METRICS_FILE
        has_run = rows.exists() and rows.stat().st_size > 0
        return f"{folder / LAST}: the checkpoint of an earlier attempt is missing" if has_run else ""
    try:
        if _without_folders(load_config(folder / CONFIG_FILE)) != _without_folders(config):
            return f"{folder}: holds a run of another config (was the journal damaged?)"
        load_last(folder / LAST, remedy="")
    except ConfigError as error:
        return "; ".join(error.problems)
    return ""
