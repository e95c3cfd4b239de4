"""Statistics of an annotation file: counts, names, one report of all invalid rows, all files or none."""

import csv
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

from hearai.errors import DataError, DiskFull
from hearai.reporting.label_statistics.counts import HeadCounts, count_labels
from hearai.reporting.label_statistics.reader import read_labels
from hearai.reporting.label_statistics.statistics import statistics_csv, statistics_text, write_statistics
from hearai.sign.hamnosys import HEADS, short_meaning
from hearai.training.outputs.confusion import Confusion
from hearai.training.scores import accuracy, macro_f1
from tests.helpers import ROOT


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "experiments" / "make_statistics.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=120)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(lines, name="test_gloss.txt") -> path of a file in a folder `data`."""

    def write(lines: Sequence[str], name: str = "test_gloss.txt") -> Path:
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def glosses(*labels: int) -> list[str]:
    return [f"c{i} 0 7 {label}" for i, label in enumerate(labels)]


def hamnosys(*rows: str) -> list[str]:
    return [f"c{i} 0 7 {row}" for i, row in enumerate(rows)]


def refusal(path: Path, separator: str | None = None) -> list[str]:
    with pytest.raises(DataError) as error:
        count_labels(path, separator)
    return error.value.problems


def test_control_characters_in_names_are_refused(write: Callable[..., Path]) -> None:
    (problem,) = refusal(write(["a 0 7 1", "b\x1b 0 7 1"]))
    assert "test_gloss.txt:2: name 'b\\x1b' contains a control character" in problem


# the command


