"""Weights made elsewhere: which validation and test clips they were trained on."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.config.study import Request, load_study
from hearai.data.annotations.load import load_data
from hearai.models.model import build_initial_model
from hearai.search.plan import make_plan
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint, save_tensors
from hearai.training.outputs.trained_clips import trained_clips
from hearai.training.setup.cross_validation import fold_configs
from hearai.training.setup.from_run import find_run, request_from, values_from
from hearai.training.setup.prepare import with_weights
from hearai.training.setup.single_run import prepare_run, pretrain_only
from hearai.training.setup.starting_weights import clips_seen_before
from tests.helpers.small_space import small_space
from tests.helpers.source_run import started, write_run

OTHER_SPLIT = {"general_parameters.split_seed": 1}


@pytest.mark.parametrize(
    ("labels", "given"), [("hamnosys", False), ("hamnosys", True), ("gloss", False)], ids=["other", "given", "same"]
)
def test_clips_that_the_source_was_trained_on_are_counted(
    make_config: Callable[..., Config], make_dataset: Callable, tmp_path: Path, caplog, labels: str, given: bool
):
    data = make_dataset(clips=24, classes=8, first_seed=0)
    if given:
        parts = ("train", "val", "test")
        (data / "splits.csv").write_text("name,split\n" + "".join(f"c{i},{parts[i % 3]}\n" for i in range(24)))
    source = write_run(make_config(data), tmp_path / "source", seed=4)
    config = make_config(data, {"train_parameters.classification_mode": labels})
    trained = {clip.key for clip in load_data(make_config(data)).split.train}
    shared = sum(clip.key in trained for clip in load_data(config).split.val)
    caplog.set_level(logging.INFO, "hearai")
    prepare_run(override(config, values_from(find_run(str(source)), {})), tmp_path / "run")
    assert bool(shared) == (labels == "hamnosys" and not given)
    assert (f"were trained on {shared} of the" in caplog.text) == bool(shared)
    assert "does not state" not in caplog.text


def test_clips_of_runs_before_the_source_count_too(make_config: Callable, make_dataset: Callable, tmp_path: Path):
    data = make_dataset(clips=24, classes=8, first_seed=0)
    first = write_run(make_config(data, {"general_parameters.split_seed": 1}), tmp_path / "first", seed=4)
    middle = write_run(started(make_config(data), first), tmp_path / "middle", seed=5)
    config = started(make_config(data), middle)
    split = load_data(config)
    trained = {clip.key for clip in load_data(make_config(data, {"general_parameters.split_seed": 1})).split.train}
    seen = clips_seen_before(config, [split])
    assert seen == {part: sum(clip.key in trained for clip in getattr(split.split, part)) for part in ("val", "test")}
    assert any(seen.values()), "although the middle run has the same split"
    shutil.rmtree(first)
    assert clips_seen_before(config, [split]) == seen, "the middle run states them"


def test_seen_clips_are_found_by_content_not_by_name(make_config: Callable, make_dataset: Callable, tmp_path: Path):
    data = make_dataset(clips=24, classes=8, first_seed=0)
    source = write_run(make_config(data), tmp_path / "source", seed=4)
    other_split = {"general_parameters.split_seed": 1}
    expected = clips_seen_before(
        started(make_config(data, other_split), source), [load_data(make_config(data, other_split))]
    )
    renamed = shutil.copytree(data, tmp_path / "another name", copy_function=shutil.copyfile)
    same_name = make_dataset("elsewhere", clips=24, classes=8, first_seed=100).rename(tmp_path / "source" / data.name)
    for folder, seen in ((renamed, expected), (same_name, {"val": 0, "test": 0})):
        config = make_config(folder, other_split)
        assert clips_seen_before(started(config, source), [load_data(config)]) == seen
    assert any(expected.values())


def test_a_source_that_states_no_clips_is_unknown(make_config: Callable, tiny_dataset: Path, tmp_path: Path, caplog):
    source = write_run(make_config(None), tmp_path / "source", seed=4)
    caplog.set_level(logging.INFO, "hearai")
    config = make_config(tiny_dataset)
    assert clips_seen_before(started(config, source), [load_data(config)]) is None
    assert "does not state which clips its weights were trained on" in caplog.text


@pytest.mark.parametrize("option", ["checkpoint", "pretrained"])
def test_a_pretrained_backbone_states_its_clips(
    make_config: Callable, make_dataset: Callable, tmp_path: Path, option: str
):
    data = make_dataset(clips=24, classes=8, first_seed=0)
    trained = make_config(data, {"general_parameters.split_seed": 1})
    backbone = pretrain_only(override(trained, {"train_parameters.epochs": 1}), load_data(trained), tmp_path / "other")
    config = with_weights(make_config(data, {f"feature_extractor.{option}": str(backbone)}))
    split, clips = load_data(config), {clip.key for clip in load_data(trained).split.train}
    seen = {part: sum(clip.key in clips for clip in getattr(split.split, part)) for part in ("val", "test")}
    assert clips_seen_before(config, [split]) == seen and any(seen.values())
    model = build_initial_model(config, split.num_class)
    all_clips = trained_clips(split, model.start_clips)
    assert len(all_clips) == len({*clips, *(clip.key for clip in split.split.train)})


@pytest.mark.heavy
def test_every_fold_of_a_study_counts(make_config: Callable, make_dataset: Callable, tmp_path: Path, caplog):
    data = make_dataset(clips=24, classes=8, first_seed=0)
    source = find_run(str(write_run(make_config(data), tmp_path / "source", seed=4)))
    (tmp_path / "space.yaml").write_text(small_space(trials=2, epochs=1))
    asked = Request(str(tmp_path / "space.yaml"), data_paths=(str(data),), settings={"splits": 3})
    changes = {f"general_parameters.{name}": x for name, x in (("ratio_test", 0.25), ("ratio_train_test", 0.67))}
    asked = replace(asked, changes=changes)
    plan = make_plan(load_study(request_from(asked, load_study(asked), source, {})[0]), tmp_path)
    folds = [load_data(fold) for fold in fold_configs(plan.start, 3)]
    assert clips_seen_before(plan.start, folds[:1])["val"] == 0, "the split of the source"
    assert plan.seen == {"val": len(folds[1].split.val), "test": 0}, "trained on there, as on all clips but the test's"
    assert f"of the {plan.seen['val']} validation clips of a fold" in caplog.text


@pytest.mark.parametrize("states", [True, False])
def test_weights_alone_are_ours_but_of_unknown_clips(
    make_config: Callable, make_dataset: Callable, tmp_path: Path, states: bool
):
    """What `path_to_save: NAME.pth` writes, against the run's own checkpoint."""
    data = make_dataset(clips=24, classes=8, first_seed=0)
    source = write_run(make_config(data), tmp_path / "source", seed=4) / "best" / "state.pt"
    if not states:
        save_tensors(tmp_path / "weights.pth", load_checkpoint(source.parent)["model"])
        source = tmp_path / "weights.pth"
    config = with_weights(make_config(data, {**OTHER_SPLIT, "feature_extractor.pretrained": str(source)}))
    assert (clips_seen_before(config, [load_data(config)]) is not None) == states
    start_clips = build_initial_model(config, {"gloss": 8}).start_clips
    assert (trained_clips(load_data(config), start_clips) is not None) == states


