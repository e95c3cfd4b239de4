"""Every row is checked, and every problem is reported with its line."""

import io
import itertools
import os
import pickle
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.problems import SHOWN, Problems
from hearai.data.annotations.rows import read_annotations, read_rows
from hearai.data.landmarks.clip_points import check_landmarks
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS, MISSING

GLOSS = {"gloss": "auto"}
HAMNOSYS = {head.name: head.num_class for head in HEADS.values()}


def write_rows(folder: Path, *rows: str, name: str = "test_gloss.txt") -> Path:
    (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def problems(folder: Path, heads: dict = GLOSS, name: str = "test_gloss.txt", **needs: bool) -> list[str]:
    with pytest.raises(DataError) as caught:
        read_annotations(folder, name, heads, **needs)
    return caught.value.problems


def test_rows_become_clips(tiny_dataset: Path):
    clips = read_annotations(tiny_dataset, "test_gloss.txt", GLOSS)
    assert len(clips) == 12
    assert clips[1] == Clip("c1", tiny_dataset, 0, 5, {"gloss": 1}, "s1", None)
    assert clips[1].frame_path(5) == tiny_dataset / "c1" / "c1_5.jpg"
    assert clips[1].key == "data/c1"


def test_hamnosys_columns_are_read_by_position(tiny_dataset: Path):
    row = (tiny_dataset / "test_hamnosys.txt").read_text().splitlines()[0].split()
    clip = read_annotations(tiny_dataset, "test_hamnosys.txt", HAMNOSYS)[0]
    assert clip.labels == {name: int(text) for name, text in zip(HEADS, row[3:], strict=True)}


def test_group_of_some_hamnosys_heads_reads_the_same_columns(tiny_dataset: Path):
    some = {name: HAMNOSYS[name] for name in ("hand_location_y", "hand_shape_base_form")}
    all_heads = read_annotations(tiny_dataset, "test_hamnosys.txt", HAMNOSYS)
    for clip, full in zip(read_annotations(tiny_dataset, "test_hamnosys.txt", some), all_heads, strict=True):
        assert clip.labels == {name: full.labels[name] for name in some}


def test_ninth_column_of_older_files_is_ignored(tiny_dataset: Path):
    write_rows(tiny_dataset, "c0 0 4 0 1 1 1 1 1 1 1 3", name="old.txt")
    assert len(read_annotations(tiny_dataset, "old.txt", HAMNOSYS)) == 1


def test_header_is_optional(tiny_dataset: Path):
    plain = read_annotations(tiny_dataset, "test_gloss.txt", GLOSS)
    rows = (tiny_dataset / "test_gloss.txt").read_text()
    (tiny_dataset / "headed.txt").write_text("\ufeffname start end gloss\n\n" + rows, encoding="utf-8")
    assert read_annotations(tiny_dataset, "headed.txt", GLOSS) == plain


def test_header_that_names_the_heads_sets_their_order(tiny_dataset: Path):
    write_rows(tiny_dataset, "name start end colour b a", "c0 0 4 9 1 2", name="custom.txt")
    (clip,) = read_annotations(tiny_dataset, "custom.txt", {"a": 3, "b": 3})
    assert clip.labels == {"a": 2, "b": 1}


def test_header_that_names_only_some_heads_is_refused(tiny_dataset: Path):
    write_rows(tiny_dataset, "name start end a x", "c0 0 4 1 2", name="custom.txt")
    (problem,) = problems(tiny_dataset, {"a": 3, "b": 3}, "custom.txt")
    assert "custom.txt:1: the header names a but not b" in problem


def test_missing_label_is_allowed(tiny_dataset: Path):
    write_rows(tiny_dataset, f"c0 0 4 {MISSING}")
    (clip,) = read_annotations(tiny_dataset, "test_gloss.txt", {"gloss": 3})
    assert clip.labels == {"gloss": MISSING}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("c0 0 4", ["3 columns", "expected 4: name start end gloss"]),
        ("c0 0 4 1 1", ["5 columns"]),
        ("c0 0 x 1", ["end 'x'", "two integers"]),
        ("c0 a b 1", ["start 'a', end 'b'"]),
        ("c0 4 0 1", ["start 4, end 0", "0 <= start <= end"]),
        ("c0 -1 4 1", ["start -1"]),
        ("c0 0 4 3", ["gloss has label '3'", "0..2 or -1"]),
        ("c0 0 4 -2", ["gloss has label '-2'"]),
        ("c0 0 4 1.0", ["gloss has label '1.0'"]),
        ("c0 0 4 " + "9" * 5000, ["gloss has label"]),
        ("c0 0 5 1", ["c0_5.jpg is missing", "expected every frame of 0..5"]),
        ("c0 0 999999999999 1", ["c0_5.jpg is missing (and 999999999994 more)"]),
        ("nowhere 0 4 1", ["nowhere is missing", "expected a folder of frames"]),
        ("../data/c0 0 4 1", ["is outside the dataset folder"]),
        ("/etc 0 4 1", ["is outside the dataset folder"]),
        (". 0 4 1", ["is outside the dataset folder"]),
    ],
)
def test_invalid_row_is_reported_with_line_and_expectation(make_dataset: Callable, row: str, words: list[str]):
    folder = write_rows(make_dataset(clips=2, signers=0), "c1 0 4 1", "", row)
    (problem,) = problems(folder, {"gloss": 3})
    assert problem.startswith(f"{folder / 'test_gloss.txt'}:3: ")
    for word in words:
        assert word in problem


