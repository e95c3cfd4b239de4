"""Runs over everything a clip can show: pictures, whole clips, landmarks, and two of them together."""

import json

import pytest
import torch

from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError
from hearai.training.feature_cache import epochs_on_features
from hearai.training.fit import fit
from hearai.training.inference.assess import score_split
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.prepare import wants_pretraining, with_data
from hearai.training.setup.pretrain import pretrain

THAWED = {"freeze_scheduler.model_params": {}}
BESIDE = {"train_parameters.landmarks": True}
ALONE = {**BESIDE, "train_parameters.frames": False, "feature_extractor.name": "gcn_extractor"}
CASES = {
    "landmarks": {**ALONE, **THAWED},
    "landmarks beside pictures": {**BESIDE, **THAWED},
    "landmarks beside kept features": BESIDE,
    "whole clips": {"feature_extractor.name": "video_resnet", **THAWED},
    "whole clips, frozen": {"feature_extractor.name": "video_resnet"},
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(make_dataset):
    return make_dataset(clips=12, frames=4, landmarks=True)


@pytest.mark.parametrize("case", CASES)
def test_a_run_trains_and_is_scored_over_every_kind_of_input(make_config, folder, tmp_path, case):
    config = make_config(folder, {**CASES[case], "train_parameters.lr": 0.01})
    result = fit(config, LocalRuntime("cpu", tmp_path / "run"))
    losses = [json.loads(line)["train/loss"] for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert not result.diverged
    assert "frozen" in case or losses[-1] < losses[0], "a random backbone that stays so teaches little"
    scores = score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path), split="val")
    assert scores["mean_macro_f1"] == pytest.approx(result.best, abs=1e-6)


def test_landmarks_tell_classes_apart_that_pictures_do_not_show(make_config, make_dataset, tmp_path):
    """Every clip has the same pictures; the hands' places alone differ from class to class."""
    folder = make_dataset(clips=12, frames=4, landmarks=True)
    for clip in folder.glob("c*"):
        for picture in clip.glob("*.jpg"):
            picture.write_bytes((folder / "c0" / "c0_0.jpg").read_bytes())
    values = {"train_parameters.lr": 0.01, "train_parameters.epochs": 8}
    seen = {}
    for name, change in {"landmarks": CASES["landmarks"], "both": BESIDE, "pictures": {}}.items():
        config = make_config(folder, {**values, **change})
        seen[name] = fit(config, LocalRuntime("cpu", tmp_path / name)).best
    assert seen["landmarks"] == seen["both"] == 1.0 and seen["pictures"] < 0.7


@pytest.mark.parametrize("mirror", [False, True])
def test_kept_features_and_landmarks_give_the_numbers_of_pictures_and_landmarks(
    make_config, folder, tmp_path, monkeypatch, mirror
):
    values = {**BESIDE, "augmentations_parameters.apply_horizontal_flip": mirror}
    config = make_config(folder, values)
    assert epochs_on_features(config, load_data(config))
    kept = fit(config, LocalRuntime("cpu", tmp_path / "kept"))
    monkeypatch.setattr("hearai.training.batches.epochs_on_features", lambda *_: 0)
    shown = fit(config, LocalRuntime("cpu", tmp_path / "shown"))
    one, other = (load_checkpoint(tmp_path / name / "best")["model"] for name in ("kept", "shown"))
    assert kept.best == pytest.approx(shown.best, abs=1e-6)
    for name in one:
        if not name.endswith("in_proj_bias"):  # attention ignores the keys' bias: Adam magnifies its rounding noise
            assert torch.allclose(one[name], other[name], atol=1e-5), name


def test_whole_clips_and_landmarks_alone_keep_no_features(make_config, folder):
    for case in ("landmarks", "whole clips, frozen"):
        config = make_config(folder, CASES[case])
        assert not epochs_on_features(config, load_data(config))


def test_landmarks_are_checked_at_the_door(make_config, folder):
    config = make_config(folder, ALONE)
    with_data(config)
    (folder / "c3" / "c3.npz").write_bytes(b"")
    with pytest.raises(Exception, match="c3.npz: cannot be read"):
        with_data(config)
    with_data(make_config(folder))  # pictures alone do not need them


def test_a_graph_over_landmarks_can_be_pre_trained(make_config, folder, tmp_path):
    config = make_config(folder, ALONE)
    runtime = LocalRuntime("cpu", tmp_path)
    path = pretrain(config, runtime, tmp_path / "backbone.pt", Pretrain(epochs=2, lr=1e-3, batch_size=8))
    frozen = make_config(folder, {**ALONE, "feature_extractor.checkpoint": str(path)})
    fit(frozen, LocalRuntime("cpu", tmp_path / "run"))
    there, here = torch.load(path)["backbone"], load_checkpoint(tmp_path / "run" / "best")["model"]
    assert all(torch.equal(x, here[f"feature_extractor.backbone.{name}"]) for name, x in there.items())


def test_whole_clips_are_not_pre_trained_on_single_frames(make_config):
    config = make_config(None, {"feature_extractor.name": "video_resnet"})
    assert wants_pretraining(config, "auto") is None
    with pytest.raises(ConfigError, match="pretrain: .*video_resnet looks at whole clips"):
        wants_pretraining(config, Pretrain())
