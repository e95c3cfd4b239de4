"""Cached features: equal to those of the images, computed once, never stale."""

import gc
import logging
import os

import numpy as np
import pytest
import torch

from hearai.data.annotations.load import load_data
from hearai.data.frames import build_reader
from hearai.data.transforms import normalise
from hearai.errors import ConfigError, DiskFull
from hearai.files import deleting_cache
from hearai.models.model import build_initial_model
from hearai.training.features.feature_cache import (
    ensure_features,
    epochs_on_features,
    fingerprint,
    load_features,
    weights_hash,
)
from tests.helpers.fault_injection import small_disk

pytestmark = pytest.mark.training


@pytest.fixture
def parts(tiny_config):
    data = load_data(tiny_config)
    return data, build_initial_model(tiny_config, data.num_class).feature_extractor


def compute(config, parts):
    data, extractor = parts
    return load_features(config, data, extractor, torch.device("cpu"))[0]


def test_features_are_the_backbone_outputs_of_each_frame(tiny_config, parts):
    features, (data, extractor) = compute(tiny_config, parts), parts
    read = build_reader(tiny_config)
    for clip in (data.split.train[0], data.split.val[-1]):
        frames = [clip.start, clip.end]
        images = normalise(torch.stack([read(clip.frame_path(frame)) for frame in frames]))
        with torch.no_grad():
            expected = extractor.eval().backbone_features(images)
        assert torch.allclose(features(clip, frames), expected, atol=1e-5)


def test_computing_leaves_the_backbone_as_it_was(tiny_config, parts):
    extractor = parts[1].train()
    before = weights_hash(extractor)
    compute(tiny_config, parts)
    assert weights_hash(extractor) == before and all(module.training for module in extractor.modules())


def test_the_second_run_reads_what_the_first_computed(tiny_config, parts, isolated_cache):
    compute(tiny_config, parts)
    (rows,) = isolated_cache.glob("features-*/rows.npy")
    stamp = rows.stat().st_mtime_ns
    compute(tiny_config, parts)
    assert rows.stat().st_mtime_ns == stamp
    names = {path.name for path in rows.parent.iterdir()}
    assert names - {"lock"} == {"rows.npy", "rows.npy.blake2b"}


def test_an_interrupted_computation_leaves_no_features(tiny_config, parts, isolated_cache, monkeypatch):
    monkeypatch.setattr(parts[1], "backbone_features", lambda frames: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compute(tiny_config, parts)
    assert not list(isolated_cache.glob("features-*/rows.npy"))
    monkeypatch.undo()
    os.environ["HEARAI_CACHE"] = str(isolated_cache)
    compute(tiny_config, parts)
    assert len(list(isolated_cache.glob("features-*/rows.npy"))) == 1


def test_what_a_killed_process_left_is_removed(tiny_config, parts, isolated_cache):
    compute(tiny_config, parts)
    (rows,) = isolated_cache.glob("features-*/rows.npy")
    left_over = rows.rename(rows.with_name(".rows.npy.12345"))
    compute(tiny_config, parts)
    assert rows.is_file() and not left_over.exists()


def test_the_fingerprint_depends_on_everything_relevant(make_config, tiny_dataset, parts):
    data, extractor = parts
    config, clips, known = make_config(tiny_dataset), list(data.split.train), weights_hash(extractor.backbone)
    fingerprints = {fingerprint(config, data, clips, known), fingerprint(config, data, clips[1:], known)}
    for path, value in (("resize_size", 33), ("apply_center_crop", False)):
        other = make_config(tiny_dataset, {f"augmentations_parameters.{path}": value})
        fingerprints.add(fingerprint(other, data, clips, known))
    with torch.no_grad():
        next(extractor.backbone.parameters()).flatten()[0] += 1
    fingerprints.add(fingerprint(config, data, clips, weights_hash(extractor.backbone)))
    assert len(fingerprints) == 5
    same = make_config(tiny_dataset, {"train_parameters.lr": 0.5, "transformer.output_size": 8})
    assert fingerprint(same, data, clips, known) in fingerprints


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 2),
        ({"augmentations_parameters.apply_horizontal_flip": True}, 2),
        ({"augmentations_parameters.apply_color_jitter": True}, 0),
        ({"train_parameters.fast_dev_run": True}, 0),
        ({"freeze_scheduler.model_params": {}}, 0),
        ({"freeze_scheduler.model_params": {"feature_extractor": [True]}}, 2),
        ({"freeze_scheduler.model_params": {"feature_extractor.projection": [True]}}, 0),
        ({"freeze_scheduler.freeze_pattern_repeats": 2}, 2),
        ({"freeze_scheduler.freeze_pattern_repeats": 1}, 1),
        ({"freeze_scheduler.freeze_pattern_repeats": 2, "freeze_scheduler.freeze_mode": "step"}, 1),
        ({"freeze_scheduler.freeze_pattern_repeats": 3, "freeze_scheduler.freeze_mode": "step"}, 1),
        ({"freeze_scheduler.freeze_pattern_repeats": 1, "freeze_scheduler.freeze_mode": "step"}, 0),
        ({"freeze_scheduler.freeze_pattern_repeats": 4, "freeze_scheduler.freeze_mode": "step"}, 2),
    ],
)
def test_features_are_used_until_the_backbone_is_unfrozen(make_config, tiny_dataset, change, expected):
    config = make_config(tiny_dataset, change)  # 2 epochs of 2 steps
    data = load_data(config)
    assert len(data.split.train) in range(5, 9)
    assert epochs_on_features(config, data) == expected


