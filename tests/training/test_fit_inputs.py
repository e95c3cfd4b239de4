"""Runs on every kind of input: images, complete clips, landmarks, and combinations."""

import json

import pytest
import torch

from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError
from hearai.models.model import build_initial_model
from hearai.training.features.feature_cache import epochs_on_features
from hearai.training.fit import fit
from hearai.training.inference.assess import score_split
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.prepare import wants_pretraining, with_data
from hearai.training.setup.pretrain import pretrain

pytestmark = pytest.mark.training

UNFROZEN = {"freeze_scheduler.model_params": {}}
WITH_IMAGES = {"train_parameters.landmarks": True}
LANDMARKS_ONLY = {**WITH_IMAGES, "train_parameters.frames": False, "feature_extractor.name": "gcn_extractor"}
CASES = {
    "landmarks": {**LANDMARKS_ONLY, **UNFROZEN},
    "points": {**LANDMARKS_ONLY, "feature_extractor.name": "points"},
    "landmarks and images": {**WITH_IMAGES, **UNFROZEN},
    "landmarks and features": WITH_IMAGES,
    "clip extractor": {"feature_extractor.name": "video_resnet", **UNFROZEN},
    "clip extractor, frozen": {"feature_extractor.name": "video_resnet"},
}


@pytest.fixture
def folder(make_dataset):
    return make_dataset(clips=12, frames=4, landmarks=True)


@pytest.mark.parametrize("case", CASES)
def test_a_run_trains_on_every_kind_of_input(make_config, folder, tmp_path, case):
    config = make_config(folder, {**CASES[case], "train_parameters.lr": 0.01})
    result = fit(config, LocalRuntime("cpu", tmp_path / "run"))
    losses = [json.loads(line)["train/loss"] for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert not result.diverged
    assert "frozen" in case or losses[-1] < losses[0], "little can be learned from a frozen random backbone"
    scores = score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path), split="val")
    assert scores["mean_macro_f1"] == pytest.approx(result.best, abs=1e-6)


@pytest.mark.parametrize("change", [LANDMARKS_ONLY, CASES["points"], WITH_IMAGES], ids=["gcn", "points", "images too"])
def test_landmark_extractors_learn_by_default(make_config, folder, tmp_path, change):
    config = make_config(folder, {**change, "train_parameters.epochs": 1, "train_parameters.lr": 0.01})
    fit(config, LocalRuntime("cpu", tmp_path / "run"))
    before = build_initial_model(config, load_data(config).num_class).state_dict()
    after = load_checkpoint(tmp_path / "run" / "best")["model"]
    extractor = "landmark_extractor.backbone." if change is WITH_IMAGES else "feature_extractor.backbone."
    learned = [not torch.equal(after[name], before[name]) for name in before if name.startswith(extractor)]
    assert learned and all(learned)


def test_landmarks_distinguish_classes_that_images_do_not(make_config, make_dataset, tmp_path):
    """Every clip has the same images; only the positions of the hands differ between classes."""
    folder = make_dataset(clips=12, frames=4, landmarks=True)
    for clip in folder.glob("c*"):
        for image in clip.glob("*.jpg"):
            image.write_bytes((folder / "c0" / "c0_0.jpg").read_bytes())
    values = {"train_parameters.lr": 0.01, "train_parameters.epochs": 8}
    best = {}
    for name, change in {"landmarks": CASES["landmarks"], "both": WITH_IMAGES, "images": {}}.items():
        config = make_config(folder, {**values, **change})
        best[name] = fit(config, LocalRuntime("cpu", tmp_path / name)).best
    assert best["landmarks"] == best["both"] == 1.0 and best["images"] < 0.7


@pytest.mark.parametrize("mirror", [False, True])
def test_features_with_landmarks_equal_images_with_landmarks(make_config, folder, tmp_path, monkeypatch, mirror):
    values = {**WITH_IMAGES, "augmentations_parameters.apply_horizontal_flip": mirror}
    config = make_config(folder, values)
    assert epochs_on_features(config, load_data(config))
    on_features = fit(config, LocalRuntime("cpu", tmp_path / "features"))
    monkeypatch.setattr("hearai.training.batches.epochs_on_features", lambda *_: 0)
    on_images = fit(config, LocalRuntime("cpu", tmp_path / "images"))
    one, other = (load_checkpoint(tmp_path / name / "best")["model"] for name in ("features", "images"))
    assert on_features.best == pytest.approx(on_images.best, abs=1e-6)
    for name in one:
        if not name.endswith("in_proj_bias"):  # attention ignores the keys' bias: Adam magnifies its rounding noise
            assert torch.allclose(one[name], other[name], atol=1e-4), name  # a tenth of an Adam step


def test_clip_extractors_and_landmarks_have_no_features(make_config, folder):
    for case in ("landmarks", "clip extractor, frozen"):
        config = make_config(folder, CASES[case])
        assert not epochs_on_features(config, load_data(config))


def test_landmark_files_are_checked_before_a_run(make_config, folder):
    config = make_config(folder, LANDMARKS_ONLY)
    with_data(config)
    (folder / "c3" / "c3.npz").write_bytes(b"")
    with pytest.raises(Exception, match="c3.npz: cannot read"):
        with_data(config)
    with_data(make_config(folder))  # not needed for images only


def test_a_graph_over_landmarks_can_be_pre_trained(make_config, folder, tmp_path):
    config = make_config(folder, LANDMARKS_ONLY)
    runtime = LocalRuntime("cpu", tmp_path)
    path = pretrain(config, runtime, tmp_path / "backbone.pt", Pretrain(epochs=2, lr=1e-3, batch_size=8))
    frozen = make_config(folder, {**LANDMARKS_ONLY, "feature_extractor.checkpoint": str(path)})
    fit(frozen, LocalRuntime("cpu", tmp_path / "run"))
    there, here = torch.load(path)["backbone"], load_checkpoint(tmp_path / "run" / "best")["model"]
    assert all(torch.equal(x, here[f"feature_extractor.backbone.{name}"]) for name, x in there.items())


def test_clip_extractors_are_not_pre_trained_on_frames(make_config):
    config = make_config(None, {"feature_extractor.name": "video_resnet"})
    assert wants_pretraining(config, "auto") is None
    with pytest.raises(ConfigError, match="pretrain: .*video_resnet reads complete clips"):
        wants_pretraining(config, Pretrain())
