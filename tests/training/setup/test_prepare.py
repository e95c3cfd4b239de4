"""Decisions and messages before a run."""

import logging

import pytest

from hearai.training.setup.prepare import with_data


def test_padded_and_truncated_clips_are_logged_per_dataset(make_config, make_dataset, caplog: pytest.LogCaptureFixture):
    folders = [str(make_dataset(name, clips=6, frames=frames, fps=10)) for name, frames in (("pjm", 2), ("glex", 9))]
    config = make_config(None, {"general_parameters.data_path": folders, "train_parameters.num_segments": 4})
    with caplog.at_level(logging.INFO, logger="hearai"):
        with_data(config)
    glex, pjm = sorted(line for line in caplog.messages if "clips have" in line)
    assert pjm.startswith("pjm: 6 of 6 clips have fewer than 4 frames: padded")
    assert glex.startswith("glex: 6 of 6 clips have more than 4 frames")