def test_the_clips_of_an_older_run_are_those_of_its_dataset(
    make_config: Callable, make_dataset: Callable, tmp_path: Path
):
    data = make_dataset(clips=24, classes=8, first_seed=0)
    source = write_run(make_config(data), tmp_path / "source", seed=4)
    config = started(make_config(data, OTHER_SPLIT), source)
    seen = clips_seen_before(config, [load_data(config)])
    content = load_checkpoint(source / "best")
    del content["trained_clips"]
    for fingerprints, expected in ((load_data(config).fingerprints.as_dict(), seen), ({"content": "another"}, None)):
        save_checkpoint(source / "best", content | fingerprints)
        assert clips_seen_before(started(make_config(data, OTHER_SPLIT), source), [load_data(config)]) == expected
    assert any(seen.values())


@pytest.mark.parametrize("option", ["checkpoint", "pretrained"])
def test_an_older_backbone_makes_all_clips_unknown(
    make_config: Callable, tiny_dataset: Path, tmp_path: Path, option: str
):
    model = build_initial_model(make_config(tiny_dataset), {"gloss": 3})
    content = {"backbone": model.feature_extractor.backbone.state_dict(), "model_path": "test_efficientnet"}
    save_tensors(tmp_path / "backbone.pt", content)
    values = {f"feature_extractor.{option}": str(tmp_path / "backbone.pt")}
    config = with_weights(make_config(tiny_dataset, values))
    assert clips_seen_before(config, [load_data(config)]) is None
    assert build_initial_model(config, {"gloss": 3}).start_clips is None


def test_weights_of_others_were_trained_on_none_of_ours(make_config: Callable, tiny_dataset: Path, tmp_path: Path):
    model = build_initial_model(make_config(tiny_dataset), {"gloss": 3})
    torch.save(model.feature_extractor.backbone.state_dict(), tmp_path / "published.pth")
    config = make_config(tiny_dataset, {"feature_extractor.pretrained": str(tmp_path / "published.pth")})
    config = with_weights(config)
    assert clips_seen_before(config, [load_data(config)]) is None
    assert build_initial_model(config, {"gloss": 3}).start_clips.shape == (0, 2)
