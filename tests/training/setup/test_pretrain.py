"""Pre-training improves the backbone, and writes a file that runs load."""

import pytest
import torch

from hearai.config.overrides import override
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.models.model import build_initial_model
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.pretrain import augment, learning_rate, pretrain, read_stills
from hearai.training.setup.time_estimate import TimeEstimate

pytestmark = pytest.mark.training


def test_a_run_benefits_from_the_pretrained_backbone(make_config, make_dataset, tmp_path):
    """The backbone is frozen in the run, so any improvement comes from pre-training."""
    folder = make_dataset(clips=24, classes=4, signers=0)
    config = make_config(folder, {"train_parameters.epochs": 6, "train_parameters.lr": 0.003})
    out = pretrain(config, LocalRuntime("cpu", tmp_path), tmp_path / "new" / "backbone.pt", Pretrain(epochs=8))
    saved = torch.load(out, weights_only=True)
    assert saved["model_path"] == config.feature_extractor.model_path
    pretrained = override(config, {"feature_extractor.checkpoint": str(out)})
    backbone = build_initial_model(pretrained, load_data(pretrained).num_class).feature_extractor.backbone.state_dict()
    assert all(torch.equal(backbone[name], saved["backbone"][name]) for name in backbone)
    before, after = (fit(c, LocalRuntime("cpu", tmp_path / n)) for n, c in (("before", config), ("after", pretrained)))
    assert after.metrics["train/loss"] < before.metrics["train/loss"]


def test_the_same_seed_gives_the_same_backbone(tiny_config, tmp_path, caplog):
    caplog.set_level("INFO", "hearai")
    settings = Pretrain(epochs=1, batch_size=8)
    files = [pretrain(tiny_config, LocalRuntime("cpu", tmp_path), tmp_path / name, settings) for name in "ab"]
    a, b = (torch.load(file, weights_only=True)["backbone"] for file in files)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a", "b"]
    start, estimate, epoch = (record.getMessage() for record in caplog.records[:3])
    assert start.endswith(" frames") and epoch.startswith("pre-training epoch 1 of 1")
    assert estimate.startswith("pre-training: about ") and " for 1 epochs of " in estimate, "before the epoch ends"


@pytest.mark.parametrize(("frames", "said_after"), [(3, 1), (64, 1), (64 * 3, 1), (64 * 8, 4), (64 * 900, 10)])
def test_the_time_is_estimated_once_within_the_first_epoch(frames, said_after, caplog):
    caplog.set_level("INFO", "hearai")
    estimate = TimeEstimate(frames, 10, Pretrain(epochs=5))
    for step in range(estimate.steps):
        estimate.after_step(step + 1, 0.5)
        assert len(caplog.records) == (step + 1 >= said_after)


def test_only_frames_of_the_hold_are_read(tiny_config):
    train = load_data(tiny_config).split.train
    stills = read_stills(tiny_config, train)
    # 5 or 6 frames per clip; the hand still moves in the first 5 // 3 or 6 // 3 of them
    assert len(stills.inputs_N) == 4 * len(train)
    assert stills.inputs_N.dtype == torch.uint8
    indices = torch.cat([batch.index for batch in stills.batches(5, shuffle=True)])
    assert sorted(indices.tolist()) == list(range(len(stills.inputs_N)))


def test_augmentation_mirrors_about_half_of_the_images():
    torch.manual_seed(0)
    ramp = torch.linspace(-1, 1, 32).expand(200, 3, 32, 32)
    changed = augment(ramp)
    assert changed.shape == ramp.shape and changed.isfinite().all()
    mirrored = (changed[:, 0, 16, 28] < changed[:, 0, 16, 4]).float().mean()
    assert 0.35 < mirrored < 0.65


def test_the_learning_rate_rises_then_falls_to_zero():
    rates = [learning_rate(done / 20, 2.0) for done in range(21)]
    assert rates[0] == 0 and rates[1] == 1.0 and max(rates) == rates[2] == 2.0
    assert rates[2:] == sorted(rates[2:], reverse=True) and rates[-1] == pytest.approx(0)
