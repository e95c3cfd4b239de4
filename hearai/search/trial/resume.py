"""What an earlier attempt at a trial left in its folder: gone on from, or cleared away where that cannot be."""

import logging
import shutil
import time
from pathlib import Path

from hearai.config.config import Config, load_config
from hearai.config.overrides import override
from hearai.errors import ConfigError
from hearai.search.storage.layout import LOG
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.outputs.layout import BEST, LAST, METRICS_FILE

log = logging.getLogger(__name__)


def clear_unusable(folder: Path, config: Config) -> bool:
    """Clears checkpoints away that a trial cannot go on from, and says so, in its log too: it starts from epoch 1.

    What a killed process had half written goes as well. Returns whether checkpoints had to go.

    Called before a trial is handed out, by the one process that does so: workers of a group must agree.
    """
    for name in (LAST, BEST):
        for half_written in (folder / name).glob(".*"):  # by a process that was killed while it saved
            half_written.unlink(missing_ok=True)
    problem = _problem(folder, config)
    if problem:
        for name in (LAST, BEST):
            shutil.rmtree(folder / name, ignore_errors=True)
        text = f"{problem}; the trial starts again from epoch 1"
        log.warning("%s", text)
        with (folder / LOG).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%F %T')} {text}\n")
    return bool(problem)


def _placeless(config: Config) -> Config:
    """Its backbone by name alone: with an object store it lies elsewhere on each node."""
    checkpoint = config.feature_extractor.checkpoint
    return override(config, {"feature_extractor.checkpoint": Path(checkpoint).name}) if checkpoint else config


def _problem(folder: Path, config: Config) -> str:
    """Why the trial cannot go on where it stopped; empty if it can, or has never begun."""
    if not (folder / LAST).is_dir():
        rows = folder / METRICS_FILE
        known = rows.exists() and rows.stat().st_size > 0
        return f"{folder / LAST}: the checkpoint of an earlier attempt is missing" if known else ""
    try:
        if _placeless(load_config(folder / "config.yaml")) != _placeless(config):
            return f"{folder}: holds a run of another config (was the journal damaged?)"
        load_checkpoint(folder / LAST)
    except ConfigError as error:
        return "; ".join(error.problems)
    return ""
