"""`fit` on tiny real data: what it learns, reports, writes, and goes on from."""

import gc
import json
import math
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
from hearai.training.inference.predict import predict
from hearai.training.inference.trained_model import load_trained
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime

NEVER_FROZEN = {"freeze_scheduler.model_params": {}}


class Interrupted(Exception):
    """Stands for whatever ends a run from outside."""


class ShortRuntime(LocalRuntime):
    """Ends the run, as an early stop does, when the given epoch has been reported."""

    def __init__(self, folder, stop_after):
        super().__init__("cpu", folder)
        self.stop_after = stop_after

    def report(self, metrics, checkpoint):
        if metrics["epoch"] == self.stop_after:
            raise Interrupted


class Reports(LocalRuntime):
    """Keeps what is reported."""

    def __init__(self, folder, **kwargs):
        super().__init__("cpu", folder, **kwargs)
        self.seen = []

    def report(self, metrics, checkpoint):
        assert checkpoint == self.folder / "last"
        self.seen.append(metrics)


@pytest.fixture(autouse=True)
def trial_context(tmp_path, monkeypatch):
    """A cache of its own, and one thread: tiny tensors are slower with more."""
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def weights_of(folder, name="last"):
    return load_checkpoint(folder / name)["model"]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_labels_are_smoothed_in_training_and_not_in_validation(make_config, tiny_dataset, tmp_path):
    start = {"train_parameters.epochs": 1, "train_parameters.lr": 1e-9, "train_parameters.warmup_steps": 0}
    seen = {}
    for share in (0.0, 0.5):
        runtime = Reports(tmp_path / str(share))
        fit(make_config(tiny_dataset, {**start, "train_parameters.label_smoothing": share}), runtime)
        seen[share] = runtime.seen[0]
    assert seen[0.5]["val/loss"] == pytest.approx(seen[0.0]["val/loss"], abs=1e-5)
    assert abs(seen[0.5]["train/loss"] - seen[0.0]["train/loss"]) > 1e-4


def test_gradients_are_clipped_to_the_given_norm(make_config, tiny_dataset, tmp_path):
    start = {"train_parameters.optimizer": "sgd", "train_parameters.epochs": 1, "train_parameters.weight_decay": 0.0}
    start |= {"train_parameters.warmup_steps": 0, "train_parameters.fast_dev_run": True}
    moved = {}
    for most in (None, 1e-4):
        config = make_config(tiny_dataset, {**start, "train_parameters.gradient_clip": most})
        fit(config, LocalRuntime("cpu", tmp_path / str(most)))
        first = build_initial_model(config, load_data(config).num_class).state_dict()
        now = weights_of(tmp_path / str(most))
        names = [name for name, tensor in now.items() if tensor.is_floating_point() and "running" not in name]
        moved[most] = math.sqrt(sum(float((now[name] - first[name]).square().sum()) for name in names))
    step = 1.9e-4 * config.train_parameters.lr  # Nesterov: the first step is 1 + momentum gradients long
    assert moved[1e-4] == pytest.approx(step, rel=0.05)
    assert moved[None] > 100 * moved[1e-4]


def test_every_report_has_the_same_finite_keys(tiny_config, tmp_path):
    runtime = Reports(tmp_path / "run")
    result = fit(tiny_config, runtime)
    assert [metrics["epoch"] for metrics in runtime.seen] == [1, 2]
    assert set(runtime.seen[0]) == {
        *("epoch", "epochs", "objective", "best_epoch", "diverged", "seconds", "clips", "lr", "train/loss"),
        *("val/loss", "val/macro_f1", "val/accuracy", "val/gloss/macro_f1", "val/gloss/accuracy"),
        *("frozen/feature_extractor.backbone", "parameters", "size_mb"),
    }
    for metrics in runtime.seen:
        assert metrics.keys() == runtime.seen[0].keys()
        assert all(math.isfinite(value) for value in metrics.values())
        assert 0 <= metrics["val/macro_f1"] <= metrics["objective"] <= 1
    assert result.best == runtime.seen[-1]["objective"]
    assert result.metrics == runtime.seen[result.best_epoch - 1]
    assert result.epochs == 2 and not result.diverged


