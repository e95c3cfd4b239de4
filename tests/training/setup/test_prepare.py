"""Decisions and messages before a run."""

import logging

import pytest

from hearai.config.config import build_config, to_dict
from hearai.config.overrides import override
from hearai.config.study import Request, load_study
from hearai.search.storage.study_folder import with_known_schedule
from hearai.training.setup.prepare import with_data, with_weights


def test_padded_and_truncated_clips_are_logged_per_dataset(make_config, make_dataset, caplog: pytest.LogCaptureFixture):
    folders = [str(make_dataset(name, clips=6, frames=frames, fps=10)) for name, frames in (("pjm", 2), ("glex", 9))]
    config = make_config(None, {"general_parameters.data_path": folders, "train_parameters.num_segments": 4})
    with caplog.at_level(logging.INFO, logger="hearai"):
        with_data(config)
    glex, pjm = sorted(line for line in caplog.messages if "clips have" in line)
    assert pjm.startswith("pjm: 6 of 6 clips have fewer than 4 frames: padded")
    assert glex.startswith("glex: 6 of 6 clips have more than 4 frames")


BACKBONE = {"feature_extractor.backbone": (True,)}
RANDOM = {"feature_extractor": {"model_path": "test_efficientnet", "pretrained": False}}
GCN = {
    "feature_extractor.name": "gcn_extractor",
    "train_parameters.frames": False,
    "train_parameters.landmarks": True,
}


def test_a_backbone_that_has_no_weights_is_not_frozen_by_default():
    """Whether it is chosen in a file, on the command line or by a trial; stated schedules and checkpoints decide."""
    config = build_config({})
    graph = override(config, GCN)
    assert config.freeze_scheduler.model_params == BACKBONE
    assert override(graph, to_changes(config)).freeze_scheduler.model_params == BACKBONE
    assert graph.freeze_scheduler.model_params == {}
    assert build_config(to_dict(graph)) == graph
    assert override(graph, {"feature_extractor.checkpoint": "b.pt"}).freeze_scheduler.model_params == BACKBONE
    stated = override(graph, {"freeze_scheduler.model_params": {"feature_extractor.backbone": [True]}})
    assert override(stated, {"train_parameters.lr": 0.1}).freeze_scheduler.model_params == BACKBONE


def to_changes(config):
    """The values that `GCN` replaces."""
    sections = to_dict(config)
    return {path: sections[path.partition(".")[0]][path.partition(".")[2]] for path in GCN}


def test_random_weights_are_trained_unless_frozen_by_the_config(caplog: pytest.LogCaptureFixture):
    config = build_config(RANDOM)
    assert with_weights(config).freeze_scheduler.model_params == {}
    assert "it is trained instead of frozen" in caplog.text
    assert with_weights(config, pretraining_follows=True).freeze_scheduler.model_params == BACKBONE
    stated = build_config({**RANDOM, "freeze_scheduler": {"model_params": {"feature_extractor.backbone": [True]}}})
    assert with_weights(stated).freeze_scheduler.model_params == BACKBONE


@pytest.mark.heavy
def test_a_study_begun_with_frozen_random_weights_keeps_them(tmp_path):
    study = load_study(Request("gloss", changes={"feature_extractor.pretrained": False}))
    assert with_known_schedule(study, tmp_path) is study
    (tmp_path / "study.yaml").write_text(study.to_yaml())
    assert with_known_schedule(study, tmp_path).base.states_frozen_parts
