"""Pre-trained backbones are trained once, and found again; damaged and foreign files are not used."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.threads import file_lock
from hearai.training.setup.backbone_cache import ensure_backbone, estimate_pretraining, is_backbone

pytestmark = pytest.mark.training
SETTINGS = Pretrain(epochs=1, batch_size=8)


@pytest.fixture
def train(tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """train(name) -> the backbone's weights, from a file of this name; the log has what this call said."""
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    caplog.set_level("INFO", "hearai")
    data = load_data(tiny_config)

    def run(name: str) -> dict[str, torch.Tensor]:
        caplog.clear()
        ensure_backbone(tiny_config, data, SETTINGS, tmp_path / name)
        assert is_backbone(tmp_path / name)
        return torch.load(tmp_path / name, weights_only=True)["backbone"]

    return run


def cached(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "cache").glob("pretrained-*/backbone.pt")
    return path


def equal(a: dict, b: dict) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_backbone_is_trained_once_with_its_curve(train: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    first = train("a.pt")
    assert "pre-training epoch 1 of 1" in caplog.text
    assert len(torch.load(cached(tmp_path), weights_only=True)["curve"]) == 1
    assert equal(train("b.pt"), first)
    assert "pre-trained backbone from the cache" in caplog.text and "(epoch 1 of 1, " in caplog.text


def test_a_damaged_backbone_is_trained_again(train: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    first, path = train("a.pt"), cached(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert equal(train("b.pt"), first)
    assert f"{path}: cannot be read (" in caplog.text and "pre-training epoch 1 of 1" in caplog.text
    torch.save({**torch.load(path, weights_only=True), "version": 0}, path)
    assert equal(train("c.pt"), first)
    assert f"{path}: written by another version" in caplog.text


def test_a_second_process_waits_for_the_first(train: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    first, path = train("a.pt"), cached(tmp_path)
    moved = path.rename(tmp_path / "moved.pt")
    waiting = threading.Thread(target=train, args=("b.pt",))
    with file_lock(path.parent / ".lock"):
        waiting.start()
        deadline = time.monotonic() + 60
        while "another process pre-trains this backbone; waiting" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not (tmp_path / "b.pt").exists()
        moved.rename(path)  # as the first process ends
    waiting.join()
    assert "pre-training epoch" not in caplog.text and equal(torch.load(tmp_path / "b.pt")["backbone"], first)


def test_pretraining_is_estimated_and_free_once_cached(train: Callable, tiny_config: Config):
    data = load_data(tiny_config)
    assert estimate_pretraining(tiny_config, data, SETTINGS) > 0
    train("a.pt")
    assert estimate_pretraining(tiny_config, data, SETTINGS) == 0