def test_all_problems_are_reported_together(make_dataset: Callable):
    folder = write_rows(make_dataset(clips=2, signers=0), "c0 0 9 7", "c1 1 0 0", "c0 0 4 1", "c1 0 4")
    found = problems(folder, {"gloss": 3})
    assert [problem.split(":")[1] for problem in found] == ["1", "1", "2", "3", "4"]
    assert "is already in line 1" in found[3]


def test_long_lists_of_problems_are_cut(make_dataset: Callable):
    folder = write_rows(make_dataset(clips=1, signers=0), *(f"x{i} 0 4 1" for i in range(50)))
    found = problems(folder)
    assert len(found) == SHOWN + 1
    assert found[-1] == f"... and {50 - SHOWN} more problems"


def test_auto_head_has_an_upper_limit(make_dataset: Callable):
    folder = write_rows(make_dataset(clips=1, signers=0), "c0 0 4 2000000000")
    assert "label '2000000000'" in problems(folder)[0]


def test_annotation_file_may_be_in_a_subfolder(tiny_dataset: Path):
    (tiny_dataset / "labels").mkdir()
    (tiny_dataset / "test_gloss.txt").rename(tiny_dataset / "labels" / "gloss.txt")
    assert len(read_annotations(tiny_dataset, "labels/gloss.txt", GLOSS)) == 12


def test_nested_clip_folders_are_read(make_dataset: Callable):
    folder = make_dataset(clips=1, signers=0)
    (folder / "part").mkdir()
    (folder / "c0").rename(folder / "part" / "c0")
    (clip,) = read_annotations(write_rows(folder, "part/c0 0 4 1"), "test_gloss.txt", GLOSS)
    assert clip.frame_path(2).is_file()
    assert clip.key == "data/part/c0"


@pytest.mark.parametrize(
    ("text", "words"),
    [("", ": empty; expected"), ("\n \n", ": empty; expected"), ("name start end gloss\n", ": no rows; expected")],
)
def test_annotation_file_without_rows_is_refused(tiny_dataset: Path, text: str, words: str):
    (tiny_dataset / "test_gloss.txt").write_text(text)
    assert words in problems(tiny_dataset)[0]


def test_missing_folder_and_missing_file_are_distinguished(tmp_path: Path, tiny_dataset: Path):
    assert "not a directory" in problems(tmp_path / "nowhere")[0]
    (problem,) = problems(tiny_dataset, name="labels.txt")
    assert "does not contain labels.txt (found test_gloss.txt, test_hamnosys.txt)" in problem
    (tmp_path / "empty").mkdir()
    assert "no .txt files" in problems(tmp_path / "empty")[0]


