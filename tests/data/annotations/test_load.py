"""Dataset folders of a config: read, checked, split, and identified by fingerprints."""

import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hearai.config.config import Config, load_config
from hearai.config.overrides import override
from hearai.data.annotations import load as folders
from hearai.data.annotations.fingerprint import Fingerprints, is_same_dataset
from hearai.data.annotations.load import Data, load_data
from hearai.data.dataset import build_dataset, build_loader
from hearai.data.frames import check_images
from hearai.data.tools.check_data import check_data
from hearai.errors import ConfigError, DataError
from tests.helpers import ROOT


@pytest.fixture(autouse=True)
def empty_cache():
    """Tests change folders that `load_data` caches."""
    folders._read.cache_clear()
    folders._split.cache_clear()


def fingerprints(config: Config) -> Fingerprints:
    folders._read.cache_clear()
    folders._split.cache_clear()
    return load_data(config).fingerprints


def fingerprint(config: Config) -> str:
    return fingerprints(config).fingerprint


def test_clips_are_split_and_classes_counted(tiny_config: Config):
    data = load_data(tiny_config)
    assert len(data.clips) == 12
    assert data.num_class == {"gloss": 3}
    assert all(data.split.train) and data.split.val and data.split.test


def test_auto_head_has_two_classes_at_least(make_config: Callable, make_dataset: Callable):
    assert load_data(make_config(make_dataset(classes=1))).num_class == {"gloss": 2}


def test_given_number_of_classes_stays(make_config: Callable, tiny_dataset: Path):
    config = make_config(tiny_dataset, {"heads.gloss.gloss.num_class": 40})
    assert load_data(config).num_class == {"gloss": 40}


def test_second_call_is_cached(tiny_config: Config):
    seed = override(tiny_config, {"general_parameters.seed": 5, "train_parameters.lr": 0.5})
    assert load_data(seed) is load_data(tiny_config)
    assert load_data(override(tiny_config, {"general_parameters.split_seed": 5})) is not load_data(tiny_config)


def test_unset_data_path_is_a_config_error(make_config: Callable):
    with pytest.raises(ConfigError, match="data_path: not set"):
        load_data(make_config(None))


def test_folders_of_the_same_name_are_distinguished(make_config: Callable, make_dataset: Callable):
    paths = [str(make_dataset(f"{place}/frames", clips=6)) for place in ("poland", "germany")]
    data = load_data(make_config(None, {"general_parameters.data_path": paths}))
    keys = {clip.key for clip in data.clips}
    assert len(keys) == 12
    assert {"poland/frames/c0", "germany/frames/c0"} <= keys


def test_folder_may_have_its_own_annotation_file(make_config: Callable, make_dataset: Callable):
    first, second = make_dataset("a", clips=6), make_dataset("b", clips=6)
    (second / "test_gloss.txt").rename(second / "labels.txt")
    paths = [str(first), {"path": str(second), "annotation_file": "labels.txt"}]
    assert len(load_data(make_config(None, {"general_parameters.data_path": paths})).clips) == 12


