"""`fit` on tiny real data: what it learns, reports, writes, and resumes from."""

import gc
import json
import math
import shutil
import weakref

import pytest
import torch

from hearai.config.config import load_config
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError
from hearai.models.model import build_initial_model
from hearai.sign.hamnosys import HEADS
from hearai.training.batches import eval_batches
from hearai.training.fit import fit
from hearai.training.inference.assess import score_split
from hearai.training.inference.predict import model_outputs
from hearai.training.inference.trained_model import load_trained
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime
from tests.helpers.runtimes import Interrupted, InterruptedRuntime, RecordingRuntime

pytestmark = pytest.mark.training

NEVER_FROZEN = {"freeze_scheduler.model_params": {}}


def weights_of(folder, name="last"):
    return load_checkpoint(folder / name)["model"]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_labels_are_smoothed_in_training_only(make_config, tiny_dataset, tmp_path):
    start = {"train_parameters.epochs": 1, "train_parameters.lr": 1e-9, "train_parameters.warmup_steps": 0}
    reports = {}
    for share in (0.0, 0.5):
        runtime = RecordingRuntime(tmp_path / str(share))
        fit(make_config(tiny_dataset, {**start, "train_parameters.label_smoothing": share}), runtime)
        reports[share] = runtime.reports[0]
    assert reports[0.5]["val/loss"] == pytest.approx(reports[0.0]["val/loss"], abs=1e-5)
    assert abs(reports[0.5]["train/loss"] - reports[0.0]["train/loss"]) > 1e-4


def test_gradients_are_clipped_to_the_given_norm(make_config, tiny_dataset, tmp_path):
    start = {"train_parameters.optimizer": "sgd", "train_parameters.epochs": 1, "train_parameters.weight_decay": 0.0}
    start |= {"train_parameters.warmup_steps": 0, "train_parameters.fast_dev_run": True}
    moved = {}
    for clip in (None, 1e-4):
        config = make_config(tiny_dataset, {**start, "train_parameters.gradient_clip": clip})
        fit(config, LocalRuntime("cpu", tmp_path / str(clip)))
        first = build_initial_model(config, load_data(config).num_class).state_dict()
        now = weights_of(tmp_path / str(clip))
        names = [name for name, tensor in now.items() if tensor.is_floating_point() and "running" not in name]
        moved[clip] = math.sqrt(sum(float((now[name] - first[name]).square().sum()) for name in names))
    step = 1.9e-4 * config.train_parameters.lr  # Nesterov: the first step is 1 + momentum gradients long
    assert moved[1e-4] == pytest.approx(step, rel=0.05)
    assert moved[None] > 100 * moved[1e-4]


def test_every_report_has_the_same_finite_keys(tiny_config, tmp_path):
    runtime = RecordingRuntime(tmp_path / "run")
    result = fit(tiny_config, runtime)
    assert [metrics["epoch"] for metrics in runtime.reports] == [1, 2]
    assert set(runtime.reports[0]) == {
        *("epoch", "epochs", "objective", "best_epoch", "diverged", "seconds", "clips", "lr", "train/loss"),
        *("val/loss", "val/macro_f1", "val/accuracy", "val/gloss/macro_f1", "val/gloss/accuracy"),
        *("frozen/feature_extractor.backbone", "parameters", "size_mb"),
    }
    for metrics in runtime.reports:
        assert metrics.keys() == runtime.reports[0].keys()
        assert all(math.isfinite(value) for value in metrics.values())
        assert 0 <= metrics["val/macro_f1"] <= metrics["objective"] <= 1
    assert result.best == runtime.reports[-1]["objective"]
    assert result.metrics == runtime.reports[result.best_epoch - 1]
    assert result.epochs == 2 and not result.diverged