@pytest.mark.heavy
def test_command_writes_table_and_plots_without_the_frames(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(hamnosys("0 3 1 3 13 5 1 10", "0 2 2 0 3 4 2 11", "0 2 -1 0 3 4 2 11"), "test_hamnosys.txt")
    done = run("--file_path", path, "--output_directory", "out/deep", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80
    plots = {f"classes_{head}.png" for head in HEADS} | {"overview.png"}
    assert {file.name for file in (tmp_path / "out" / "deep").iterdir()} == plots | {"statistics.csv"}
    for plot in plots:
        with Image.open(tmp_path / "out" / "deep" / plot) as image:
            assert image.format == "PNG"
            assert 300 < image.width < 3000 and 200 < image.height < 3000
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["deep"]


@pytest.mark.heavy
def test_invalid_rows_exit_with_2_and_write_nothing(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write([*glosses(0, 1), "c2 0 7", "c3 7 0 1", "c4 0 x 1", "c0 0 7 1", "c5 0 7 -2", "c6 0 7 1.5"])
    done = run("--file_path", path, "--output_directory", "out", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stdout == ""
    for line, words in {
        3: "3 columns; expected 4: name start end gloss",
        4: "start 7, end 0; expected 0 <= start <= end, or end -1 for the last frame",
        5: "start '0', end 'x'; expected two integers",
        6: "clip 'c0' is already in line 1; expected one row per clip",
        7: "gloss has label '-2'; expected 0..99999 or -1 (missing)",
        8: "gloss has label '1.5'",
    }.items():
        assert f"error: {path}:{line}: {words}" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--file_path", "none.txt", "--output_directory", "out"], "none.txt: cannot read (No such file"),
        (["--file_path", ".", "--output_directory", "out"], "a folder; expected a text file"),
        (["--file_path", "good.txt", "--output_directory", "good.txt"], "good.txt: a file; expected a folder"),
        (["--file_path", "good.txt", "--output_directory", "good.txt/out"], "cannot write (Not a directory)"),
        (["--file_path", "good.txt", "--output_directory", "out", "--separator", "ab"], "expected one character"),
        (["--file_path", "good.txt"], "--output_directory"),
    ],
)
def test_invalid_options_exit_with_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "good.txt").write_text("c0 0 7 1\n")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert words in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["good.txt"]


@pytest.mark.heavy
@pytest.mark.parametrize(("typed", "mark"), [(";", ";"), (r"\t", "\t"), ("\t", "\t")])
def test_separator_may_be_an_escaped_tab(write: Callable[..., Path], tmp_path: Path, typed: str, mark: str) -> None:
    path = write([mark.join(("my clip", "0", "7", "4"))])
    assert run("--file_path", path, "--output_directory", "out", "--separator", typed, cwd=tmp_path).returncode == 0
    assert "gloss,4,class 4,1,1.000000" in (tmp_path / "out" / "statistics.csv").read_text()


@pytest.mark.heavy
def test_matplotlib_is_imported_late_and_pyplot_never(write: Callable[..., Path], tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hearai.reporting.label_statistics import plots, statistics\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"statistics.write_statistics(Path({str(write(glosses(0, 1)))!r}), Path({str(tmp_path / 'out')!r}))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


# reading


def test_eight_columns_are_the_heads_and_a_ninth_is_ignored(write: Callable[..., Path]) -> None:
    row = "0 3 1 3 13 5 1 10"
    plain = read_labels(write(hamnosys(row, row)))
    assert list(plain) == list(HEADS) and [labels[0] for labels in plain.values()] == [0, 3, 1, 3, 13, 5, 1, 10]
    assert read_labels(write(hamnosys(f"{row} 0.7", f"{row} far"))) == plain
    assert read_labels(write(hamnosys(f"{row} 9", row))) == plain
    header = f"name start end {' '.join(HEADS)} distance"
    assert read_labels(write([header, *hamnosys(f"{row} 0.7", f"{row} far")])) == plain


def test_header_names_the_heads_in_any_order(write: Callable[..., Path]) -> None:
    path = write(["Name Start End mouth hand_location_x distance2", "a 0 7 3 4 0", "b 0 7 0 -1 1"])
    assert read_labels(path) == {"mouth": [3, 0], "hand_location_x": [4, -1], "distance2": [0, 1]}
    with pytest.raises(DataError, match="hand_location_x has label '5'; expected 0..4 or -1"):
        read_labels(write(["name start end mouth hand_location_x", "a 0 7 3 5"]))


def test_distance_column_without_hamnosys_is_a_head(write: Callable[..., Path]) -> None:
    assert read_labels(write(["name start end gloss distance", "a 0 7 3 1"])) == {"gloss": [3], "distance": [1]}


@pytest.mark.parametrize("name", ["a/b", "..\\up", "a:b", "gloss"])
def test_column_names_must_be_valid_file_names(write: Callable[..., Path], name: str) -> None:
    problems = refusal(write([f"name start end GLOSS {name}", "a 0 7 1 1"]))
    assert len(problems) == 1 and "test_gloss.txt:1: " in problems[0]


def test_unexpected_number_of_columns_suggests_a_separator(write: Callable[..., Path]) -> None:
    assert "5 columns; expected name start end and 1 label" in refusal(write(["a 0 7 1 1", "b 0 7 1 1"]))[0]
    assert "give --separator ','" in refusal(write(["a,0-7,1,3", "b,0-7,1,3"]))[0]
    assert "give --separator ';'" in refusal(write(["a;0;7;1"]), ",")[0]


def test_more_than_twenty_problems_are_counted(write: Callable[..., Path]) -> None:
    problems = refusal(write(glosses(*[-3] * 50)))
    assert len(problems) == 21 and problems[-1] == "... and 30 more problems"


def test_quotes_and_byte_order_mark_are_supported(write: Callable[..., Path]) -> None:
    path = write(["\ufeffname,start,end,gloss", '"one, two",0,7, 3', "", "b,0,7,4"])
    assert read_labels(path, ",") == {"gloss": [3, 4]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ": empty; expected"),
        (b"\n \n", ": empty; expected"),
        (b"name start end gloss\n", ": no rows; expected"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_file_without_rows_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert words in refusal(tmp_path / "a.txt")[0]


# names


def test_all_hamnosys_classes_are_listed_with_their_meaning(write: Callable[..., Path]) -> None:
    counts = count_labels(write(hamnosys("0 3 1 3 13 5 1 10", "0 3 1 3 13 5 1 14")))[-1]
    assert len(counts.names) == 37 and counts.names[14] == "chest" and counts.counts[14] == 1
    assert counts.with_clips(0) == 35


def test_meanings_are_shortened() -> None:
    assert short_meaning("chest; ALSO the default (neutral space)") == "chest"
    assert short_meaning("fingers (hand axis) point up") == "fingers point up"
    shortened = [short_meaning(one.meaning) for head in HEADS.values() for one in head.classes]
    assert all(shortened) and max(map(len, shortened)) < 70
    for head in HEADS.values():
        names = [short_meaning(one.meaning) for one in head.classes]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("place", [".", ".."])
@pytest.mark.parametrize("header", ["name,word,gloss_id,fps", "gloss_id,name"])
def test_glosses_are_named_by_glosses_csv(write: Callable[..., Path], place: str, header: str) -> None:
    path = write(glosses(0, 2))
    rows = (
        ["0,Ask,0,25", '2,"Bye, bye",2,25', "3,Come,3,25"] if "word" in header else ["0,Ask", '2,"Bye, bye"', "3,Come"]
    )
    (path.parent / place / "glosses.csv").write_text("\n".join([header, *rows]) + "\n")
    (counts,) = count_labels(path)
    assert list(counts.names) == ["Ask", "class 1", "Bye, bye", "Come"] and list(counts.counts) == [1, 0, 1, 0]
    assert 'gloss,2,"Bye, bye",1,0.500000' in statistics_csv([counts])


def test_invalid_gloss_list_is_refused(write: Callable[..., Path]) -> None:
    path = write(glosses(0, 2))
    (path.parent / "glosses.csv").write_text("name,word,gloss_id\na,A,0\nb,B,x\nc,C,0\nd,,1\n")
    assert [problem.partition("glosses.csv:")[2][:1] for problem in refusal(path)] == ["3", "4", "5"]
    (path.parent / "glosses.csv").write_text("a,b\n1,2\n")
    assert "the header is 'a,b'; expected columns gloss_id and one of word, gloss, name" in refusal(path)[0]


# figures


def test_missing_labels_are_counted_separately(write: Callable[..., Path]) -> None:
    (counts,) = count_labels(write(glosses(0, 0, 1, -1, 3, -1)))
    assert (list(counts.counts), counts.missing, counts.labelled, counts.seen) == ([2, 1, 0, 1], 2, 4, 3)
    table = list(csv.DictReader(statistics_csv([counts]).splitlines()))
    assert [(row["class"], row["count"], float(row["share"])) for row in table] == [
        ("0", "2", 0.5),
        ("1", "1", 0.25),
        ("2", "0", 0.0),
        ("3", "1", 0.25),
        ("-1", "2", pytest.approx(2 / 6, abs=1e-6)),
    ]


@pytest.mark.parametrize("labels", [[0, 0, 1, 3], [2], [1, 1, 0, 0, 5], [4] * 9 + [0] * 3 + [2]])
def test_majority_scores_match_the_evaluation(labels: list[int]) -> None:
    counts = HeadCounts("gloss", [""] * 6, [labels.count(index) for index in range(6)], missing=0)
    answers = torch.full((len(labels),), counts.most_frequent)
    matrix = Confusion.count(answers, torch.tensor(labels), 6)
    assert counts.majority_accuracy == pytest.approx(accuracy(matrix))
    assert counts.majority_macro_f1 == pytest.approx(macro_f1(matrix))


def test_table_fits_80_columns(write: Callable[..., Path]) -> None:
    path = write(["name start end hand_location_y gloss", "a 0 7 14 2", "b 0 7 14 2", "c 0 7 9 0", "d 0 7 -1 1"])
    text = statistics_text(path, count_labels(path))
    words = [line.split() for line in text.splitlines()]
    assert ["hand_location_y", "3", "1", "2/37", "36", "1"] in words  # labels, missing, seen, < 2 clips, 1 clip
    assert ["gloss", "4", "0", "3/3", "2", "2"] in words
    assert ["hand_location_y", "0.667", "0.400", "14:", "chest"] in words
    assert ["gloss", "0.500", "0.222", "2:", "class", "2"] in words
    assert ["mean", "over", "the", "heads", "0.583", "0.311"] in words
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.heavy
def test_many_classes_are_summarised(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(glosses(*range(100), *range(60), *[5] * 7))
    text = write_statistics(path, tmp_path / "out")
    assert "clips per class seen: fewest 1, median 2, most 9" in text
    with Image.open(tmp_path / "out" / "classes_gloss.png") as image:
        assert image.width < 2500 and image.height < 2500


@pytest.mark.heavy
def test_head_without_labels_is_supported(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(["name start end gloss hand_location_x", "a 0 7 -1 -1", "b 0 7 -1 -1"])
    text = write_statistics(path, tmp_path / "out")
    assert text.count("no labels") == 2
    assert "hand_location_x,-1,missing,2,1.000000" in (tmp_path / "out" / "statistics.csv").read_text()


@pytest.mark.heavy
def test_highest_allowed_label_needs_little_memory(write: Callable[..., Path], tmp_path: Path) -> None:
    assert "1/100000" in write_statistics(write(glosses(99_999)), tmp_path / "out")


# the folder


@pytest.mark.heavy
def test_existing_folder_keeps_its_other_files(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "statistics.csv").write_text("old")
    write_statistics(write(glosses(0, 1)), folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "statistics.csv").read_text().startswith("head,class,name,count,share\n")
    assert len(list(folder.iterdir())) == 4 and len(list(tmp_path.iterdir())) == 2


@pytest.mark.heavy
def test_failure_while_drawing_leaves_the_folder_unchanged(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    write_statistics(write(glosses(0, 1)), folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(DiskFull, match="cannot be written, its disk is full"):
        write_statistics(write(glosses(0, 1, 2)), folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert {file.name for file in tmp_path.iterdir()} == {"data", "out"}


# real data


def test_real_glosses_have_names(real_data: Path) -> None:
    (counts,) = count_labels(real_data / "isl_avatar" / "frames" / "test_gloss.txt")
    assert (counts.labelled, counts.seen, counts.with_clips(1)) == (151, 151, 151)
    assert counts.names[11] == "After"
    (counts,) = count_labels(real_data / "sign_digits" / "test_gloss.txt")
    assert list(counts.counts) == [20] * 10