def test_example_of_five_folders_in_the_docs_works(
    make_dataset: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (shown,) = [text for text in re.findall(r"```yaml\n(.*?)```", page, re.S) if "basic_lexicon" in text]
    monkeypatch.chdir(tmp_path)
    names = ["pjm", "basic_lexicon", "galex", "glex", "gsll"]
    for number, name in enumerate(names):
        make_dataset(f"data/{name}", clips=4, classes=3 + number)
    (tmp_path / "data/glex/test_gloss.txt").rename(tmp_path / "data/glex/glex_gloss.txt")
    (tmp_path / "base.yml").write_text(shown)
    with caplog.at_level(logging.WARNING):
        data = load_data(load_config(tmp_path / "base.yml"))
    assert [name for name in names for _ in range(4)] == sorted((c.dataset for c in data.clips), key=names.index)
    assert data.num_class == {"gloss": 4}
    (same_names,) = [line for line in caplog.messages if "clip names" in line]
    assert same_names == (
        "4 clip names are in several datasets (such as 'c0' in pjm, basic_lexicon, galex, glex, gsll): "
        "they are treated as different clips"
    )
    (ranges,) = [line for line in caplog.messages if "labels are" in line]
    assert "gloss: labels are pjm 0..2, basic_lexicon 0..3, galex 0..3, glex 0..3, gsll 0..3" in ranges
    assert "glosses.csv (gloss_id,word)" in ranges


def write_list(folder: Path, *rows: str) -> None:
    (folder / "glosses.csv").write_text("\n".join(["gloss_id,word", *rows]) + "\n")


def test_matching_class_lists_silence_the_warning(make_config: Callable, make_dataset: Callable, caplog):
    first, second = make_dataset("a", clips=6), make_dataset("b", clips=6)
    paths = {"general_parameters.data_path": [str(first), str(second)]}
    write_list(first, "0,A", "1,B", "2,C")
    with caplog.at_level(logging.WARNING):
        load_data(make_config(None, paths))
    assert "no class list for b" in caplog.text
    write_list(second, "0,a", "2,C", "7,H")
    caplog.clear()
    folders._read.cache_clear()
    folders._split.cache_clear()
    data = load_data(make_config(None, paths))
    assert "labels are" not in caplog.text
    assert data.class_names == {"gloss": {0: "A", 1: "B", 2: "C", 7: "H"}}


def test_every_conflict_of_class_lists_is_reported(make_config: Callable, make_dataset: Callable):
    first, second = make_dataset("a", clips=6), make_dataset("b", clips=6)
    write_list(first, "0,A", "1,B", "2,C")
    write_list(second, "0,A", "1,C", "2,B")
    with pytest.raises(DataError) as caught:
        load_data(make_config(None, {"general_parameters.data_path": [str(first), str(second)]}))
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "class lists: gloss 1 is 'B' in a and 'C' in b",
        "class lists: gloss 2 is 'C' in a and 'B' in b",
    ]


def test_invalid_shared_list_is_reported_once(make_config: Callable, make_dataset: Callable, tmp_path: Path):
    paths = [str(make_dataset(name, clips=6)) for name in ("a", "b")]
    write_list(tmp_path, "x,A")
    with pytest.raises(DataError) as caught:
        load_data(make_config(None, {"general_parameters.data_path": paths}))
    assert len(caught.value.problems) == 1 and "glosses.csv:2: class 'x'" in caught.value.problems[0]


def test_one_dataset_causes_no_warnings(tiny_config: Config, caplog):
    with caplog.at_level(logging.WARNING):
        load_data(tiny_config)
    assert "datasets" not in caplog.text and "labels are" not in caplog.text


def test_hamnosys_classes_have_names(make_config: Callable, make_dataset: Callable, caplog):
    first, second = make_dataset("a", clips=6), make_dataset("b", clips=6)
    values = {"general_parameters.data_path": [str(first), str(second)]}
    with caplog.at_level(logging.WARNING):
        data = load_data(make_config(None, {**values, "train_parameters.classification_mode": "hamnosys"}))
    assert "labels are" not in caplog.text  # the numbers mean the same everywhere
    assert {head: len(names) for head, names in data.class_names.items()} == data.num_class


def test_folder_given_by_two_paths_is_refused(make_config: Callable, make_dataset: Callable, tmp_path: Path):
    (tmp_path / "link").symlink_to(make_dataset("a", clips=6))
    config = make_config(None, {"general_parameters.data_path": [str(tmp_path / "a"), str(tmp_path / "link")]})
    with pytest.raises(DataError) as caught:
        load_data(config)
    assert len(caught.value.problems) == 6
    assert "clips a/c0 and link/c0 are the same folder" in caught.value.problems[0]