def test_a_run_folder_holds_config_metrics_and_events(tiny_config, tmp_path):
    fit(tiny_config, LocalRuntime("cpu", tmp_path))
    assert load_config(tmp_path / "config.yaml") == tiny_config
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("frozen", [True, False], ids=["cached features", "images"])
def test_a_resumed_run_equals_an_uninterrupted_one(make_config, tiny_dataset, tmp_path, frozen):
    values = {"train_parameters.epochs": 4, "transformer.dropout_rate": 0.3}
    config = make_config(tiny_dataset, values if frozen else {**values, **NEVER_FROZEN})
    uninterrupted = fit(config, LocalRuntime("cpu", tmp_path / "uninterrupted"))
    with pytest.raises(Interrupted):
        fit(config, InterruptedRuntime(tmp_path / "resumed", after_epoch=2))
    resumed = fit(config, LocalRuntime("cpu", tmp_path / "resumed", resume=True))
    assert equal(weights_of(tmp_path / "uninterrupted"), weights_of(tmp_path / "resumed"))
    assert equal(weights_of(tmp_path / "uninterrupted", "best"), weights_of(tmp_path / "resumed", "best"))
    assert (uninterrupted.best, uninterrupted.best_epoch) == (resumed.best, resumed.best_epoch)
    lines = [json.loads(line) for line in (tmp_path / "resumed" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert resumed.seconds >= lines[1]["seconds"]


class SavedEpochs(InterruptedRuntime):
    """Notes at each report after which epoch the checkpoint was saved."""

    sends_folder = True

    def __init__(self, folder, save_seconds, after_epoch=-1):
        super().__init__(folder, after_epoch)
        self.save_seconds, self.saved = save_seconds, []

    def report(self, metrics, checkpoint):
        self.saved.append(load_checkpoint(checkpoint)["progress"]["epoch"])
        super().report(metrics, checkpoint)


@pytest.mark.parametrize(("seconds", "expected"), [(1e9, [1, 1, 1, 4]), (0, [1, 2, 3, 4])])
def test_checkpoints_are_saved_first_last_and_when_due(make_config, tiny_dataset, tmp_path, seconds, expected):
    runtime = SavedEpochs(tmp_path, seconds)
    fit(make_config(tiny_dataset, {"train_parameters.epochs": 4}), runtime)
    assert runtime.saved == expected


@pytest.mark.parametrize("frozen", [True, False], ids=["cached features", "images"])
def test_checkpoints_beside_training_are_whole_epochs(make_config, tiny_dataset, tmp_path, frozen):
    """Each is complete before the next epoch is reported, holds no later step, and a run resumes from it."""

    class BesideTraining(SavedEpochs):
        sends_folder = False

    values = {"train_parameters.epochs": 6, "transformer.dropout_rate": 0.3}
    config = make_config(tiny_dataset, values if frozen else {**values, **NEVER_FROZEN})
    with pytest.raises(Interrupted):
        fit(config, runtime := BesideTraining(tmp_path / "beside", 1e-9, after_epoch=4))
    assert runtime.saved[0] == 1 and all(epoch - saved in (0, 1) for epoch, saved in enumerate(runtime.saved, start=1))
    assert load_checkpoint(tmp_path / "beside" / "last")["progress"]["epoch"] == 4
    fit(config, LocalRuntime("cpu", tmp_path / "beside", resume=True))
    fit(config, LocalRuntime("cpu", tmp_path / "uninterrupted"))
    assert equal(weights_of(tmp_path / "beside"), weights_of(tmp_path / "uninterrupted"))


def test_a_checkpoint_that_cannot_be_written_ends_the_run(make_config, tiny_dataset, tmp_path):
    class BrokenFolder(LocalRuntime):
        save_seconds = 1e-9

        def report(self, metrics, checkpoint):
            if metrics["epoch"] == 1:
                shutil.rmtree(checkpoint)
                checkpoint.write_text("a file in the place of the folder")

    with pytest.raises(FileExistsError, match="last"):
        fit(make_config(tiny_dataset, {"train_parameters.epochs": 4}), BrokenFolder("cpu", tmp_path))
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["epoch"] < 4


def test_a_run_that_is_ended_by_its_report_is_saved(make_config, tiny_dataset, tmp_path):
    with pytest.raises(Interrupted):
        fit(make_config(tiny_dataset, {"train_parameters.epochs": 4}), SavedEpochs(tmp_path, 1e9, after_epoch=3))
    assert load_checkpoint(tmp_path / "last")["progress"]["epoch"] == 3


def test_a_finished_run_only_repeats_its_last_report(tiny_config, tmp_path):
    """The search may not have received it."""
    first = fit(tiny_config, LocalRuntime("cpu", tmp_path))
    runtime = RecordingRuntime(tmp_path, resume=True)
    assert fit(tiny_config, runtime) == first
    assert [report["epoch"] for report in runtime.reports] == [first.epochs]


def test_resuming_with_another_model_is_refused(make_config, tiny_dataset, tmp_path):
    fit(make_config(tiny_dataset), LocalRuntime("cpu", tmp_path))
    for change in ({"transformer.output_size": 24}, {"general_parameters.seed": 5}):
        with pytest.raises(ConfigError, match="holds an unfinished run of another config"):
            fit(make_config(tiny_dataset, change), LocalRuntime("cpu", tmp_path, resume=True))


def test_an_interrupted_run_saves_its_best_model(tiny_config, tmp_path):
    with pytest.raises(Interrupted):
        fit(tiny_config, InterruptedRuntime(tmp_path, after_epoch=1))
    assert load_checkpoint(tmp_path / "best")["epoch"] == 1


@pytest.mark.parametrize("mirror", [False, True], ids=["unchanged", "mirrored at random"])
@pytest.mark.parametrize("frozen_epochs", [4, 2], ids=["always frozen", "unfrozen half-way"])
def test_cached_features_give_the_same_numbers_as_images(
    make_config, tiny_dataset, tmp_path, monkeypatch, mirror, frozen_epochs
):
    values = {
        "train_parameters.epochs": 4,
        "augmentations_parameters.apply_horizontal_flip": mirror,
        "freeze_scheduler.freeze_pattern_repeats": frozen_epochs,
    }
    config = make_config(tiny_dataset, values)
    cached, images = RecordingRuntime(tmp_path / "cached"), RecordingRuntime(tmp_path / "images")
    fit(config, cached)
    monkeypatch.setattr("hearai.training.batches.epochs_on_features", lambda *_: 0)
    fit(config, images)
    assert len(list((tmp_path / "cache").glob("features-*"))) == 1 + mirror
    for found, expected in zip(cached.reports, images.reports, strict=True):
        tolerance = 1e-5 if found["epoch"] <= frozen_epochs else 1e-2  # Adam magnifies rounding noise once unfrozen
        for key in found.keys() - {"seconds"}:
            assert found[key] == pytest.approx(expected[key], abs=tolerance), key


def test_decoded_frames_give_the_same_run_as_files(make_config, tiny_dataset, tmp_path):
    values = {
        **NEVER_FROZEN,
        "train_parameters.epochs": 4,
        "augmentations_parameters.apply_horizontal_flip": True,
        "augmentations_parameters.apply_color_jitter": True,
    }
    for folder, workers, gigabytes in (("cached", 1, 1), ("files", 0, 0)):
        keys = {"general_parameters.workers": workers, "general_parameters.frame_cache_gb": gigabytes}
        fit(make_config(tiny_dataset, {**values, **keys}), LocalRuntime("cpu", tmp_path / folder))
        assert len(list((tmp_path / "cache").glob("frames-*/images.npy"))) == 1
    assert equal(weights_of(tmp_path / "cached"), weights_of(tmp_path / "files"))


@pytest.mark.parametrize("after_epoch", [1, 2, 3], ids=["while frozen", "when unfrozen", "after it"])
def test_resuming_around_the_unfreezing_changes_nothing(make_config, tiny_dataset, tmp_path, after_epoch):
    values = {"train_parameters.epochs": 4, "freeze_scheduler.freeze_pattern_repeats": 2}
    config = make_config(tiny_dataset, values)
    uninterrupted = fit(config, LocalRuntime("cpu", tmp_path / "uninterrupted"))
    with pytest.raises(Interrupted):
        fit(config, InterruptedRuntime(tmp_path / "resumed", after_epoch=after_epoch))
    resumed = fit(config, LocalRuntime("cpu", tmp_path / "resumed", resume=True))
    assert resumed.metrics | {"seconds": 0} == uninterrupted.metrics | {"seconds": 0}
    one, other = weights_of(tmp_path / "resumed"), weights_of(tmp_path / "uninterrupted")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_frozen_backbone_keeps_its_state_then_learns(make_config, tiny_dataset, tmp_path):
    config = make_config(
        tiny_dataset,
        {
            "train_parameters.epochs": 2,
            "freeze_scheduler.model_params": {"feature_extractor": [True, False]},
            "freeze_scheduler.freeze_pattern_repeats": [1, 5],
        },
    )

    class WeightsRuntime(RecordingRuntime):
        save_seconds = 0.0

        def report(self, metrics, checkpoint):
            self.reports.append(load_checkpoint(checkpoint)["model"])

    runtime = WeightsRuntime(tmp_path)
    fit(config, runtime)
    start = build_initial_model(config, load_data(config).num_class).state_dict()
    extractor = [name for name in start if name.startswith("feature_extractor.")]
    assert any("running_mean" in name for name in extractor)
    assert all(torch.equal(runtime.reports[0][name], start[name]) for name in extractor)
    assert not torch.equal(runtime.reports[0]["transformer.output.weight"], start["transformer.output.weight"])
    assert all(not torch.equal(runtime.reports[1][name], start[name]) for name in extractor if "running_mean" in name)
    weights = [name for name in extractor if name.endswith("weight")]
    assert sum(not torch.equal(runtime.reports[1][name], start[name]) for name in weights) > len(weights) / 2


def test_freezing_by_step_changes_within_an_epoch(make_config, tiny_dataset, tmp_path):
    config = make_config(
        tiny_dataset,
        {
            "train_parameters.epochs": 1,
            "freeze_scheduler.model_params": {"transformer": [True]},
            "freeze_scheduler.freeze_pattern_repeats": 1,
            "freeze_scheduler.freeze_mode": "step",
        },
    )

    class WrapRuntime(LocalRuntime):
        trainable = ()

        def wrap(self, model):
            self.trainable = (*self.trainable, model.transformer.output.weight.requires_grad)
            return model

    runtime = WrapRuntime("cpu", tmp_path)
    fit(config, runtime)
    assert runtime.trainable == (False, True), "wrapped again exactly when the frozen set changed"


def test_four_clips_are_overfitted(make_config, make_dataset, tmp_path):
    folder = make_dataset(clips=8, classes=4, signers=0)
    config = make_config(
        folder,
        {
            "train_parameters.epochs": 40,
            "train_parameters.lr": 0.01,
            "train_parameters.multiply_lr_step": 1.0,
            "general_parameters.ratio_test": 0.0,
            "general_parameters.ratio_train_test": 0.5,
            "transformer.dropout_rate": 0.0,
            **NEVER_FROZEN,
        },
    )
    runtime = RecordingRuntime(tmp_path)
    fit(config, runtime)
    assert runtime.reports[-1]["train/loss"] < 0.05 < runtime.reports[0]["train/loss"]


def test_a_head_of_weight_zero_is_scored_but_not_trained(make_config, tiny_dataset, tmp_path):
    names = list(HEADS)
    values = {f"heads.hamnosys.{name}.loss_weight": float(name != names[0]) for name in names}
    config = make_config(
        tiny_dataset,
        {**values, "train_parameters.classification_mode": "hamnosys", "heads.model.additional_layers": 1},
    )

    class StartRuntime(RecordingRuntime):
        def wrap(self, model):
            self.start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            return model

    runtime = StartRuntime(tmp_path)
    fit(config, runtime)
    end = weights_of(tmp_path)
    assert f"val/{names[0]}/macro_f1" in runtime.reports[0]
    for name in end:
        unchanged = torch.equal(end[name], runtime.start[name])
        if name.startswith(f"heads.{names[0]}"):
            assert unchanged, name
        elif name.startswith(f"heads.{names[1]}"):
            assert not unchanged, name


def test_a_fast_dev_run_takes_one_batch_of_each_split(make_config, tiny_dataset, tmp_path):
    config = make_config(tiny_dataset, {"train_parameters.fast_dev_run": True, "train_parameters.epochs": 9})
    runtime = RecordingRuntime(tmp_path / "run")
    assert fit(config, runtime).epochs == 1
    assert not list((tmp_path / "cache").glob("features-*"))


def test_the_best_folder_suffices_for_scoring(make_config, make_dataset, tmp_path):
    config = make_config(make_dataset(clips=24), {"train_parameters.epochs": 3})
    result = fit(config, LocalRuntime("cpu", tmp_path / "run"))
    trained = load_trained(tmp_path / "run" / "best", torch.device("cpu"))
    assert trained.config == config and trained.num_class == {"gloss": 3} and not trained.model.training
    scores = score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path), split="val")
    assert scores["mean_macro_f1"] == pytest.approx(result.best)
    assert scores["heads"]["gloss"]["accuracy"] == pytest.approx(result.metrics["val/gloss/accuracy"])
    assert score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path))["clips"] > 0