def test_binary_annotation_file_is_refused(tiny_dataset: Path):
    (tiny_dataset / "test_gloss.txt").write_bytes(b"c0 0 4 1\n\xff\xfe")
    assert "byte 9 is not UTF-8" in problems(tiny_dataset)[0]


def test_signers_are_checked(tiny_dataset: Path):
    rows = (tiny_dataset / "signers.csv").read_text().splitlines()
    (tiny_dataset / "signers.csv").write_text("\n".join([*rows[:-1], "c0,s9", "c1"]) + "\n")
    found = "\n".join(problems(tiny_dataset))
    assert "signers.csv:13: c0 has a second signer 's9'" in found
    assert "signers.csv:14: found 'c1'; expected name,signer" in found
    assert "test_gloss.txt:12: clip 'c11' is missing in signers.csv" in found


def test_given_splits_are_read_and_checked(tiny_dataset: Path):
    words = ["train", "Training", "val", "dev", "validation", "test"]
    path = tiny_dataset / "splits.csv"
    path.write_text("name;split\n" + "".join(f"c{i};{words[i % 6]}\n" for i in range(12)))
    splits = [clip.split for clip in read_annotations(tiny_dataset, "test_gloss.txt", {"gloss": 3})]
    assert splits == ["train", "train", "val", "val", "val", "test"] * 2
    path.write_text("".join(f"c{i},train\n" for i in range(11)) + "c0,test\nc1\nc2,tset\n")
    found = problems(tiny_dataset)
    assert [problem.split("/")[-1] for problem in found] == [
        "splits.csv:12: c0 has a second split 'test'; expected one",
        "splits.csv:13: found 'c1'; expected name,split",
        "splits.csv:14: split 'tset'; expected train, val, test",
        "test_gloss.txt:12: clip 'c11' is missing in splits.csv; expected a row name,split there",
    ]


def test_without_signers_file_signers_are_unknown(make_dataset: Callable):
    clips = read_annotations(make_dataset(signers=0), "test_gloss.txt", GLOSS)
    assert {clip.signer for clip in clips} == {None}


def test_frames_per_second_come_from_the_properties_file(make_dataset: Callable):
    clips = read_annotations(make_dataset(fps=12.5), "test_gloss.txt", GLOSS)
    assert {clip.fps for clip in clips} == {12.5}


@pytest.mark.parametrize("text", ['{"FPS": 0}', '{"fps": 25}', '{"FPS": null}', "{", "[]", '{"FPS": Infinity}'])
def test_invalid_properties_are_refused(make_dataset: Callable, text: str):
    folder = make_dataset(clips=1, fps=25)
    (folder / "c0" / "c0_properties.json").write_text(text)
    (problem,) = problems(folder)
    assert 'c0_properties.json is invalid; expected {"FPS": frames per second}' in problem


def test_clips_are_hashable_and_survive_pickling(tiny_dataset: Path):
    clips = read_annotations(tiny_dataset, "test_gloss.txt", GLOSS)
    assert set(pickle.loads(pickle.dumps(clips))) == set(clips)


@pytest.mark.parametrize("pattern", ["frame_{:04d}.jpg", "c0_{:03d}.jpg", "c0_{}.png", "c0_{}.JPEG"])
def test_frames_of_another_name_are_shown(make_dataset: Callable, pattern: str):
    folder = make_dataset(clips=1)
    for i in range(5):
        (folder / "c0" / f"c0_{i}.jpg").rename(folder / "c0" / pattern.format(i))
    (problem,) = problems(folder)
    assert f"its 5 images have other names, such as {pattern.format(0)!r}" in problem
    assert "expected JPEG files named c0_0.jpg, c0_1.jpg, ..." in problem


def test_folders_in_another_unicode_form_are_shown(make_dataset: Callable):
    folder = make_dataset(clips=1)
    (folder / "c0").rename(folder / "cafe\u0301")
    write_rows(folder, "caf\u00e9 0 4 1")
    (folder / "signers.csv").unlink()
    (problem,) = problems(folder)
    assert "is missing, but there is 'cafe\u0301'" in problem and "convmv" in problem


