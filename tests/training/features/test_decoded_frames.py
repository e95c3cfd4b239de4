"""Decoded frames: equal to those of the files, decoded once, never stale, and never in the way of training."""

import gc
import itertools
import logging
import multiprocessing
import os
import pickle
import threading
import time

import numpy as np
import pytest
import torch

from hearai.data.annotations.load import load_data
from hearai.data.frames import build_reader
from hearai.errors import DataError
from hearai.files import deleting_cache
from hearai.training.features import decoded_frames
from hearai.training.features.decoded_frames import fingerprint, load_frames
from tests.helpers.fault_injection import small_disk, wait_for


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, in a process that has not logged anything yet."""
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    decoded_frames._explained.cache_clear()
    decoded_frames._tell_damage.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def clips(tiny_config):
    return load_data(tiny_config).clips


def images_of(config, clip, frames):
    read = build_reader(config)
    return torch.stack([read(clip.frame_path(frame)) for frame in frames])


def assert_right(frames, config, clips):
    for clip in clips:
        numbers = list(range(clip.start, clip.end + 1))[::2]
        assert torch.equal(frames(clip, numbers), images_of(config, clip, numbers))


def folders(cache):
    return list(cache.glob("frames-*"))


@pytest.mark.heavy
def test_frames_are_those_of_the_files_and_decoded_once(tiny_config, clips, cache, caplog):
    with caplog.at_level(logging.INFO, "hearai"):
        assert_right(load_frames(tiny_config, clips), tiny_config, clips)
        assert_right(load_frames(tiny_config, reversed(clips)), tiny_config, clips)
    assert caplog.text.count("frames once for all runs") == 1
    (folder,) = folders(cache)
    assert {path.name for path in folder.iterdir()} - {"lock"} == {"images.npy", "checksums.npy"}


def test_frames_can_be_sent_to_a_loader_process(tiny_config, clips):
    sent = pickle.dumps(load_frames(tiny_config, clips))
    assert len(sent) < 10_000
    assert_right(pickle.loads(sent), tiny_config, clips)


def test_the_fingerprint_of_frames_follows_files_and_sizes(make_config, tiny_dataset, clips):
    config = make_config(tiny_dataset)
    found = {fingerprint(config, clips), fingerprint(config, clips[1:])}
    for path, value in (("resize_size", 33), ("center_crop_size", [32, 30])):
        found.add(fingerprint(make_config(tiny_dataset, {f"augmentations_parameters.{path}": value}), clips))
    same = make_config(tiny_dataset, {"augmentations_parameters.apply_blur": True, "train_parameters.lr": 0.5})
    assert len(found) == 4 and fingerprint(same, clips) in found
    os.utime(clips[0].frame_path(1), ns=(1, 1))
    assert fingerprint(config, clips) not in found


@pytest.mark.heavy
def test_a_changed_file_is_decoded_again(tiny_config, clips, cache):
    load_frames(tiny_config, clips)
    clips[0].frame_path(0).write_bytes(clips[1].frame_path(1).read_bytes())
    assert_right(load_frames(tiny_config, clips), tiny_config, clips)
    assert len(folders(cache)) == 2


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"other"), lambda path: path.unlink()])
def test_a_file_that_changes_while_it_is_read_is_not_kept(tiny_config, clips, cache, monkeypatch, caplog, change):
    def read_and_change(*args):
        yield from read_all(*args)
        change(clips[0].frame_path(0))

    read_all = decoded_frames._read_all
    monkeypatch.setattr(decoded_frames, "_read_all", read_and_change)
    assert load_frames(tiny_config, clips) is None
    assert "changed while they were read" in caplog.text and not list(cache.glob("frames-*/*.npy"))


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["images.npy", "checksums.npy"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: np.save(path, np.load(path)[1:]),
        lambda path: np.save(path, np.load(path).astype(np.int64)),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(pickle.dumps([1])),
        lambda path: np.savez(path.open("wb"), images=np.zeros(3)),
        cut,
        lambda path: path.unlink(),
    ],
    ids=["fewer", "another type", "empty", "a pickle", "an archive", "half", "missing"],
)
def test_a_damaged_file_of_frames_is_written_again(tiny_config, clips, cache, name, damage):
    load_frames(tiny_config, clips)
    (folder,) = folders(cache)
    before = (folder / name).read_bytes()
    damage(folder / name)
    assert_right(load_frames(tiny_config, clips), tiny_config, clips)
    assert (folder / name).read_bytes() == before


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["images.npy", "checksums.npy"])
def test_flipped_bits_never_reach_training(tiny_config, clips, cache, caplog, name):
    load_frames(tiny_config, clips)
    (folder,) = folders(cache)
    np.load(folder / name, mmap_mode="r+")[2:4] ^= 1
    for _ in range(2):  # the second time from a file that was written again
        assert_right(load_frames(tiny_config, clips), tiny_config, clips)
    assert caplog.text.count("a checksum has changed") == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"general_parameters.frame_cache_gb": 1e-5}, "of general_parameters.frame_cache_gb, 1e-05, are in use"),
        ({"general_parameters.frame_cache_gb": 0}, ""),
        ({"augmentations_parameters.apply_center_crop": False}, "their sizes may differ"),
    ],
)
def test_frames_are_decoded_each_time_where_they_cannot_be_kept(
    make_config, tiny_dataset, clips, cache, caplog, values, words
):
    for _ in range(2):
        assert load_frames(make_config(tiny_dataset, values), clips) is None
    assert caplog.text.count("decoded in every epoch") == bool(words) and words in caplog.text
    assert not cache.exists()


def test_frames_of_other_sizes_count_for_the_budget(make_config, tiny_dataset, clips, caplog):
    frames = sum(clip.end - clip.start + 1 for clip in clips)
    budget = {"general_parameters.frame_cache_gb": 1.5 * frames * 3 * 32 * 32 / 1e9}
    assert load_frames(make_config(tiny_dataset, budget), clips)
    larger = {**budget, "augmentations_parameters.resize_size": 33}
    assert load_frames(make_config(tiny_dataset, larger), clips) is None
    assert "or delete caches" in caplog.text
    assert load_frames(make_config(tiny_dataset, budget), clips)


def test_a_run_that_reads_few_frames_does_not_decode_all(tiny_config, clips):
    count = sum(clip.end - clip.start + 1 for clip in clips)
    assert load_frames(tiny_config, clips, reads=count - 1) is None
    assert load_frames(tiny_config, clips, reads=count)
    assert load_frames(tiny_config, clips, reads=1), "others have decoded them"


def test_a_cache_of_frames_that_cannot_be_written_is_not_used(tiny_config, clips, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "file" / "below"))
    assert load_frames(tiny_config, clips) is None
    assert "set HEARAI_CACHE to a folder with free space" in caplog.text


@pytest.mark.parametrize("size", ["100k", "190k"])
def test_frames_that_do_not_fit_on_the_disk_are_not_kept(tiny_config, clips, tmp_path, monkeypatch, caplog, size):
    with small_disk(tmp_path / "disk", size):
        monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "disk"))
        monkeypatch.setattr(decoded_frames, "require_free_space", lambda *_: None)  # another program fills it
        assert load_frames(tiny_config, clips) is None
        assert "its disk is full" in caplog.text and not list((tmp_path / "disk").glob("*/.images*"))


def test_a_disk_without_room_is_seen_before_decoding(tiny_config, clips, tmp_path, monkeypatch, caplog):
    with small_disk(tmp_path / "disk", "100k"):
        monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "disk"))
        assert load_frames(tiny_config, clips) is None
        assert "decoded frames need about" in caplog.text and not folders(tmp_path / "disk")


@pytest.mark.heavy
def test_a_broken_image_is_named(tiny_config, clips, cache):
    clips[-1].frame_path(1).write_bytes(b"no image")
    with pytest.raises(DataError, match=clips[-1].frame_path(1).name):
        load_frames(tiny_config, clips)
    assert not list(cache.glob("frames-*/*.npy"))


def test_a_missing_image_is_left_to_its_reader(tiny_config, clips):
    clips[-1].frame_path(1).unlink()
    assert load_frames(tiny_config, clips) is None


@pytest.mark.heavy
def test_only_one_of_several_builders_decodes(tiny_config, clips, cache, caplog):
    found = []
    threads = [threading.Thread(target=lambda: found.append(load_frames(tiny_config, clips))) for _ in range(4)]
    with caplog.at_level(logging.INFO, "hearai"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert caplog.text.count("frames once for all runs") == 1 and len(found) == 4
    for frames in found:
        assert_right(frames, tiny_config, clips)


@pytest.mark.heavy
def test_frames_in_use_are_protected_from_deletion(tiny_config, clips, cache):
    frames = load_frames(tiny_config, clips)
    (folder,) = folders(cache)
    with deleting_cache(folder) as free:
        assert not free
    del frames
    gc.collect()
    with deleting_cache(folder) as free:
        assert free


def build_without_end(config, clips):
    """Decodes all frames and hangs before they are complete."""
    read_all = decoded_frames._read_all
    decoded_frames._read_all = lambda *args: itertools.chain(read_all(*args), iter(lambda: time.sleep(600), None))
    load_frames(config, clips)


@pytest.mark.heavy
def test_after_a_killed_builder_the_next_one_decodes(tiny_config, clips, cache):
    builder = multiprocessing.get_context("fork").Process(
        target=build_without_end, args=(tiny_config, clips), daemon=True
    )
    builder.start()
    wait_for(lambda: any(cache.glob("frames-*/.images.npy.*")))
    builder.kill()
    builder.join()
    assert any(cache.glob("frames-*/.images.npy.*")), "it was killed while it wrote"
    assert_right(load_frames(tiny_config, clips), tiny_config, clips)
    assert not list(cache.glob("frames-*/.images.npy.*"))
