"""Several annotation files of a folder: gloss and HamNoSys together, and clips that only one of them names."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.config import Config
from hearai.data.annotations import load as folders
from hearai.data.annotations.load import load_data
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS, MISSING
from hearai.training.setup.prepare import with_data

BOTH = ["gloss", "hamnosys"]


@pytest.fixture(autouse=True)
def empty_cache():
    """Tests change folders that `load_data` caches."""
    folders._read.cache_clear()
    folders._split.cache_clear()


@pytest.fixture
def config_of(make_config: Callable[..., Config]) -> Callable[..., Config]:
    def make(folder: Path, values: dict | None = None) -> Config:
        return make_config(folder, {"train_parameters.classification_mode": BOTH, **(values or {})})

    return make


def keep_rows(folder: Path, file: str, keep: range) -> None:
    rows = (folder / file).read_text().splitlines()
    (folder / file).write_text("\n".join(rows[i] for i in keep) + "\n")


def test_clips_have_the_labels_of_both_files(config_of: Callable, tiny_dataset: Path, make_config: Callable):
    both = {clip.name: clip.labels for clip in load_data(config_of(tiny_dataset)).clips}
    apart = [
        load_data(make_config(tiny_dataset, {"train_parameters.classification_mode": mode})).clips for mode in BOTH
    ]
    expected = {clip.name: dict(clip.labels) for clip in apart[0]}
    for clip in apart[1]:
        expected[clip.name] |= clip.labels
    assert both == expected and list(both["c0"]) == ["gloss", *HEADS]


def test_clip_of_one_file_lacks_the_labels_of_the_other(config_of: Callable, tiny_dataset: Path):
    keep_rows(tiny_dataset, "test_hamnosys.txt", range(2, 12))
    keep_rows(tiny_dataset, "test_gloss.txt", range(11))
    labels = {clip.name: clip.labels for clip in load_data(config_of(tiny_dataset)).clips}
    assert len(labels) == 12
    assert labels["c0"] == {"gloss": 0, **dict.fromkeys(HEADS, MISSING)}
    assert labels["c11"]["gloss"] == MISSING != labels["c11"]["hand_location_x"]


def test_folder_may_lack_one_of_the_files(config_of: Callable, make_dataset: Callable, make_config, caplog):
    first, second = make_dataset("a", clips=6), make_dataset("b", clips=6)
    (second / "test_hamnosys.txt").unlink()
    values = {"train_parameters.classification_mode": BOTH, "general_parameters.data_path": [str(first), str(second)]}
    with caplog.at_level(logging.INFO):
        data = load_data(make_config(None, values))
    assert {clip.dataset for clip in data.clips if clip.labels["hand_location_x"] == MISSING} == {"b"}
    assert f"{second}: has no test_hamnosys.txt: its clips have no labels of symmetry_operator" in caplog.text


def test_folder_without_any_of_the_files_is_refused(config_of: Callable, tiny_dataset: Path):
    for mode in BOTH:
        (tiny_dataset / f"test_{mode}.txt").unlink()
    with pytest.raises(DataError, match=r"contains neither test_gloss\.txt nor test_hamnosys\.txt"):
        load_data(config_of(tiny_dataset))


def test_frames_that_differ_between_the_files_are_refused(config_of: Callable, tiny_dataset: Path):
    path = tiny_dataset / "test_hamnosys.txt"
    path.write_text(path.read_text().replace("c1 0 5 ", "c1 0 4 "))
    with pytest.raises(DataError, match=r"test_hamnosys\.txt:2: clip 'c1' has the frames 0\.\.4; expected 0\.\.5"):
        load_data(config_of(tiny_dataset))


def test_one_file_may_hold_all_labels(config_of: Callable, tiny_dataset: Path):
    rows = [f"c{i},0,4,{','.join('1' * 8)},{i % 3}" for i in range(12)]
    (tiny_dataset / "all.csv").write_text("\n".join([",".join(["name,start,end", *HEADS, "gloss"]), *rows]) + "\n")
    data = load_data(config_of(tiny_dataset, {"general_parameters.annotation_file": "all.csv"}))
    assert {clip.name: clip.labels["gloss"] for clip in data.clips} == {f"c{i}": i % 3 for i in range(12)}
    assert data.num_class["gloss"] == 3 and data.num_class["hand_location_y"] == HEADS["hand_location_y"].num_class


def test_one_file_of_all_labels_must_name_them(config_of: Callable, tiny_dataset: Path):
    (tiny_dataset / "all.txt").write_text("".join(f"c{i} 0 4 {'1 ' * 8}{i % 3}\n" for i in range(12)))
    with pytest.raises(DataError, match=r"all\.txt:1: no names of the label columns; expected a header"):
        load_data(config_of(tiny_dataset, {"general_parameters.annotation_file": "all.txt"}))


def test_group_without_training_labels_is_refused(config_of: Callable, tiny_dataset: Path):
    (tiny_dataset / "test_hamnosys.txt").unlink()
    with pytest.raises(DataError, match="no training clip has a label of 'hamnosys'"):
        with_data(config_of(tiny_dataset))


def test_clips_without_any_label_are_named(config_of: Callable, tiny_dataset: Path, caplog):
    keep_rows(tiny_dataset, "test_hamnosys.txt", range(1, 12))
    path = tiny_dataset / "test_gloss.txt"
    path.write_text(path.read_text().replace("c0 0 4 0", "c0 0 4 -1"))
    with caplog.at_level(logging.WARNING):
        load_data(config_of(tiny_dataset))
    assert "1 of 12 clips have no label of any head (such as data/c0)" in caplog.text