def test_gap_in_the_frames_names_the_missing_file(make_dataset: Callable):
    folder = make_dataset(clips=1, signers=0)
    (folder / "c0" / "c0_2.jpg").unlink()
    (problem,) = problems(folder)
    assert problem == f"{folder}/test_gloss.txt:1: {folder}/c0/c0_2.jpg is missing; expected every frame of 0..4"
    (folder / "c0" / "c0_4.jpg").rename(folder / "c0" / "c0_04.jpg")
    (problem,) = problems(folder)
    assert "c0_2.jpg is missing (and 1 more)" in problem


def test_with_landmarks_alone_images_need_not_exist(make_dataset: Callable):
    folder = make_dataset(clips=2, signers=0, fps=25)
    for image in folder.glob("*/*.jpg"):
        image.unlink()
    found = problems(folder, frames=False, landmarks=True)
    assert f"{folder}/test_gloss.txt:1: {folder}/c0/c0.npz is missing; train_parameters.landmarks needs" in found[0]
    assert len(found) == 2
    for name in ("c0", "c1"):
        (folder / name / f"{name}.npz").write_bytes(b"")
    clips = read_annotations(folder, "test_gloss.txt", GLOSS, frames=False, landmarks=True)
    assert [clip.landmarks_path for clip in clips] == [folder / "c0" / "c0.npz", folder / "c1" / "c1.npz"]
    assert clips[0].fps == 25
    assert len(problems(folder, frames=True, landmarks=True)) == 2


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x07", "\u202e"])
def test_control_characters_in_names_are_escaped_and_refused(make_dataset: Callable, character: str):
    folder = write_rows(make_dataset(clips=1, signers=0), "c0 0 4 1", f"c{character}0 0 4 1")
    (problem,) = problems(folder)
    assert ":2: name 'c" in problem and "control character" in problem
    assert character not in problem


def test_nul_bytes_anywhere_in_the_file_are_refused(make_dataset: Callable):
    folder = write_rows(make_dataset(clips=2, signers=0), "c0 0 4 1\0", "c1 0\0 4 1", "\0" * 100)
    found = problems(folder)
    assert "gloss has label '1\\x00'" in found[0] and "start '0\\x00'" in found[1] and "1 columns" in found[2]
    (folder / "test_gloss.txt").write_bytes("c0 0 4 1\n".encode("utf-16-le"))
    assert "control character" in problems(folder)[0]
    (problem,) = problems(folder / "a\0b")
    assert "not a directory" in problem


def test_nul_byte_in_signers_is_refused(tiny_dataset: Path):
    with (tiny_dataset / "signers.csv").open("a") as file:
        file.write("c0\0,s0\n")
    assert "signers.csv:14: found 'c0\\x00,s0'" in problems(tiny_dataset)[0]


def test_names_outside_the_dataset_are_refused(make_dataset: Callable, tmp_path: Path):
    folder = write_rows(make_dataset(clips=1, signers=0), "../../etc 0 4 1", "/etc 0 4 1", "c0/../../x 0 4 1")
    found = problems(folder)
    targets = [tmp_path.parent / "etc", Path("/etc"), tmp_path / "x"]
    for line, (problem, target) in enumerate(zip(found, targets, strict=True), start=1):
        assert f"test_gloss.txt:{line}: " in problem and f"(to {target}) is outside the dataset folder" in problem


