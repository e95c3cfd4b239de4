"""What a search prints about its objective before it starts, and whether what its trials read is still there."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.data.annotations.fingerprint import CHANGED
from hearai.data.annotations.load import load_data
from hearai.errors import DataError
from hearai.search.plan import Plan, check_inputs, make_plan, objective_note, prepare_inputs, require_unchanged_data
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.pretrain_task import SavedEpochs
from hearai.training.outputs.layout import BACKBONE_FILE
from hearai.training.setup.backbone_cache import ensure_backbone, is_backbone


def test_an_objective_other_than_the_default_is_printed(make_study: Callable[..., Study]) -> None:
    assert objective_note(make_study()) is None
    study = make_study({"metric": ["objective", "seconds_per_clip"], "objective": {"heads": ["gloss"]}})
    assert objective_note(study) == (
        "objective: macro-F1 over 1 of 1 heads: gloss; other metrics: milliseconds per clip"
    )


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("lose", "words"),
    [
        (lambda data, weights: shutil.rmtree(data), "data: the dataset is gone"),
        (lambda data, weights: data.rename(data.with_name("moved")), "data: the dataset is gone"),
        (
            lambda data, weights: shutil.rmtree(next(data.glob("*/"))),
            r"the files of 1 of \d+ clips are gone, the first",
        ),
        (lambda data, weights: [shutil.rmtree(clip) for clip in data.glob("*/")], r"the files of (\d+) of \1 clips"),
        (lambda data, weights: weights.unlink(), "backbone.pt: the starting weights of all trials are gone"),
    ],
)
def test_lost_inputs_are_named(
    make_study: Callable[..., Study], tiny_dataset: Path, tmp_path: Path, lose: Callable, words: str
) -> None:
    data, weights = tiny_dataset, tmp_path / "backbone.pt"
    weights.touch()
    changes = {"general_parameters.data_path": [str(data)], "feature_extractor.checkpoint": str(weights)}
    study = make_study()
    study = replace(study, base=override(study.base, changes))
    plan = Plan(study, load_data(study.base), study.base, None)
    check_inputs(plan)
    lose(data, weights)
    with pytest.raises(DataError, match=f"{words}.*Put them back; then the same command continues"):
        check_inputs(plan)


@pytest.mark.heavy
def test_a_dataset_that_changed_during_a_search_is_named(make_study: Callable[..., Study], tiny_dataset: Path) -> None:
    study = make_study()
    study = replace(study, base=override(study.base, {"general_parameters.data_path": [str(tiny_dataset)]}))
    plan = Plan(study, load_data(study.base), study.base, None)
    os.utime(next(tiny_dataset.glob("c0/*.jpg")))
    require_unchanged_data(plan)
    rows = (tiny_dataset / "test_gloss.txt").read_text()
    (tiny_dataset / "test_gloss.txt").write_text(rows.replace("c0 0 4 0", "c0 0 4 1"))
    with pytest.raises(DataError, match="labels or files have changed since the search has read them; undo the change"):
        require_unchanged_data(plan)
    (tiny_dataset / "test_gloss.txt").write_text(rows)
    require_unchanged_data(plan)
    check_inputs(plan, reason="DataError: images are gone")
    with pytest.raises(DataError, match="^the dataset: rows, labels or files have changed"):
        check_inputs(plan, reason=f"DataError: {CHANGED}")


@pytest.mark.training
def test_a_continued_study_keeps_its_backbone(
    make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    plan = make_plan(make_study({"pretrain": {"epochs": 1, "batch_size": 8}}), tmp_path)
    backbone = tmp_path / BACKBONE_FILE
    prepare_inputs(plan, tmp_path)
    first = backbone.read_bytes()
    shutil.rmtree(tmp_path / "cache")  # as on another machine
    prepare_inputs(plan, tmp_path)
    assert backbone.read_bytes() == first and not list((tmp_path / "cache").glob("pretrained-*"))
    backbone.write_bytes(first[:-100])
    prepare_inputs(plan, tmp_path)
    assert is_backbone(backbone), "a damaged one is trained again"


class KilledAfterAnEpoch(SavedEpochs):
    """Where a process saves its epochs that is killed once the first one is saved."""

    def send(self, folder: Path) -> None:
        super().send(folder)
        raise KeyboardInterrupt


@pytest.mark.training
@pytest.mark.parametrize(
    ("shared", "cached", "result"),
    [
        ("epoch", "", "resumed after epoch 1 of 2"),
        ("garbage", "epoch", "resumed after epoch 1 of 2"),
        ("garbage", "", "on 24 frames"),
    ],
)
def test_intact_epochs_of_other_processes_are_continued(
    make_study: Callable[..., Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    shared: str,
    cached: str,
    result: str,
) -> None:
    """Those of a group of workers, or of another machine."""
    caplog.set_level("INFO", "hearai")
    study = StudyLocation(tmp_path / "study")
    plan = make_plan(make_study({"pretrain": {"epochs": 2, "batch_size": 8}}), study.folder)
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    with pytest.raises(KeyboardInterrupt):
        epochs = KilledAfterAnEpoch(study, BACKBONE_FILE)
        ensure_backbone(plan.start, plan.data, plan.pretrain, tmp_path / "unused", epochs)
    if not cached:
        shutil.rmtree(tmp_path / "cache")
    if shared == "garbage":
        (study.folder / "pretraining" / "backbone" / "last" / "state.pt").write_bytes(b"garbage")
    caplog.clear()
    prepare_inputs(plan, study.folder, shared=partial(SavedEpochs, study))
    messages = [record.message for record in caplog.records if "pre-training" in record.message]
    assert any(message.endswith(result) for message in messages), messages
    assert (f"{study}/pretraining/backbone: cannot be read" in caplog.text) == (shared == "garbage")
    assert [path.name for path in study.folder.iterdir()] == [BACKBONE_FILE]


@pytest.mark.training
def test_more_epochs_in_the_cache_are_kept(
    make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another study with the same backbone has trained on. Saved epochs are removed although the backbone is there."""
    caplog.set_level("INFO", "hearai")
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    study = StudyLocation(tmp_path / "study")
    plan = make_plan(make_study({"pretrain": {"epochs": 3, "batch_size": 8}}), study.folder)
    for name in ("study", "other"):
        with pytest.raises(KeyboardInterrupt):
            epochs = KilledAfterAnEpoch(StudyLocation(tmp_path / name), BACKBONE_FILE)
            ensure_backbone(plan.start, plan.data, plan.pretrain, tmp_path / "unused", epochs)
    prepare_inputs(plan, study.folder, shared=partial(SavedEpochs, study))
    assert "pre-training is resumed after epoch 2 of 3" in caplog.text
    shutil.copytree(tmp_path / "other" / "pretraining", study.folder / "pretraining")
    prepare_inputs(plan, study.folder, shared=partial(SavedEpochs, study))
    assert [path.name for path in study.folder.iterdir()] == [BACKBONE_FILE]