def test_the_best_folder_scores_its_data_after_a_move(make_config, make_dataset, tmp_path):
    folder = make_dataset(clips=24)
    fit(make_config(folder), LocalRuntime("cpu", tmp_path / "run"))
    scores = score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path))
    moved = folder.rename(tmp_path / "elsewhere")
    again = score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path), data_path=[str(moved)])
    assert again == scores


def test_only_a_best_folder_can_be_scored(tiny_config, tmp_path):
    fit(tiny_config, LocalRuntime("cpu", tmp_path))
    with pytest.raises(ConfigError, match="give the `best` folder of a run"):
        load_trained(tmp_path / "last", torch.device("cpu"))


def test_data_with_more_classes_than_the_model_is_refused(make_config, make_dataset, tmp_path):
    fit(make_config(make_dataset(clips=24)), LocalRuntime("cpu", tmp_path / "run"))
    other = make_dataset("other", clips=24, classes=5)
    with pytest.raises(ConfigError, match="the model has 3 classes of gloss, the data 5"):
        score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path), data_path=[str(other)])


def test_predictions_are_probabilities_of_the_scored_classes(make_config, make_dataset, tmp_path):
    config, device = make_config(make_dataset(clips=24)), torch.device("cpu")
    runtime = LocalRuntime(device, tmp_path)
    result = fit(config, runtime)
    model = load_trained(tmp_path / "best", device).model
    clips = load_data(config).split.val
    outputs = model_outputs(model, eval_batches(config, clips, runtime, None), config, device)
    probabilities = outputs.probabilities()["gloss"]
    assert torch.allclose(probabilities.sum(1), torch.ones(len(clips)))
    right = probabilities.argmax(1) == torch.tensor([clip.labels["gloss"] for clip in clips])
    assert right.float().mean().item() == pytest.approx(result.metrics["val/gloss/accuracy"])


def test_a_run_releases_its_model(tiny_config, tmp_path):
    class ModelRuntime(LocalRuntime):
        def wrap(self, model):
            self.model = weakref.ref(model)
            return model

    runtime = ModelRuntime("cpu", tmp_path)
    fit(tiny_config, runtime)
    gc.collect()
    assert runtime.model() is None


def test_runs_are_equal_for_equal_seeds_only(make_config, tiny_dataset, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        config = make_config(tiny_dataset, {"general_parameters.seed": seed, **NEVER_FROZEN})
        torch.manual_seed(hash(name))  # stands for whatever ran before in this process
        fit(config, LocalRuntime("cpu", tmp_path / name))
    assert equal(weights_of(tmp_path / "a"), weights_of(tmp_path / "b"))
    assert not equal(weights_of(tmp_path / "a"), weights_of(tmp_path / "c"))
