"""Pre-training on nodes of a cluster: what one has saved, another one resumes from."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config, to_dict
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.pretrain_task import PretrainSpec, SavedEpochs, pretrain_task
from hearai.training.setup.backbone_cache import ensure_backbone
from tests.helpers.s3_server import Bucket

pytestmark = pytest.mark.training
SETTINGS = Pretrain(epochs=3, batch_size=8, patience=0)


class DyingNode(SavedEpochs):
    """A node that dies when it has saved two epochs."""

    left = 2

    def send(self, folder: Path) -> None:
        super().send(folder)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """node(name): what follows happens on the node of this name, with its own cache and home folder."""

    def change(name: str) -> None:
        monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / name / "cache"))
        monkeypatch.setenv("HEARAI_HOME", str(tmp_path / name / "home"))

    return change


def train(config: Config, study: StudyLocation) -> dict:
    spec = PretrainSpec(to_dict(config), SETTINGS.model_dump(), str(study.folder), study.storage, "backbone.pt")
    _, content, seconds = pretrain_task(spec)
    assert seconds > 0
    (study.folder.parent / "result.pt").write_bytes(content)
    return torch.load(study.folder.parent / "result.pt", weights_only=True)


@pytest.mark.parametrize("shared", [True, False])
def test_another_node_resumes_pretraining(
    tiny_config: Config, node: Callable, tmp_path: Path, bucket: Bucket, caplog: pytest.LogCaptureFixture, shared: bool
) -> None:
    study = StudyLocation(tmp_path / "study", None if shared else bucket.uri)
    node("unbroken")
    expected = train(tiny_config, StudyLocation(tmp_path / "other"))
    node("one")
    with pytest.raises(KeyboardInterrupt):
        ensure_backbone(
            tiny_config, load_data(tiny_config), SETTINGS, tmp_path / "out.pt", DyingNode(study, "backbone.pt")
        )
    node("two")
    caplog.clear()
    found = train(tiny_config, study)
    assert "pre-training is resumed after epoch 2 of 3" in caplog.text
    assert all(torch.equal(found["backbone"][name], expected["backbone"][name]) for name in expected["backbone"])
    saved = SavedEpochs(study, "backbone.pt")
    assert saved.line().startswith("pre-training epoch 3 of 3: loss ")
    saved.remove()
    assert not saved.line() and not (tmp_path / "study" / "pretraining").exists()
