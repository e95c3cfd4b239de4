"""Pre-training improves the backbone, and writes a file that runs load."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.models.model import build_initial_model
from hearai.sign.hamnosys import MISSING
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import save_checkpoint
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.pretrain import learning_rate, pretrain
from hearai.training.setup.pretrain_state import PretrainState
from hearai.training.setup.stills import ALONE, Share, augment, augment_points, read_stills
from hearai.training.setup.time_estimate import TimeLeft

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
    start, time_left, epoch = (record.getMessage() for record in caplog.records[:3])
    assert start.endswith(" frames") and epoch.startswith("pre-training epoch 1 of 1: loss ")
    assert time_left.startswith("pre-training epoch 1 of 1, step ") and time_left.endswith(" left")


class KilledBeforeSaving(LocalRuntime):
    """Gets SIGINT when an epoch has been trained, before it is saved."""

    def __init__(self, folder: Path, epoch: int):
        super().__init__("cpu", folder)
        self.left = epoch

    def ensure_current_attempt(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def resumed(config: Config, folder: Path, settings: Pretrain) -> Path:
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, KilledBeforeSaving(folder, 3), folder / "backbone.pt", settings, key="k")
    return pretrain(config, LocalRuntime("cpu", folder), folder / "backbone.pt", settings, key="k")


def test_resumed_pretraining_is_equal_to_an_unbroken_one(tiny_config, tmp_path, caplog):
    caplog.set_level("INFO", "hearai")
    settings = Pretrain(epochs=4, batch_size=8, patience=0)
    whole = pretrain(tiny_config, LocalRuntime("cpu", tmp_path / "a"), tmp_path / "a" / "backbone.pt", settings)
    caplog.clear()
    parts = resumed(tiny_config, tmp_path / "b", settings)
    assert "resumed after epoch 2 of 4" in caplog.text and caplog.text.count("epoch 3 of 4: loss") == 2
    a, b = (torch.load(file, weights_only=True) for file in (whole, parts))
    assert [(row["loss"], row["score"]) for row in a["curve"]] == [(row["loss"], row["score"]) for row in b["curve"]]
    assert all(torch.equal(a["backbone"][name], b["backbone"][name]) for name in a["backbone"])
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["backbone.pt"], "the last checkpoint is removed"


def test_a_state_that_cannot_be_resumed_is_named(tmp_path, caplog):
    def content(**changes: object) -> dict:
        return {**PretrainState("k").content(), **changes}

    for state in (content(version=0), content(key="other"), {"epoch": 1}):
        save_checkpoint(tmp_path, state)
        assert PretrainState.load(tmp_path, "k") is None
    (tmp_path / "state.pt").write_bytes(b"PK damaged")
    assert PretrainState.load(tmp_path, "k") is None
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4 and all(message.startswith(str(tmp_path)) for message in messages)
    assert all("starts with epoch 1" in message for message in messages)


def test_pretraining_ends_when_validation_stalls(tiny_config, tmp_path, caplog):
    caplog.set_level("INFO", "hearai")
    settings = Pretrain(epochs=50, batch_size=8, patience=1, lr=1e-9)  # no epoch is better than the first
    out = pretrain(tiny_config, LocalRuntime("cpu", tmp_path), tmp_path / "backbone.pt", settings)
    assert len(torch.load(out, weights_only=True)["curve"]) < 10
    assert caplog.records[-1].getMessage().startswith("pre-training stops: no better epoch for 1; about ")


@pytest.mark.parametrize(
    ("scores", "patience", "stalled"),
    [([0.1, 0.2, 0.2], 1, True), ([0.1, 0.2, 0.2], 2, False), ([0.3, 0.2, 0.1], 2, True), ([0.3, 0.2, 0.1], 0, False)],
)
def test_validation_stalls_after_patience_epochs(scores, patience, stalled):
    best = scores.index(max(scores)) + 1
    state = PretrainState(curve=[{"score": score} for score in scores], best=max(scores), best_epoch=best)
    assert state.has_stalled(patience) == stalled


@pytest.mark.parametrize(("frames", "said_after"), [(3, 1), (64, 1), (64 * 3, 1), (64 * 8, 4), (64 * 900, 10)])
def test_the_time_left_is_said_within_the_first_epoch(frames, said_after, caplog):
    caplog.set_level("INFO", "hearai")
    time_left = TimeLeft(frames, 10, Pretrain(epochs=5))
    for step in range(time_left.steps):
        time_left.after_step(0, step + 1, 0.5)
        assert len(caplog.records) == (step + 1 >= said_after)


def test_the_time_left_is_said_every_half_minute(caplog):
    caplog.set_level("INFO", "hearai")
    now = [0.0]
    time_left = TimeLeft(64 * 6, 0, Pretrain(epochs=3), first_epoch=1, clock=lambda: now[0])
    for epoch in (1, 2):
        for step in range(1, 7):
            now[0] += 20
            time_left.after_step(epoch, step, 0.5)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "pre-training epoch 2 of 3, step 2 of 6: about 3 min left"
    assert lines[1] == "pre-training epoch 2 of 3, step 3 of 6: about 3 min left"
    assert len(lines) == 6 and lines[-1] == "pre-training epoch 3 of 3, step 5 of 6: about 20 s left"


def test_only_frames_of_the_hold_are_read(tiny_config):
    train = load_data(tiny_config).split.train
    stills = read_stills(tiny_config, train)
    # 5 or 6 frames per clip; the hand still moves in the first 5 // 3 or 6 // 3 of them
    assert len(stills.inputs_N) == 4 * len(train)
    assert stills.inputs_N.dtype == torch.uint8
    indices = torch.cat([batch.index for batch in stills.batches(5, shuffle=True)])
    assert sorted(indices.tolist()) == list(range(len(stills.inputs_N)))


@pytest.mark.parametrize("world", [2, 3, 4])
def test_the_shares_of_workers_are_the_batches_of_one(tiny_config, world):
    """23 frames in batches of 5: shares of different sizes, and a last batch with fewer frames than workers."""
    stills = read_stills(tiny_config, load_data(tiny_config).split.train)
    stills = replace(
        stills,
        inputs_N=stills.inputs_N[:23],
        labels={head: labels_N[:23] for head, labels_N in stills.labels.items()},
    )

    def batches(share):
        torch.manual_seed(0)
        return list(stills.batches(5, shuffle=True, share=share))

    parts = [batches(Share(rank, world)) for rank in range(world)]
    assert {len(part) for part in parts} == {5}
    for step, whole in enumerate(batches(ALONE)):
        taken = [part[step] for part in parts]
        assert all(len(batch.index) for batch in taken), "every worker takes the step"
        found = {int(i): int(label) for b in taken for i, label in zip(b.index, b.labels["gloss"], strict=True)}
        assert found.pop(-1, MISSING) == MISSING
        assert found == dict(zip(whole.index.tolist(), whole.labels["gloss"].tolist(), strict=True))


@pytest.mark.parametrize(("change", "shape"), [(augment, (7, 3, 8, 8)), (augment_points, (7, 75, 4))])
def test_a_frame_is_augmented_alike_for_any_number_of_workers(change, shape):
    def changed(share):
        torch.manual_seed(0)
        return change(share.of(frames), share.draw(len(frames)))

    frames = torch.rand(shape)
    for world in (1, 2, 3):
        for share in (Share(rank, world) for rank in range(world)):
            assert torch.equal(changed(share), share.of(changed(ALONE)))


def test_augmentation_mirrors_about_half_of_the_images():
    torch.manual_seed(0)
    ramp = torch.linspace(-1, 1, 32).expand(200, 3, 32, 32)
    changed = augment(ramp, ALONE.draw(200))
    assert changed.shape == ramp.shape and changed.isfinite().all()
    mirrored = (changed[:, 0, 16, 28] < changed[:, 0, 16, 4]).float().mean()
    assert 0.35 < mirrored < 0.65


def test_the_learning_rate_rises_then_falls_to_zero():
    rates = [learning_rate(done / 20, 2.0) for done in range(21)]
    assert rates[0] == 0 and rates[1] == 1.0 and max(rates) == rates[2] == 2.0
    assert rates[2:] == sorted(rates[2:], reverse=True) and rates[-1] == pytest.approx(0)