def test_features_can_be_computed_before_any_run(tiny_config, parts, isolated_cache):
    ensure_features(tiny_config)
    assert len(list(isolated_cache.glob("features-*/rows.npy"))) == 1
    compute(tiny_config, parts)
    assert len(list(isolated_cache.glob("features-*/rows.npy"))) == 1, "the run uses the existing ones"


def test_a_cache_that_cannot_be_written_is_refused(tiny_config, parts, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(ConfigError, match="set HEARAI_CACHE to a folder with free space"):
        compute(tiny_config, parts)


def test_features_that_do_not_fit_on_the_disk_are_refused(tiny_config, parts, tmp_path, monkeypatch):
    """They are written through a memory map, where a full disk would otherwise kill the process."""
    with small_disk(tmp_path / "disk", "8k"):
        monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "disk"))
        with pytest.raises(DiskFull, match=r"rows\.npy: cannot be written, its disk is full"):
            compute(tiny_config, parts)
        assert not list((tmp_path / "disk").glob("features-*/*.npy*"))


def flip(path):
    with path.open("r+b") as file:
        file.seek(-40, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def save(path, change):
    np.save(path, change(np.load(path)))


def without_checksum(path, change):
    save(path, change)
    path.with_name("rows.npy.blake2b").unlink()


def one_nan(rows):
    rows[1, 2] = np.nan
    return rows


DAMAGE = {
    "a flipped bit": (flip, "its checksum has changed"),
    "other numbers": (lambda path: save(path, lambda rows: rows + 1), "its checksum has changed"),
    "a number that is not finite": (lambda path: save(path, one_nan), "its checksum has changed"),
    "too few rows": (lambda path: save(path, lambda rows: rows[1:]), "has shape"),
    "too many rows": (lambda path: save(path, lambda rows: np.concatenate([rows, rows])), "has shape"),
    "another width": (lambda path: save(path, lambda rows: rows[:, 1:]), "has shape"),
    "another type": (lambda path: save(path, lambda rows: rows.astype(np.float64)), "expected an array of float32"),
    "half a file": (lambda path: os.truncate(path, path.stat().st_size // 2), "not a feature file"),
    "nothing": (lambda path: os.truncate(path, 0), "not a feature file"),
    "another checksum": (
        lambda path: path.with_name("rows.npy.blake2b").write_bytes(b"\xff"),
        "its checksum has changed",
    ),
    "NaN of older code": (lambda path: without_checksum(path, one_nan), "not finite"),
    "width of older code": (lambda path: without_checksum(path, lambda rows: rows[:, 1:]), "has shape"),
}


@pytest.fixture
def new_process(monkeypatch):
    """A function that forgets which files this process has checked, as a new one would not know."""
    return lambda: monkeypatch.setattr("hearai.training.features.feature_rows._checked", set())


@pytest.mark.parametrize(("damage", "words"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_features_are_computed_again(tiny_config, parts, isolated_cache, new_process, caplog, damage, words):
    compute(tiny_config, parts)
    (rows,) = isolated_cache.glob("features-*/rows.npy")
    before = rows.read_bytes()
    damage(rows)
    new_process()
    with caplog.at_level(logging.WARNING, "hearai"):
        compute(tiny_config, parts)
    assert [
        record.getMessage()
        for record in caplog.records
        if str(rows) in record.getMessage()
        and words in record.getMessage()
        and record.getMessage().endswith("; the features are computed again")
    ]
    assert rows.read_bytes() == before
    caplog.clear()
    new_process()
    compute(tiny_config, parts)
    assert not caplog.records


def test_features_of_older_code_get_a_checksum(tiny_config, parts, isolated_cache, new_process, caplog):
    compute(tiny_config, parts)
    (rows,) = isolated_cache.glob("features-*/rows.npy")
    checksum = rows.with_name("rows.npy.blake2b")
    known, stamp = checksum.read_text(), rows.stat().st_mtime_ns
    checksum.unlink()
    new_process()
    compute(tiny_config, parts)
    assert checksum.read_text() == known and rows.stat().st_mtime_ns == stamp
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_features_in_use_are_protected_from_deletion(tiny_config, parts, isolated_cache):
    features = compute(tiny_config, parts)
    (folder,) = isolated_cache.glob("features-*")
    with deleting_cache(folder) as free:
        assert not free
    del features
    gc.collect()
    with deleting_cache(folder) as free:
        assert free
