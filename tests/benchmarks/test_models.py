"""Parts side by side: every case is trained and scored at the same budget, on its own input."""

import pytest

from hearai.benchmarks.models import EXTRACTOR_CASES, TRANSFORMER_CASES, compare
from hearai.config.study_schema import Pretrain
from hearai.models.feature_extractors import EXTRACTORS
from hearai.models.sequence_encoders import TRANSFORMERS


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))


def test_every_part_has_a_case():
    assert set(TRANSFORMER_CASES) == set(TRANSFORMERS)
    compared = {changes.get("feature_extractor.name", "cnn_extractor") for changes in EXTRACTOR_CASES.values()}
    assert compared == set(EXTRACTORS) - {"multi_frame_feature_extractor"}, "which is the cnn by another name"


def test_cases_are_trained_at_the_same_budget_and_scored(make_config, make_dataset, tmp_path):
    base = make_config(make_dataset(clips=12, frames=4, landmarks=True))
    cases = {name: EXTRACTOR_CASES[name] for name in ("cnn_extractor", "gcn_extractor", "video_resnet")}
    cases["fake_transformer"] = TRANSFORMER_CASES["fake_transformer"]
    rows = {row.label: row for row in compare(base, cases, tmp_path, Pretrain(epochs=1, batch_size=8))}
    assert rows.keys() == cases.keys()
    assert all(0 <= row.val <= 1 and 0 <= row.test <= 1 and 1 <= row.epoch <= 2 for row in rows.values())
    assert (
        rows["video_resnet"].parameters > 30e6 > rows["cnn_extractor"].parameters > rows["fake_transformer"].parameters
    )
    pretrained = {label for label in cases if (tmp_path / label / "backbone.pt").exists()}
    assert pretrained == set(cases) - {"video_resnet"}