def test_clip_linked_to_another_of_its_dataset_is_refused(make_config: Callable, tiny_dataset: Path):
    shutil.rmtree(tiny_dataset / "c2")
    (tiny_dataset / "c2").symlink_to("c0")
    for frame in range(5):
        shutil.copy(tiny_dataset / "c0" / f"c0_{frame}.jpg", tiny_dataset / "c0" / f"c2_{frame}.jpg")
    with pytest.raises(DataError, match="clips data/c0 and data/c2 are the same folder"):
        load_data(make_config(tiny_dataset))


def test_clip_given_twice_is_refused(make_config: Callable, tiny_dataset: Path):
    config = make_config(None, {"general_parameters.data_path": [str(tiny_dataset), str(tiny_dataset)]})
    with pytest.raises(DataError, match="clip data/c0 occurs 2 times; expected once"):
        load_data(config)


def test_problems_of_all_folders_are_reported_together(make_config: Callable, make_dataset: Callable, tmp_path: Path):
    broken = make_dataset("broken")
    (broken / "c3" / "c3_1.jpg").unlink()
    config = make_config(None, {"general_parameters.data_path": [str(broken), str(tmp_path / "nowhere")]})
    with pytest.raises(DataError) as caught:
        load_data(config)
    assert len(caught.value.problems) == 2
    assert "c3_1.jpg is missing" in caught.value.problems[0] and "not a directory" in caught.value.problems[1]


def test_time_needs_frames_per_second(make_config: Callable, make_dataset: Callable):
    config = make_config(make_dataset(), {"train_parameters.time": 0.1})
    with pytest.raises(DataError, match="c0_properties.json: missing, and train_parameters.time needs it"):
        load_data(config)
    assert load_data(make_config(make_dataset("with_fps", fps=25), {"train_parameters.time": 0.1}))


