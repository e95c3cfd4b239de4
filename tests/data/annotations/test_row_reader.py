"""The separator of an annotation file is found from its first row."""

from pathlib import Path

import pytest

from hearai.data.annotations.row_reader import open_annotations
from hearai.errors import DataError


def fields(path: Path, text: str) -> list[list[str]]:
    path.write_text(text, encoding="utf-8")
    return [row for _, row in open_annotations(path).rows]


@pytest.mark.parametrize(
    "text", ["name,start,end,gloss\na b,0,4,1\n", "a b, 0, 4, 1\n", '"a b";0;4;1\n', "\n'a' 0 4 1\n"]
)
def test_commas_and_semicolons_are_recognised(tmp_path: Path, text: str) -> None:
    name = "'a'" if "'" in text else "a b"
    assert fields(tmp_path / "f.txt", text) == [[name, "0", "4", "1"]]


def test_whitespace_is_preferred(tmp_path: Path) -> None:
    assert fields(tmp_path / "f.txt", "a,b 0 4 1\nc;d 0 4 1\n") == [["a,b", "0", "4", "1"], ["c;d", "0", "4", "1"]]


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="f.txt: no rows"):
        fields(tmp_path / "f.txt", "name,start,end,gloss\n")