def test_a_run_folder_says_how_to_run_it_again(tiny_config, tmp_path):
    fit(tiny_config, LocalRuntime("cpu", tmp_path))
    assert load_config(tmp_path / "config.yaml") == tiny_config
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("frozen", [True, False], ids=["cached features", "pictures"])
def test_a_resumed_run_ends_like_an_unbroken_one(make_config, tiny_dataset, tmp_path, frozen):
    values = {"train_parameters.epochs": 4, "transformer.dropout_rate": 0.3}
    config = make_config(tiny_dataset, values if frozen else {**values, **NEVER_FROZEN})
    whole = fit(config, LocalRuntime("cpu", tmp_path / "whole"))
    with pytest.raises(Interrupted):
        fit(config, ShortRuntime(tmp_path / "broken", stop_after=2))
    resumed = fit(config, LocalRuntime("cpu", tmp_path / "broken", resume=True))
    assert equal(weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken"))
    assert equal(weights_of(tmp_path / "whole", "best"), weights_of(tmp_path / "broken", "best"))
    assert (whole.best, whole.best_epoch) == (resumed.best, resumed.best_epoch)
    lines = [json.loads(line) for line in (tmp_path / "broken" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert resumed.seconds >= lines[1]["seconds"]


def test_a_finished_run_is_not_trained_again_but_reports_its_end_to_a_search_that_may_not_have_heard(
    tiny_config, tmp_path
):
    first = fit(tiny_config, LocalRuntime("cpu", tmp_path))
    runtime = Reports(tmp_path, resume=True)
    assert fit(tiny_config, runtime) == first
    assert [report["epoch"] for report in runtime.seen] == [first.epochs]


def test_going_on_with_another_model_is_refused(make_config, tiny_dataset, tmp_path):
    fit(make_config(tiny_dataset), LocalRuntime("cpu", tmp_path))
    for change in ({"transformer.output_size": 24}, {"general_parameters.seed": 5}):
        with pytest.raises(ConfigError, match="holds an unfinished run of another config"):
            fit(make_config(tiny_dataset, change), LocalRuntime("cpu", tmp_path, resume=True))


def test_an_interrupted_run_leaves_its_best_model(tiny_config, tmp_path):
    with pytest.raises(Interrupted):
        fit(tiny_config, ShortRuntime(tmp_path, stop_after=1))
    assert load_checkpoint(tmp_path / "best")["epoch"] == 1


@pytest.mark.parametrize("mirror", [False, True], ids=["as they are", "mirrored at random"])
@pytest.mark.parametrize("frozen_epochs", [4, 2], ids=["always frozen", "thawed half-way"])
def test_cached_features_give_the_numbers_of_pictures(
    make_config, tiny_dataset, tmp_path, monkeypatch, mirror, frozen_epochs
):
    values = {
        "train_parameters.epochs": 4,
        "augmentations_parameters.apply_horizontal_flip": mirror,
        "freeze_scheduler.freeze_pattern_repeats": frozen_epochs,
    }
    config = make_config(tiny_dataset, values)
    cached, pictures = Reports(tmp_path / "cached"), Reports(tmp_path / "pictures")
    fit(config, cached)
    monkeypatch.setattr("hearai.training.batches.epochs_on_features", lambda *_: 0)
    fit(config, pictures)
    assert len(list((tmp_path / "cache").glob("features-*"))) == 1 + mirror
    for ours, theirs in zip(cached.seen, pictures.seen, strict=True):
        close = 1e-5 if ours["epoch"] <= frozen_epochs else 1e-2  # Adam magnifies rounding noise in a thawed backbone
        for key in ours.keys() - {"seconds"}:
            assert ours[key] == pytest.approx(theirs[key], abs=close), key


@pytest.mark.parametrize("stop_after", [1, 2, 3], ids=["while frozen", "at the thaw", "after it"])
def test_a_run_that_thaws_goes_on_from_wherever_it_was_interrupted(make_config, tiny_dataset, tmp_path, stop_after):
    values = {"train_parameters.epochs": 4, "freeze_scheduler.freeze_pattern_repeats": 2}
    config = make_config(tiny_dataset, values)
    whole = fit(config, LocalRuntime("cpu", tmp_path / "whole"))
    with pytest.raises(Interrupted):
        fit(config, ShortRuntime(tmp_path / "resumed", stop_after=stop_after))
    resumed = fit(config, LocalRuntime("cpu", tmp_path / "resumed", resume=True))
    assert resumed.metrics | {"seconds": 0} == whole.metrics | {"seconds": 0}
    one, other = weights_of(tmp_path / "resumed"), weights_of(tmp_path / "whole")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_frozen_backbone_keeps_weights_and_statistics_then_learns(make_config, tiny_dataset, tmp_path):
    config = make_config(
        tiny_dataset,
        {
            "train_parameters.epochs": 2,
            "freeze_scheduler.model_params": {"feature_extractor": [True, False]},
            "freeze_scheduler.freeze_pattern_repeats": [1, 5],
        },
    )

    class Watch(Reports):
        def report(self, metrics, checkpoint):
            self.seen.append(load_checkpoint(checkpoint)["model"])

    runtime = Watch(tmp_path)
    fit(config, runtime)
    start = build_initial_model(config, load_data(config).num_class).state_dict()
    extractor = [name for name in start if name.startswith("feature_extractor.")]
    assert any("running_mean" in name for name in extractor)
    assert all(torch.equal(runtime.seen[0][name], start[name]) for name in extractor)
    assert not torch.equal(runtime.seen[0]["transformer.output.weight"], start["transformer.output.weight"])
    assert all(not torch.equal(runtime.seen[1][name], start[name]) for name in extractor if "running_mean" in name)
    weights = [name for name in extractor if name.endswith("weight")]
    assert sum(not torch.equal(runtime.seen[1][name], start[name]) for name in weights) > len(weights) / 2


def test_freezing_by_step_thaws_within_an_epoch(make_config, tiny_dataset, tmp_path):
    config = make_config(
        tiny_dataset,
        {
            "train_parameters.epochs": 1,
            "freeze_scheduler.model_params": {"transformer": [True]},
            "freeze_scheduler.freeze_pattern_repeats": 1,
            "freeze_scheduler.freeze_mode": "step",
        },
    )

    class Wraps(LocalRuntime):
        trainable = ()

        def wrap(self, model):
            self.trainable = (*self.trainable, model.transformer.output.weight.requires_grad)
            return model

    runtime = Wraps("cpu", tmp_path)
    fit(config, runtime)
    assert runtime.trainable == (False, True), "wrapped once more when, and only when, the frozen set changed"


def test_four_clips_are_learnt_by_heart(make_config, make_dataset, tmp_path):
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
    runtime = Reports(tmp_path)
    fit(config, runtime)
    assert runtime.seen[-1]["train/loss"] < 0.05 < runtime.seen[0]["train/loss"]


def test_a_diverging_run_ends_with_a_finite_report(make_config, tiny_dataset, tmp_path):
    config = make_config(tiny_dataset, {"train_parameters.epochs": 5})
    runtime = Reports(tmp_path)
    runtime.wrap = lambda model: (model.heads["gloss"][-1].weight.data.fill_(math.nan), model)[1]
    result = fit(config, runtime)
    assert result.diverged and result.best == 0.0 and result.best_epoch == 0 and result.metrics == {}
    assert len(runtime.seen) == 1 and runtime.seen[0]["diverged"] == 1.0
    assert all(math.isfinite(value) for value in runtime.seen[0].values())
    assert not (tmp_path / "best").exists()


def test_a_run_that_diverges_late_keeps_its_best(make_config, tiny_dataset, tmp_path):
    class Breaks(Reports):
        def wrap(self, model):
            self.model = model
            return model

        def report(self, metrics, checkpoint):
            super().report(metrics, checkpoint)
            if metrics["epoch"] == 2:
                self.model.heads["gloss"][-1].weight.data.fill_(math.inf)

    runtime = Breaks(tmp_path)
    result = fit(make_config(tiny_dataset, {"train_parameters.epochs": 5}), runtime)
    assert [metrics["diverged"] for metrics in runtime.seen] == [0.0, 0.0, 1.0]
    assert result.best == max(metrics["val/macro_f1"] for metrics in runtime.seen[:2]) == runtime.seen[-1]["objective"]
    assert all(tensor.isfinite().all() for tensor in weights_of(tmp_path, "best").values())


def test_a_head_of_weight_zero_is_judged_but_not_trained(make_config, tiny_dataset, tmp_path):
    names = list(HEADS)
    values = {f"heads.hamnosys.{name}.loss_weight": float(name != names[0]) for name in names}
    config = make_config(
        tiny_dataset,
        {**values, "train_parameters.classification_mode": "hamnosys", "heads.model.additional_layers": 1},
    )

    class Start(Reports):
        def wrap(self, model):
            self.start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            return model

    runtime = Start(tmp_path)
    fit(config, runtime)
    end = weights_of(tmp_path)
    assert f"val/{names[0]}/macro_f1" in runtime.seen[0]
    for name in end:
        untouched = torch.equal(end[name], runtime.start[name])
        if name.startswith(f"heads.{names[0]}"):
            assert untouched, name
        elif name.startswith(f"heads.{names[1]}"):
            assert not untouched, name


def test_a_fast_dev_run_sees_one_batch_of_each(make_config, tiny_dataset, tmp_path):
    config = make_config(tiny_dataset, {"train_parameters.fast_dev_run": True, "train_parameters.epochs": 9})
    runtime = Reports(tmp_path / "run")
    assert fit(config, runtime).epochs == 1
    assert not list((tmp_path / "cache").glob("features-*"))


def test_the_best_folder_is_enough_to_score_and_to_predict(make_config, make_dataset, tmp_path):
    config = make_config(make_dataset(clips=24), {"train_parameters.epochs": 3})
    result = fit(config, LocalRuntime("cpu", tmp_path / "run"))
    trained = load_trained(tmp_path / "run" / "best", torch.device("cpu"))
    assert trained.config == config and trained.num_class == {"gloss": 3} and not trained.model.training
    scores = score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path), split="val")
    assert scores["mean_macro_f1"] == pytest.approx(result.best)
    assert scores["heads"]["gloss"]["accuracy"] == pytest.approx(result.metrics["val/gloss/accuracy"])
    assert score_split(tmp_path / "run" / "best", LocalRuntime("cpu", tmp_path))["clips"] > 0


def test_the_best_folder_scores_its_data_wherever_that_has_moved(make_config, make_dataset, tmp_path):
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


def test_predictions_are_probabilities_whose_best_class_is_what_is_scored(make_config, make_dataset, tmp_path):
    config, device = make_config(make_dataset(clips=24)), torch.device("cpu")
    runtime = LocalRuntime(device, tmp_path)
    result = fit(config, runtime)
    model = load_trained(tmp_path / "best", device).model
    clips = load_data(config).split.val
    probabilities = predict(model, eval_batches(config, clips, runtime, None), config, device)["gloss"]
    assert torch.allclose(probabilities.sum(1), torch.ones(len(clips)))
    right = probabilities.argmax(1) == torch.tensor([clip.labels["gloss"] for clip in clips])
    assert right.float().mean().item() == pytest.approx(result.metrics["val/gloss/accuracy"])


def test_nothing_of_a_run_outlives_it(tiny_config, tmp_path):
    class Watch(LocalRuntime):
        def wrap(self, model):
            self.model = weakref.ref(model)
            return model

    runtime = Watch("cpu", tmp_path)
    fit(tiny_config, runtime)
    gc.collect()
    assert runtime.model() is None


def test_the_same_seed_gives_the_same_run_and_another_seed_another(make_config, tiny_dataset, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        config = make_config(tiny_dataset, {"general_parameters.seed": seed, **NEVER_FROZEN})
        torch.manual_seed(hash(name))  # whatever ran before in this process
        fit(config, LocalRuntime("cpu", tmp_path / name))
    assert equal(weights_of(tmp_path / "a"), weights_of(tmp_path / "b"))
    assert not equal(weights_of(tmp_path / "a"), weights_of(tmp_path / "c"))
