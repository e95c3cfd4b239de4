"""Columns are found by the names in the header, however they are spelled; others are refused."""

from pathlib import Path

import pytest

from hearai.data.annotations.rows import read_annotations
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS

HAMNOSYS = {head.name: head.num_class for head in HEADS.values()}
LABELS = {head: min(i, size - 1) for i, (head, size) in enumerate(HAMNOSYS.items())}
REVERSED = list(reversed(HEADS))


def read(folder: Path, header: str, row: str, heads: dict) -> dict:
    (folder / "file.txt").write_text(f"{header}\n{row}\n", encoding="utf-8")
    return dict(read_annotations(folder, "file.txt", heads, frames=False)[0].labels)


def refusal(folder: Path, header: str, row: str, heads: dict) -> list[str]:
    with pytest.raises(DataError) as error:
        read(folder, header, row, heads)
    return error.value.problems


@pytest.mark.parametrize("spell", [str.upper, str.title, lambda name: name.replace("_", "-"), str.capitalize])
def test_case_and_punctuation_of_heads_do_not_matter(tmp_path: Path, spell) -> None:
    header = " ".join(["name start end", *map(spell, REVERSED)])
    row = "c 0 1 " + " ".join(str(LABELS[head]) for head in REVERSED)
    assert read(tmp_path, header, row, HAMNOSYS) == LABELS


def test_gloss_id_is_the_gloss(tmp_path: Path) -> None:
    assert read(tmp_path, "Name Start End signer Gloss_ID", "c 0 1 9 3", {"gloss": "auto"}) == {"gloss": 3}


def test_columns_without_names_keep_their_position(tmp_path: Path) -> None:
    row = "c 0 1 " + " ".join(map(str, LABELS.values()))
    assert read(tmp_path, "name start end", row, HAMNOSYS) == LABELS


def test_a_misspelled_head_is_refused(tmp_path: Path) -> None:
    names = ["hand_lokation_y" if name == "hand_location_y" else name for name in REVERSED]
    (problem,) = refusal(tmp_path, " ".join(["name start end", *names]), "c 0 1 0 0 0 0 0 0 0 0", HAMNOSYS)
    assert (
        "file.txt:1: the header names " in problem and "but not hand_location_y; unknown: 'hand_lokation_y'" in problem
    )


@pytest.mark.parametrize("heads", [{"gloss": "auto"}, {"hand_location_x": 5}])
def test_a_header_of_unknown_labels_is_refused(tmp_path: Path, heads: dict) -> None:
    (problem,) = refusal(tmp_path, "name start end handedness", "c 0 1 1", heads)
    assert f"names none of the heads but not {next(iter(heads))}; unknown: 'handedness'" in problem
    assert "remove the names after `end`" in problem


def test_two_spellings_of_one_head_are_refused(tmp_path: Path) -> None:
    (problem,) = refusal(tmp_path, "name start end gloss Gloss-id", "c 0 1 1 2", {"gloss": "auto"})
    assert "columns 'gloss' and 'Gloss-id' name the same label" in problem


FLAT_HAND = "\ue0e9\ue001\ue020\ue03c\ue051\ue059"
"""Both hands flat, fingers up, palms down, at the signer's right shoulder."""


@pytest.mark.parametrize("heads", [HAMNOSYS, {"hand_location_x": 5}])
def test_a_column_of_hamnosys_strings_is_read_as_labels(tmp_path: Path, heads: dict) -> None:
    expected = dict(zip(HEADS, [7, 1, 0, 0, 0, 4, 4, 13], strict=True))
    labels = read(tmp_path, "name,start,end,HamNoSys,signer", f"c,0,1,{FLAT_HAND},s", heads)
    assert labels == {head: expected[head] for head in heads}


def test_numbers_beside_a_hamnosys_column_come_first(tmp_path: Path) -> None:
    row = " ".join(["c 0 1 unread", *map(str, LABELS.values())])
    assert read(tmp_path, " ".join(["name start end hamnosys", *HEADS]), row, HAMNOSYS) == LABELS
    assert read(tmp_path, "name start end gloss hamnosys", "c 0 1 3 unread", {"gloss": "auto"}) == {"gloss": 3}


@pytest.mark.parametrize("header", ["name start end hamnosys gloss", "name start end gloss hamnosys"])
def test_words_may_stand_beside_a_hamnosys_column(tmp_path: Path, header: str) -> None:
    words = ("tree", "book")
    cells = [f"{word} {FLAT_HAND}" if header.endswith("hamnosys") else f"{FLAT_HAND} {word}" for word in words]
    rows = "\n".join(f"{name} 0 1 {both}" for name, both in zip("ab", cells, strict=True))
    assert read(tmp_path, header, rows, {**HAMNOSYS, "gloss": "auto"})["gloss"] == 1, "the first is tree, after book"


def test_rows_with_invalid_hamnosys_are_all_listed(tmp_path: Path) -> None:
    rows = f"a 0 1 {FLAT_HAND}\nb 0 1 \ue001\ue051\nc 0 1 {FLAT_HAND} 7\nd 0 1 x\ne 2 1 {FLAT_HAND}"
    first, second, third, fourth = refusal(tmp_path, "name start end hamnosys", rows, HAMNOSYS)
    assert "file.txt:3: clip 'b': symbol 2, U+E051 hamshoulders; expected a finger direction" in first
    assert "file.txt:4: 5 columns; expected 4: name start end hamnosys" in second
    assert "file.txt:5: clip 'd': after 0 symbols: 'x' is not the name of a symbol; expected" in third
    assert "file.txt:6: start 2, end 1" in fourth
