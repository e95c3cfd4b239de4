"""Runs with random weights, with which others start (`--from`)."""

from pathlib import Path

import torch

from hearai.config.config import Config, to_dict
from hearai.config.overrides import override
from hearai.data.annotations.load import load_data
from hearai.models.model import build_model
from hearai.training.outputs.checkpoint import save_checkpoint
from hearai.training.outputs.trained_clips import trained_clips
from hearai.training.setup.from_run import find_run, values_from
from hearai.training.setup.prepare import with_weights

OLD = {"gloss": 5}
"""Classes of the runs."""


def write_run(config: Config, folder: Path, seed: int) -> Path:
    """The folder of a run; it states its training clips if the config names a dataset."""
    torch.manual_seed(seed)
    model = build_model(config, OLD)
    content = {"model": model.state_dict(), "config": to_dict(config), "num_class": OLD}
    if config.general_parameters.data_path:
        content["trained_clips"] = trained_clips(load_data(config), model.start_clips)
    save_checkpoint(folder / "best", content)
    return folder


def started(config: Config, source: Path) -> Config:
    """The config with the values of `--from`, its weights resolved."""
    return with_weights(override(config, values_from(find_run(str(source)), {})))