def test_warns_of_classes_without_training_clips(
    make_config: Callable, make_dataset: Callable, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        load_data(make_config(make_dataset(classes=12, signers=0)))
    assert "gloss: 6 of the 6 evaluated classes have no training clip" in caplog.text


def test_fingerprint_survives_moving_the_folder(make_config: Callable, tiny_dataset: Path, tmp_path: Path):
    before = fingerprint(make_config(tiny_dataset))
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(tiny_dataset, tmp_path / "elsewhere" / "data")
    assert fingerprint(make_config(Path(moved))) == before


@pytest.mark.parametrize("change", ["image", "time", "label", "signer"])
def test_fingerprint_follows_every_change(make_config: Callable, tiny_dataset: Path, change: str):
    config = make_config(tiny_dataset)
    before = fingerprint(config)
    image = tiny_dataset / "c3" / "c3_2.jpg"
    if change == "image":
        image.write_bytes(image.read_bytes() + b"\0")
    elif change == "time":
        os.utime(image, (1, 1))
    elif change == "label":
        path = tiny_dataset / "test_gloss.txt"
        path.write_text(path.read_text().replace("c0 0 4 0", "c0 0 4 1"))
    else:
        path = tiny_dataset / "signers.csv"
        path.write_text(path.read_text().replace("c0,s0", "c0,s1"))
    assert fingerprint(config) != before


@pytest.mark.heavy
def test_copy_has_the_same_content_unless_landmarks_differ(
    make_config: Callable, make_dataset: Callable, tmp_path: Path
):
    def content_fingerprint(folder: Path) -> str:
        return fingerprints(landmarks_config(make_config(folder), landmarks=True)).content

    folder = make_dataset(landmarks=True)
    shutil.copytree(folder, tmp_path / "there" / "data", copy_function=shutil.copyfile)  # with new modification times
    there = tmp_path / "there" / "data"
    assert content_fingerprint(folder) == content_fingerprint(there)
    archive = there / "c3" / "c3.npz"
    size, arrays = archive.stat().st_size, dict(np.load(archive))
    np.savez(archive, **{part: array + 0.01 for part, array in arrays.items()})
    assert archive.stat().st_size == size and content_fingerprint(folder) != content_fingerprint(there)


def renamed_copy(source: Path, target: Path) -> str:
    return str(shutil.copytree(source, target, copy_function=shutil.copyfile))


def test_a_copy_in_folders_of_other_names_is_the_same_dataset(
    make_config: Callable, make_dataset: Callable, tmp_path: Path
):
    one, two = make_dataset("one"), make_dataset("two", first_seed=50)

    def found(*folders: str) -> Fingerprints:
        return fingerprints(make_config(None, {"general_parameters.data_path": list(folders)}))

    before = found(str(one), str(two))
    same_order = found(renamed_copy(two, tmp_path / "k"), renamed_copy(one, tmp_path / "j"))
    other_order = found(renamed_copy(one, tmp_path / "s"), renamed_copy(two, tmp_path / "r"))
    assert is_same_dataset(before.as_dict(), same_order.as_dict()) and before.content != same_order.content
    assert not is_same_dataset(before.as_dict(), other_order.as_dict()), "its clips are split in another way"
    assert [*before.clips.values()] == [*same_order.clips.values()] != [*other_order.clips.values()]


@pytest.mark.heavy
def test_digests_of_clips_follow_their_files_alone(make_config: Callable, make_dataset: Callable, tmp_path: Path):
    def digests(folder: Path) -> dict[str, tuple[int, int]]:
        clips = fingerprints(landmarks_config(make_config(folder), landmarks=True)).clips
        return {key.removeprefix(f"{folder.name}/"): pair for key, pair in clips.items()}

    folder = make_dataset(frames=8, landmarks=True, first_seed=0)
    before = digests(folder)
    assert len({image for image, _ in before.values()} | {points for _, points in before.values()}) == 24
    for path in (folder / "c1").iterdir():
        path.rename(path.with_name(path.name.replace("c1", "renamed")))
    (folder / "c1").rename(folder / "renamed")
    for file in folder.glob("*.*"):
        file.write_text(re.sub(r"\bc1\b", "renamed", file.read_text()).replace("c0 0 7 0", "c0 0 7 2"))
    image = folder / "c2" / "c2_1.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    after = digests(folder)
    assert (after["c0"], after["renamed"]) == (before["c0"], before["c1"]), "another label, another name"
    assert after["c2"][0] != before["c2"][0] and after["c2"][1] == before["c2"][1]


@pytest.mark.heavy
def test_one_image_is_read_where_all_have_few_sizes(make_config: Callable, make_dataset: Callable, tmp_path: Path):
    """As of uncompressed images, and of clips of one frame."""
    folder = make_dataset(frames=2, classes=1, first_seed=0)
    config = make_config(folder, {"train_parameters.num_segments": 2})
    before = fingerprints(config).clips
    assert len({*before.values()}) == 12
    image = folder / "c1" / "c1_1.jpg"
    changed = bytearray(image.read_bytes())
    changed[-10] ^= 1  # of the same size
    image.write_bytes(changed)
    after = fingerprints(config).clips
    assert [key for key in before if before[key] != after[key]] == [f"{folder.name}/c1"]


@pytest.mark.heavy
def test_a_face_mesh_makes_no_other_clip(make_config: Callable, make_dataset: Callable):
    folder = make_dataset(landmarks=True, first_seed=0)
    config = landmarks_config(make_config(folder), landmarks=True)

    def found() -> tuple[dict, str]:
        current = fingerprints(config)
        return current.clips, current.content

    clips, content = found()
    archive = folder / "c1" / "c1.npz"
    arrays = dict(np.load(archive))
    np.savez(archive, **{"face": arrays["face"] + 1, **{name: x for name, x in arrays.items() if name != "face"}})
    assert found()[0] == clips and found()[1] != content
    np.savez(archive, **arrays | {"pose": arrays["pose"] + 1})
    assert found()[0] != clips


def check_folder(folder: Path, config: Config) -> Data:
    data = load_data(override(config, {"general_parameters.data_path": str(folder)}))
    check_images(data.clips)
    return data


@pytest.mark.parametrize("mode", ["gloss", "hamnosys"])
def test_published_sanity_datasets_load(real_data: Path, mode: str):
    folder = real_data / "hearai_sanity"
    config = load_config(folder / f"train_config_sanity_{mode}.yml")
    data = check_folder(folder, config)
    assert len(data.clips) == 3
    assert data.num_class == {head: parameters.num_class for head, parameters in config.active_heads.items()}
    loader = build_loader(build_dataset(config, data.clips, train=True), batch_size=4, shuffle_seed=0)
    (batch,) = loader
    assert batch.inputs["frames"].shape == (3, 8, 3, 256, 256)
    first_labels = {"gloss": 8, "symmetry_operator": 0, "hand_shape_base_form": 1}
    for head, label in first_labels.items():
        if head in batch.labels:
            assert batch.labels[head].tolist() == [label] * 3


@pytest.mark.heavy
@pytest.mark.parametrize(("folder", "classes", "clips"), [("sign_digits", 10, 200), ("isl_avatar/frames", 151, 151)])
def test_real_gloss_folders_load(real_data: Path, tiny_config: Config, folder: str, classes: int, clips: int):
    data = check_folder(real_data / folder, tiny_config)
    assert data.num_class == {"gloss": classes}
    assert len(data.clips) == clips


def landmarks_config(config: Config, **needs: bool) -> Config:
    """Sets parameters without the checks of `Config._input_problems`."""
    train = config.train_parameters.model_copy(update=needs)
    return config.model_copy(update={"train_parameters": train})


@pytest.mark.heavy
def test_fingerprint_covers_only_the_files_in_use(make_config: Callable, tiny_dataset: Path):
    for i in range(12):
        (tiny_dataset / f"c{i}" / f"c{i}.npz").write_bytes(b"12")
    base = make_config(tiny_dataset)
    configs = {
        "frames": base,
        "both": landmarks_config(base, landmarks=True),
        "landmarks": landmarks_config(base, frames=False, landmarks=True),
    }
    before = {name: fingerprint(config) for name, config in configs.items()}
    assert len(set(before.values())) == 3

    def changed() -> set[str]:
        return {name for name, config in configs.items() if fingerprint(config) != before[name]}

    assert changed() == set()
    (tiny_dataset / "c3" / "c3.npz").write_bytes(b"123")
    assert changed() == {"both", "landmarks"}
    (tiny_dataset / "c3" / "c3.npz").write_bytes(b"12")
    before = {name: fingerprint(config) for name, config in configs.items()}
    os.utime(tiny_dataset / "c3" / "c3_2.jpg", (1, 1))
    assert changed() == {"frames", "both"}
    (tiny_dataset / "c3" / "c3.npz").unlink()
    with pytest.raises(DataError, match="c3.npz is missing"):
        fingerprint(configs["landmarks"])


def test_validation_clips_that_are_trained_on_are_not_unseen(
    make_config: Callable, make_dataset: Callable, caplog: pytest.LogCaptureFixture
):
    folder = make_dataset(classes=12, signers=0)  # one clip of each class
    values = {"general_parameters.train_on_validation": True}
    with caplog.at_level(logging.WARNING):
        data = load_data(make_config(folder, {**values, "general_parameters.ratio_test": 0}))
        assert caplog.text == "" and len(data.split.train) == 12 and data.split.val
        data = load_data(make_config(folder, values))
    unseen = len(data.split.test)  # the only clips that are not trained on
    assert f"gloss: {unseen} of the 6 evaluated classes have no training clip" in caplog.text


def test_words_with_other_numbers_and_unnamed_labels_are_said(
    make_config: Callable, make_dataset: Callable, caplog: pytest.LogCaptureFixture
):
    first, second = make_dataset("a", clips=6), make_dataset("b", clips=6)
    write_list(first, "0,A", "1,B", "2,C")
    write_list(second, "0,A", "7,c")
    with caplog.at_level(logging.WARNING):
        load_data(make_config(None, {"general_parameters.data_path": [str(first), str(second)]}))
    assert "1 words have different numbers in different datasets (such as 'c': 2 in a, 7 in b)" in caplog.text
    assert "the class list of b does not name 2 of its labels (such as 1)" in caplog.text


def write_splits(folder: Path, parts: str) -> None:
    """parts: the first letter of each clip's split: tvT for train, val, test."""
    words = {"t": "train", "v": "val", "T": "test"}
    rows = [f"c{number},{words[part]}" for number, part in enumerate(parts)]
    (folder / "splits.csv").write_text("\n".join(["name,split", *rows]) + "\n")


def test_given_splits_are_used_where_a_folder_has_them(make_config: Callable, tiny_dataset: Path):
    before = fingerprint(make_config(tiny_dataset))
    write_splits(tiny_dataset, "ttttttvvTTTT")
    folders._read.cache_clear()
    data = load_data(make_config(tiny_dataset, {"general_parameters.split_seed": 3}))
    assert [clip.name for clip in data.split.val] == ["c6", "c7"]
    assert {clip.name for clip in data.split.test} == {"c8", "c9", "c10", "c11"}
    config = make_config(tiny_dataset)
    with_splits = fingerprint(config)
    write_splits(tiny_dataset, "tttttttvTTTT")
    assert len({before, with_splits, fingerprint(config)}) == 3


def test_split_given_needs_the_file(make_config: Callable, tiny_dataset: Path):
    with pytest.raises(DataError, match="split: given, but 12 clips have none"):
        load_data(make_config(tiny_dataset, {"general_parameters.split": "given"}))


def test_words_become_class_names(make_config: Callable, make_dataset: Callable, caplog):
    first, second = make_dataset("a", clips=6), make_dataset("b", clips=6)
    for folder, words in ((first, "ash oak elm"), (second, "ash bay elm")):
        rows = (f"c{i} 0 4 {words.split()[i % 3]}" for i in range(6))
        (folder / "test_gloss.txt").write_text("\n".join(rows) + "\n")
    with caplog.at_level(logging.INFO):
        data = load_data(make_config(first))
    assert data.class_names == {"gloss": {0: "ash", 1: "elm", 2: "oak"}}
    expected = "3 words are numbered in alphabetical order (0 = 'ash', 1 = 'elm', 2 = 'oak'); a glosses.csv"
    assert f"a: gloss: {expected}" in caplog.text
    both = {"general_parameters.data_path": [str(first), str(second)]}
    with caplog.at_level(logging.INFO):
        data = load_data(make_config(None, both))
    assert data.class_names == {"gloss": {0: "ash", 1: "bay", 2: "elm", 3: "oak"}}
    assert "a, b: gloss: 4 words are numbered in alphabetical order (0 = 'ash', 1 = 'bay', 2 = 'elm'" in caplog.text
    numbers = {(clip.dataset_name, clip.name): clip.labels["gloss"] for clip in data.clips}
    assert [numbers["a", f"c{i}"] for i in range(3)] == [0, 3, 2]
    assert [numbers["b", f"c{i}"] for i in range(3)] == [0, 1, 2]
    (checked, other) = check_data([first, second], workers=1).reports
    assert checked.class_names["gloss"] == {0: "ash", 3: "oak", 2: "elm"} and not other.problems
    with pytest.raises(DataError, match="gloss: 4 different words in all datasets; expected at most num_class, 3"):
        load_data(make_config(None, both | {"heads.gloss.gloss.num_class": 3}))
