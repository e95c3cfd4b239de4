"""A checkpoint is complete or absent, and cannot run code."""

import pickle
import zipfile

import pytest
import torch

from hearai.errors import ConfigError
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint


class ForeignClass:
    """Unpickling this would run code; a module-level class, so that saving it succeeds."""


def test_a_saved_state_is_loaded(tmp_path):
    state = {"weights": {"a": torch.arange(3.0)}, "epoch": 3, "history": [{"val/loss": 0.5}], "best": None}
    folder = save_checkpoint(tmp_path / "run" / "last", state)
    loaded = load_checkpoint(folder)
    assert torch.equal(loaded.pop("weights")["a"], state.pop("weights")["a"])
    assert loaded == state


def test_a_failed_save_keeps_the_previous_state_only(tmp_path):
    save_checkpoint(tmp_path, {"epoch": 1})
    with pytest.raises((pickle.PicklingError, AttributeError)):
        save_checkpoint(tmp_path, {"epoch": 2, "bad": lambda: None})
    assert load_checkpoint(tmp_path) == {"epoch": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        load_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"no checkpoint", "no file of this kind|could run code"),
        (None, "its end is missing"),
    ],
    ids=["empty", "text", "truncated"],
)
def test_a_broken_checkpoint_is_refused(tmp_path, content, reason):
    save_checkpoint(tmp_path, {"weights": torch.zeros(1000)})
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:2000] if content is None else content)
    with pytest.raises(ConfigError, match=rf"cannot be read as a checkpoint \(.*({reason})"):
        load_checkpoint(tmp_path)


def test_weights_that_differ_from_their_checksum_are_refused(tmp_path):
    save_checkpoint(tmp_path, {"weights": torch.zeros(1000)})
    file = next(tmp_path.iterdir())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1  # torch itself loads it
    file.write_bytes(content)
    assert torch.load(file, weights_only=True)["weights"].any()
    with pytest.raises(ConfigError, match="damaged: its part '.*' differs from its checksum; copy it again"):
        load_checkpoint(tmp_path)


def test_a_compressed_checkpoint_is_refused(tmp_path):
    save_checkpoint(tmp_path, {"weights": torch.zeros(1000)})
    file = next(tmp_path.iterdir())
    with zipfile.ZipFile(file) as source:
        parts = {entry.filename: source.read(entry) for entry in source.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, part in parts.items():
            target.writestr(name, part)
    with pytest.raises(ConfigError, match="is compressed"):
        load_checkpoint(tmp_path)


def test_objects_other_than_plain_values_are_refused(tmp_path):
    save_checkpoint(tmp_path, {"object": ForeignClass()})
    with pytest.raises(ConfigError, match="cannot be read as a checkpoint.*could run code") as refused:
        load_checkpoint(tmp_path)
    assert "weights_only" not in str(refused.value) and "trust" not in str(refused.value)
