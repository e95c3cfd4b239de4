"""Model comparison: every case is trained and scored with the same budget, on the input that it reads."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.benchmarks.model_comparison import (
    ENCODER_CASES,
    EXTRACTOR_CASES,
    LANDMARK_CASES,
    compare_models,
)
from hearai.config.config import Config
from hearai.config.model_parts import EXTRACTORS, SEQUENCE_ENCODERS
from hearai.config.overrides import override
from hearai.config.study_schema import Pretrain

pytestmark = pytest.mark.training


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))


def test_every_part_has_a_case() -> None:
    assert set(ENCODER_CASES) == set(SEQUENCE_ENCODERS)
    compared = {changes.get("feature_extractor.name", "cnn_extractor") for changes in EXTRACTOR_CASES.values()}
    assert compared == set(EXTRACTORS) - {"multi_frame_feature_extractor"}, "an alias of cnn_extractor"


def test_cases_are_pretrained_trained_and_scored(
    make_config: Callable[..., Config], make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    base = make_config(make_dataset(clips=12, frames=4, landmarks=True))
    cases = {name: EXTRACTOR_CASES[name] for name in ("cnn_extractor", "gcn_extractor", "video_resnet")}
    cases["fake_transformer"] = ENCODER_CASES["fake_transformer"]
    compared = compare_models(base, cases, tmp_path, [0], Pretrain(epochs=1, batch_size=8))
    rows = {row.label: row for (row,) in compared}
    assert rows.keys() == cases.keys()
    assert all(0 <= row.val <= 1 and 0 <= row.test <= 1 and 1 <= row.epoch <= 2 for row in rows.values())
    assert (
        rows["video_resnet"].parameters > 30e6 > rows["cnn_extractor"].parameters > rows["fake_transformer"].parameters
    )
    pretrained = {label for label in cases if (tmp_path / f"{label}-0" / "backbone.pt").exists()}
    assert pretrained == set(cases) - {"video_resnet"}


def test_landmark_models_are_trained_with_every_seed(
    make_config: Callable[..., Config], make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    base = make_config(make_dataset(clips=12, frames=4, landmarks=True), {"train_parameters.epochs": 1})
    cases = {label: LANDMARK_CASES[label] for label in ("points + conv1d", "points + conv1d + augmented")}
    plain, augmented = compare_models(base, cases, tmp_path, range(2), None)
    assert [row.label for row in (*plain, *augmented)] == [label for label in cases for _ in range(2)]
    assert all(row.cpu_seconds > 0 for row in (*plain, *augmented))
    assert plain[0].parameters == augmented[0].parameters and all(0 <= row.test <= 1 for row in plain)
    again = list(compare_models(base, cases, tmp_path, range(2), None))
    assert again == [plain, augmented], "results are kept, with their seconds"
    longer = override(base, {"train_parameters.epochs": 2})
    assert next(compare_models(longer, cases, tmp_path, [0], None))[0].seconds != plain[0].seconds, "another config"
    names = {(changes["feature_extractor.name"], changes["transformer.name"]) for changes in LANDMARK_CASES.values()}
    assert len(names) == 4 and len(LANDMARK_CASES) == 8
