"""Class lists: lenient about the columns, strict about the content."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.data.annotations.metadata import class_name, class_names, read_class_names, read_signers
from hearai.data.annotations.problems import Problems
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS


def write(folder: Path, *lines: str, file: str = "glosses.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def problems(folder: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        read_class_names(folder)
    return caught.value.problems


@pytest.mark.parametrize(
    "lines",
    [
        ("name,word,gloss_id,fps", "clip7,Home,0,25", 'clip8,"To go, away",1,25'),
        ("gloss_id,gloss,name", "0,Home,clip7", '1,"To go, away",clip8'),
        ("gloss_id,name", "0,Home", "", ' 1 ,"To go, away"'),
        ("\ufeffGLOSS_ID,Word", '1,"To go, away"', "0,Home", "0,home"),
    ],
    ids=["isl_avatar", "gloss column", "demo", "BOM, capitals, repeated row"],
)
def test_all_formats_of_gloss_lists_are_read(tmp_path: Path, lines: tuple[str, ...]):
    assert read_class_names(write(tmp_path, *lines)) == {"gloss": {0: "Home", 1: "To go, away"}}


@pytest.mark.parametrize(
    "lines",
    [
        ("c0,Anna", "c1,anna", "c2,Bo"),
        ("\ufeffName;Signer", "c0;Anna", "c1;ANNA ", "c2;Bo"),
        ("signer\tname", "Anna\tc0", "Anna\tc1", "Bo\tc2"),
        (",name,age,signer", "0,c0,31,Anna", "1,c1,,Anna", '2,c2,"4, or 5",Bo'),
    ],
    ids=["no header", "BOM, semicolons, capitals", "tabs, other order", "further columns"],
)
def test_all_formats_of_signers_are_read(tmp_path: Path, lines: tuple[str, ...]):
    """Two spellings of one signer would be two signers, in training and test."""
    found = Problems()
    path = write(tmp_path, *lines, file="signers.csv") / "signers.csv"
    assert read_signers(path, found) == {"c0": "Anna", "c1": "Anna", "c2": "Bo"} and not len(found)


def test_list_in_the_folder_overrides_the_one_in_its_parent(tmp_path: Path):
    folder = tmp_path / "frames"
    folder.mkdir()
    assert read_class_names(folder) == {}
    write(tmp_path, "gloss_id,word", "0,parent")
    assert read_class_names(folder) == {"gloss": {0: "parent"}}
    write(folder, "gloss_id,word", "0,inside")
    assert read_class_names(folder) == {"gloss": {0: "inside"}}


def test_custom_heads_are_named_by_classes_csv(tmp_path: Path):
    write(tmp_path, "head,class,name", "mouth,0,open", "mouth,1,closed", "eyes,0,open", file="classes.csv")
    assert read_class_names(tmp_path) == {"mouth": {0: "open", 1: "closed"}, "eyes": {0: "open"}}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("gloss_id,word", "0,A", "0,B"), ["glosses.csv:3", "gloss 0 is 'B', and 'A' above"]),
        (("gloss_id,word", "x,A"), ["glosses.csv:2", "class 'x'", "0..99999"]),
        (("gloss_id,word", "-1,A"), ["glosses.csv:2", "class '-1'"]),
        (("gloss_id,word", "", "5,"), ["glosses.csv:3", "name ''"]),
        (("gloss_id,word", "5"), ["glosses.csv:2", "name ''"]),
        (("gloss_id,word", "5,a\0b"), ["glosses.csv:2", "name 'a\\x00b'"]),
        (("id,word", "0,A"), ["glosses.csv:1", "expected columns gloss_id and one of word, gloss, name"]),
        (("0,A",), ["glosses.csv:1", "'0,a'"]),
        (("gloss_id,word", '0,"A" b'), ["glosses.csv:2", "expected a CSV file"]),
        (("gloss_id,word", '0,"A'), ["glosses.csv:2", "expected a CSV file"]),
        (("",), ["glosses.csv", ": empty; expected"]),
    ],
)
def test_invalid_lists_are_refused_with_their_line(tmp_path: Path, lines: tuple[str, ...], words: list[str]):
    (problem,) = problems(write(tmp_path, *lines))
    for word in words:
        assert word in problem


def test_all_invalid_rows_are_reported_together(tmp_path: Path):
    write(tmp_path, "gloss_id,word", "x,A", "1,")
    write(tmp_path, "head,class,name", "symmetry_operator,0,none", "mouth,0,open", "mouth,0,wide", file="classes.csv")
    found = problems(tmp_path)
    assert [problem.split("/")[-1].split(": ")[0] for problem in found] == [
        *("glosses.csv:2", "glosses.csv:3"),
        *("classes.csv:2", "classes.csv:4"),
    ]
    assert "HamNoSys head" in found[2]


def test_binary_file_and_incomplete_header_are_refused(tmp_path: Path):
    (tmp_path / "glosses.csv").write_bytes(b"gloss_id,word\n0,\xff\n")
    write(tmp_path, "head,name", file="classes.csv")
    first, second = problems(tmp_path)
    assert "glosses.csv:2: byte 16 is not UTF-8" in first
    assert "classes.csv:1: the header lacks class" in second


def test_lists_of_datasets_are_merged_and_conflicts_reported(tmp_path: Path):
    lists = {"a": {"gloss": {0: "A", 1: "B"}}, "b": {"gloss": {1: "b", 2: "C"}, "mouth": {0: "open"}}, "c": {}}
    assert class_names(lists, ["gloss"]) == {"gloss": {0: "A", 1: "B", 2: "C"}}
    with pytest.raises(DataError) as caught:
        class_names({**lists, "c": {"gloss": {0: "X", 2: "Y"}}}, ["gloss"])
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "class lists: gloss 0 is 'A' in a and 'X' in c",
        "class lists: gloss 2 is 'C' in b and 'Y' in c",
    ]


def test_hamnosys_heads_are_named_by_their_tables():
    names = class_names({}, ["symmetry_operator", "gloss"])
    assert set(names) == {"symmetry_operator"}
    head = HEADS["symmetry_operator"]
    assert names["symmetry_operator"] == {c.index: c.meaning for c in head.classes}


def test_class_without_a_name_is_its_number():
    names = {"gloss": {0: "Home"}}
    assert [class_name(names, "gloss", 0), class_name(names, "gloss", 7), class_name({}, "x", 3)] == ["Home", "7", "3"]


def test_published_list_is_read(real_data: Path):
    names = read_class_names(real_data / "isl_avatar" / "frames")["gloss"]
    assert len(names) == 151 and names[0] == "0" and names[150] == "Z"


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("put", "found"),
    [
        (Path.mkdir, "a folder"),
        (make_pipe, "not a regular file"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
    ],
    ids=["folder", "pipe", "broken link"],
)
@pytest.mark.parametrize("file", ["glosses.csv", "classes.csv", "signers.csv"])
def test_what_has_the_name_of_a_table_must_be_a_file(tmp_path: Path, file: str, put: Callable, found: str):
    """Otherwise it would be waited for, or left out without a word."""
    put(tmp_path / file)
    with pytest.raises(DataError, match=f"{file}: .*{found}"):
        read_signers(tmp_path / file, Problems()) if file == "signers.csv" else read_class_names(tmp_path)


@pytest.mark.parametrize(
    ("file", "header"), [("glosses.csv", "gloss_id,word,Word"), ("classes.csv", "head;class;name;class")]
)
def test_a_column_of_a_class_list_occurs_once(tmp_path: Path, file: str, header: str):
    (tmp_path / file).write_text(f"{header}\n0,a,b,c\n")
    with pytest.raises(DataError, match=f"{file}:1: two columns '(word|class)'; expected one"):
        read_class_names(tmp_path)