def test_symlinks_out_of_the_dataset_are_refused(make_dataset: Callable, tmp_path: Path):
    folder, outside = make_dataset(clips=4, signers=0, fps=25), make_dataset("outside", clips=4, fps=25)
    (folder / "linked").symlink_to(outside / "c0")
    (folder / "part").symlink_to(outside)
    for name in ("c1_2.jpg", "c1_properties.json"):
        (folder / "c1" / name).unlink()
        (folder / "c1" / name).symlink_to(outside / "c1" / name)
    rows = ["c0 0 4 0", "linked 0 4 0", "part/c2 0 4 0", "c1 0 4 0"]
    found = problems(write_rows(folder, *rows))
    ends = [(2, outside / "c0"), (3, outside / "c2"), (4, outside / "c1/c1_2.jpg")]
    ends += [(4, outside / "c1/c1_properties.json")]
    assert len(found) == len(ends)
    for problem, (line, target) in zip(found, ends, strict=True):
        assert problem.startswith(f"{folder}/test_gloss.txt:{line}: ")
        assert f"is a symlink to {target}, outside the dataset folder" in problem


def test_symlinks_out_of_the_dataset_are_followed_on_request(make_dataset: Callable):
    folder, outside = make_dataset(clips=2, signers=0), make_dataset("outside", clips=4, fps=25)
    (folder / "c2").symlink_to(outside / "c2")
    (folder / "part").symlink_to(outside)
    for name in ("c1_2.jpg", "c1_properties.json"):
        (folder / "c1" / name).unlink(missing_ok=True)
        (folder / "c1" / name).symlink_to(outside / "c1" / name)
    write_rows(folder, "c0 0 4 0", "c1 0 4 1", "c2 0 4 0", "part/c3 0 4 0")
    assert all("set general_parameters.follow_symlinks: true" in problem for problem in problems(folder))
    clips = read_annotations(folder, "test_gloss.txt", GLOSS, follow_symlinks=True)
    assert [clip.fps for clip in clips] == [None, 25, 25, 25]
    assert all(clip.frame_path(2).is_file() for clip in clips)


@pytest.mark.parametrize("follow", [False, True])
def test_symlinks_that_lead_nowhere_are_refused(make_dataset: Callable, tmp_path: Path, follow: bool):
    folder = make_dataset(clips=1, signers=0)
    (folder / "gone").symlink_to(folder / "deleted")
    (folder / "loop").symlink_to("loop")
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")
    (folder / "c0" / "c0_1.jpg").unlink()
    (folder / "c0" / "c0_1.jpg").symlink_to("c0_1.jpg")
    write_rows(folder, "gone 0 4 0", "loop 0 4 0", "one 0 4 0", "c0 0 4 0")
    found = problems(folder, follow_symlinks=follow)
    assert f"is a symlink to {folder / 'deleted'}, which is missing" in found[0]
    for problem, name in zip(found[1:], ("loop", "one", "c0/c0_1.jpg"), strict=True):
        assert f"{folder}/{name} is a symlink that leads back to itself" in problem


def test_a_symlink_to_its_own_dataset_has_no_frames(make_dataset: Callable):
    folder = make_dataset(clips=1, signers=0)
    (folder / "all").symlink_to(".")
    (problem,) = problems(write_rows(folder, "all 0 4 0"), follow_symlinks=True)
    assert "all/all_0.jpg is missing" in problem


def test_landmarks_outside_the_dataset_are_refused(make_dataset: Callable, tmp_path: Path):
    folder = make_dataset(clips=1, signers=0)
    (tmp_path / "other.npz").write_bytes(b"")
    (folder / "c0" / "c0.npz").symlink_to(tmp_path / "other.npz")
    assert len(read_annotations(folder, "test_gloss.txt", GLOSS)) == 1
    (problem,) = problems(folder, landmarks=True)
    assert f"c0.npz is a symlink to {tmp_path / 'other.npz'}, outside the dataset folder" in problem


def test_symlinks_within_and_to_the_dataset_are_allowed(make_dataset: Callable, tmp_path: Path):
    folder = make_dataset(clips=2, signers=0)
    (folder / "c0").rename(folder / "real")
    (folder / "c0").symlink_to("real")
    (folder / "c1" / "c1_2.jpg").unlink()
    (folder / "c1" / "c1_2.jpg").symlink_to("c1_3.jpg")
    (tmp_path / "link").symlink_to(folder)
    clips = read_annotations(tmp_path / "link", "test_gloss.txt", GLOSS)
    assert [clip.frame_path(2).is_file() for clip in clips] == [True, True]


