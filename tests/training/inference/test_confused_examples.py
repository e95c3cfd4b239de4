"""Confusions of trained models on test clips, and frames of examples."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from hearai.config.config import Config
from hearai.training.fit import fit
from hearai.training.inference.assess import ScoredSplit, evaluate_split
from hearai.training.inference.confused_examples import confusions_of, examples_of
from hearai.training.inference.confusion_record import ConfusionRecord, ExamplesRecord, worst_pairs
from hearai.training.inference.thumbnails import HEIGHT, MAX_BYTES
from hearai.training.runtime import LocalRuntime

pytestmark = pytest.mark.training
UNTRAINED = {"train_parameters.epochs": 1, "train_parameters.lr": 1e-9}
"""A model that confuses classes."""


def scored_runs(config: Config, folder: Path, part: str = "test") -> list[ScoredSplit]:
    """Two evaluations of a model."""
    runtime = LocalRuntime("cpu", folder / "run")
    fit(config, runtime)
    return [evaluate_split(folder / "run" / "best", runtime, split=part) for _ in range(2)]


@pytest.fixture
def runs(make_config: Callable, tiny_dataset: Path, tmp_path: Path) -> list[ScoredSplit]:
    return scored_runs(make_config(tiny_dataset, UNTRAINED), tmp_path, "train")


def images_of(example: list[str]) -> list[Image.Image]:
    contents = [base64.b64decode(one, validate=True) for one in example]
    assert all(len(content) <= MAX_BYTES for content in contents)
    return [Image.open(io.BytesIO(content)) for content in contents]


def test_counts_are_those_of_the_scores_summed_over_runs(runs: list[ScoredSplit]) -> None:
    record = confusions_of(runs, 3, [1, 2])
    head, clips = record.heads["gloss"], len(runs[0].clips)
    assert (record.trial, record.runs, record.clips) == (3, 2, clips) and head.classes == 3
    assert sum(count for *_, count in head.counts) == 2 * clips
    right = sum(count for true, predicted, count in head.counts if true == predicted)
    assert right / (2 * clips) == pytest.approx(runs[0].to_dict()["heads"]["gloss"]["accuracy"])
    assert ConfusionRecord.model_validate_json(record.model_dump_json()) == record


def test_predictions_are_in_the_order_of_the_clips(runs: list[ScoredSplit]) -> None:
    labels = torch.tensor([clip.labels["gloss"] for clip in runs[0].clips])
    hits = (runs[0].evaluation.predictions["gloss"] == labels).sum()
    assert int(hits) == int(runs[0].evaluation.confusions["gloss"].hits_K.sum())


def test_examples_are_clips_of_the_two_classes(runs: list[ScoredSplit]) -> None:
    record = confusions_of(runs, 0, [])
    found = examples_of(runs, record)
    assert len(found.examples) == len(worst_pairs(record.heads)) >= 1 and not found.note and not found.are_landmarks
    labels = {clip.key: clip.labels["gloss"] for clip in runs[0].data.clips}
    for example in found.examples:
        assert labels[example.clip] == example.true and labels[example.other] == example.predicted
        images = images_of([*example.frames, *example.other_frames])
        assert len(images) == 6 and {image.height for image in images} == {HEIGHT}
    assert ExamplesRecord.model_validate_json(found.model_dump_json()) == found


def test_unreadable_frames_are_noted(runs: list[ScoredSplit], tiny_dataset: Path) -> None:
    for path in tiny_dataset.glob("*/*.jpg"):
        path.write_bytes(b"torn")
    found = examples_of(runs, confusions_of(runs, 0, []))
    assert not found.examples and "cannot be read, the first one: " in found.note and ".jpg" in found.note


def test_landmarks_are_drawn_where_no_images_are_read(
    make_config: Callable, make_dataset: Callable, tmp_path: Path
) -> None:
    folder = make_dataset("points", landmarks=True)
    values = {
        **UNTRAINED,
        "train_parameters.frames": False,
        "train_parameters.landmarks": True,
        "feature_extractor.name": "gcn_extractor",
    }
    scored = scored_runs(make_config(folder, values), tmp_path, "train")
    found = examples_of(scored, confusions_of(scored, 0, []))
    assert found.are_landmarks and found.examples
    image = images_of(found.examples[0].frames)[0].convert("L")
    assert image.size == (HEIGHT, HEIGHT) and image.getextrema()[0] < 200