def test_irregular_files_in_place_of_frames_are_refused(make_dataset: Callable):
    folder = make_dataset(clips=3, signers=0)
    for name in ("c0/c0_1.jpg", "c1/c1_1.jpg", "c2/c2_1.jpg"):
        (folder / name).unlink()
    os.mkfifo(folder / "c0" / "c0_1.jpg")  # reading it would block
    (folder / "c1" / "c1_1.jpg").mkdir()
    (folder / "c2" / "c2_1.jpg").symlink_to("c2_99.jpg")
    found = problems(folder)
    assert "c0_1.jpg is not a regular file" in found[0] and "c1_1.jpg is not a regular file" in found[1]
    assert "c2_1.jpg is a symlink to" in found[2] and "c2_99.jpg, which is missing" in found[2]


def test_spellings_of_a_folder_are_the_same_clip(make_dataset: Callable):
    folder = write_rows(make_dataset(clips=1, signers=0), "c0 0 4 1", "./c0 0 4 1", "c0/ 0 4 1")
    assert ["is already in line 1" in problem for problem in problems(folder)] == [True, True]


def test_clips_share_labels_and_use_slots(tiny_dataset: Path):
    clips = read_annotations(tiny_dataset, "test_gloss.txt", GLOSS)
    assert len({id(clip.labels) for clip in clips}) == 3
    assert not hasattr(clips[0], "__dict__")


def peak(folder: Path, name: str, heads: dict, **needs: bool) -> int:
    """Peak memory in bytes while the file is read, with or without an error."""
    tracemalloc.start()
    try:
        read_annotations(folder, name, heads, **needs)
    except DataError:
        pass
    finally:
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return size


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("row", "most"),
    [("clip{0:07d} 0 40", 0), ("../clip{0:07d} 0 4 1", 0), ("clip{0:07d} 0 40 {0}.5", 160), ("n{0:07d} 0 4 1", 400)],
    ids=["columns", "name", "label", "no folder"],
)
def test_messages_of_invalid_rows_take_no_memory(tmp_path: Path, row: str, most: int):
    for name, number in (("few", 1_000), ("many", 20_000)):
        write_rows(tmp_path, *(row.format(i) for i in range(number)), name=name)
    few, many = (peak(tmp_path, name, GLOSS) for name in ("few", "many"))
    assert (many - few) / 19_000 < most + 1  # bytes per row: its name, to detect duplicates, but no message


@pytest.mark.heavy
def test_clips_take_little_memory(tmp_path: Path):
    rows = (f"clip{i:07d} {i % 50} {i % 50 + 40} {i % 2000}" for i in itertools.count())
    write_rows(tmp_path, *itertools.islice(rows, 20_000), name="rows")
    assert peak(tmp_path, "rows", GLOSS, frames=False) < 20_000 * 400


@pytest.mark.heavy
def test_many_rows_are_read_quickly(tmp_path: Path):
    write_rows(tmp_path, *(f"clip{i:07d} 0 40 {i % 2000}" for i in range(50_000)), name="rows")
    start = time.process_time()
    assert len(read_annotations(tmp_path, "rows", GLOSS, frames=False)) == 50_000
    assert time.process_time() - start < 2.5  # 0.25 s; a million rows in 5 s


@pytest.mark.parametrize(
    ("put", "found"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "not a regular file"),
        (lambda p: p.symlink_to("x"), "a symlink to nothing"),
    ],
    ids=["folder", "pipe", "broken link"],
)
def test_an_annotation_file_must_be_a_file(tiny_dataset: Path, put: Callable, found: str):
    put(tiny_dataset / "test_other.txt")
    (problem,) = problems(tiny_dataset, name="test_other.txt")
    assert problem == f"{tiny_dataset}/test_other.txt: {found}; expected an annotation file"


@pytest.mark.parametrize("name", ["x" * 5000, "ż" * 130, "/".join(["xx"] * 1500)])
def test_names_that_no_folder_can_have_are_refused(tiny_dataset: Path, name: str):
    (problem,) = problems(write_rows(tiny_dataset, f"{name} 0 4 1"))
    assert "is too long; expected at most 2000 bytes, 255 in each folder" in problem
    assert len(problem) < len(str(tiny_dataset)) + 300


def label_words(folder: Path, *labels: str, separator: str = " ") -> None:
    rows = [separator.join((f"c{i}", "0", "4", label)) for i, label in enumerate(labels)]
    (folder / "test_gloss.txt").write_text("\n".join(rows) + "\n")


def glosses(folder: Path) -> list[int]:
    return [clip.labels["gloss"] for clip in read_annotations(folder, "test_gloss.txt", {"gloss": "auto"})]


def test_words_without_a_class_list_are_numbered_alphabetically(tiny_dataset: Path):
    label_words(tiny_dataset, "old tree", "House", "-1", "house", "ash", separator=",")
    assert glosses(tiny_dataset) == [2, 1, MISSING, 1, 0]
    rows = read_rows(tiny_dataset, "test_gloss.txt", {"gloss": "auto"}, Problems())
    assert rows.words == {"gloss": {0: "ash", 1: "House", 2: "old tree"}}


def test_words_are_the_numbers_of_the_class_list(tiny_dataset: Path):
    (tiny_dataset / "glosses.csv").write_text("gloss_id,word\n7,House\n3,ash\n5,two\n6,Two\n")
    label_words(tiny_dataset, "house", "ASH", "9")
    assert glosses(tiny_dataset) == [7, 3, 9]
    label_words(tiny_dataset, "house", "oak", "two")
    with pytest.raises(DataError) as caught:
        glosses(tiny_dataset)
    assert [problem.partition(": ")[2] for problem in caught.value.problems] == [
        f"gloss has label '{word}'; expected 0..99999 or -1 (missing), or a word with one number in glosses.csv"
        for word in ("oak", "two")
    ]


@pytest.mark.parametrize("labels", [("house", "3"), ("1.0", "2.0"), ("nan", "house"), ("?", "house")])
def test_words_are_not_mixed_with_numbers(labels: tuple[str, ...], tiny_dataset: Path):
    label_words(tiny_dataset, *labels)
    with pytest.raises(DataError, match=r"gloss has label '.*'; expected 0..99999 or -1 .missing.$"):
        glosses(tiny_dataset)


@pytest.mark.parametrize("start", [0, 3])
def test_an_end_of_minus_one_is_the_last_frame(start: int, make_dataset: Callable):
    folder = make_dataset(landmarks=True)
    (folder / "test_gloss.txt").write_text(f"c0 {start} -1 0\nc1 {start} -1 1\n")
    for needs in ({"frames": True}, {"frames": False, "landmarks": True}):
        clips = read_annotations(folder, "test_gloss.txt", {"gloss": 3}, **needs)
        assert [(clip.start, clip.end) for clip in clips] == [(start, 4), (start, 5)]


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_an_open_end_is_read_from_each_version_of_npz(version: tuple[int, int], make_dataset: Callable):
    folder, header = make_dataset(), io.BytesIO()
    np.lib.format.write_array(header, np.full((7, 21, 3), 0.5, np.float32), version=version)
    with zipfile.ZipFile(folder / "c0" / "c0.npz", "w") as file:
        file.writestr("left_hand.npy", header.getvalue())
        file.writestr("source.npy", b"of another tool")
    (folder / "test_gloss.txt").write_text("c0 0 -1 0\n")
    (clip,) = read_annotations(folder, "test_gloss.txt", {"gloss": 3}, frames=False, landmarks=True)
    assert clip.end == 6 and check_landmarks(clip.landmarks_path, 7) == []


def test_an_open_end_after_the_last_frame_is_refused(tiny_dataset: Path):
    (tiny_dataset / "test_gloss.txt").write_text("c0 9 -1 0\nnowhere 0 -1 1\n")
    found = problems(tiny_dataset)
    assert "c0_9.jpg is missing" in found[0] and "nowhere" in found[1]
