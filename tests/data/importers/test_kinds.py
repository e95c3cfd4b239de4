"""Every kind of dataset is read: words, signers, official splits, and the right file and stretch of each clip."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.data.importers.choices import KINDS
from hearai.data.importers.sample import Box, Sample, Trim
from hearai.data.importers.source import Source
from hearai.data.importers.tables import MAX_BYTES
from hearai.errors import DataError
from tests.helpers import ROOT
from tests.helpers.public_datasets import SLOVO
from tests.helpers.text_files import write_text

COLUMNS = {"video": "path", "gloss": "label", "signer": "who"}
EXPECTED = {
    "folder_per_class": [
        ("train__Old_Tree__b", "Old Tree", None, "train"),
        ("train__house__a", "house", None, "train"),
        ("val__house__c", "house", None, "val"),
        ("test__house__d", "house", None, "test"),
    ],
    "csv": [("a", "house", "ann", "train"), ("b", "old tree", "bob", "val"), ("sub__c", "house", "ann", "test")],
    "wlasl": [("00001", "house", "3", "train"), ("00002", "house", "4", "val"), ("00003", "ash", "4", "test")],
    "msasl": [
        ("train_00000", "house", "0", "train"),
        ("train_00001", "ash", "0", "train"),
        ("test_00000", "ash", "0", "test"),
    ],
    "asl_citizen": [("1-HOUSE", "HOUSE", "P1", "train"), ("2-ASH", "ASH", "P2", "val"), ("3-ASH", "ASH", "P3", "test")],
    "autsl": [
        ("signer0_sample1", "house", "0", "train"),
        ("signer1_sample2", "ash", "1", "val"),
        ("signer2_sample3", "ash", "2", "test"),
    ],
    "include": [
        ("Animals__4._Bird__MVI_1", "Bird", None, "train"),
        ("Home__1._Bird__MVI_1", "Bird", None, "test"),
    ],
    "lsa64": [
        ("001_001_001", "Opaque", "1", "train"),
        ("002_009_001", "Sweet milk", "9", "val"),
        ("002_010_005", "Sweet milk", "10", "test"),
    ],
    "slovo": [("u1", "дом", "ann", "train"), ("u2", "дом", "bob", "test")],
    "popsign": [
        ("train__air__1", "air", None, "train"),
        ("val__air__2", "air", None, "val"),
        ("test__zoo__3", "zoo", None, "test"),
    ],
    "kaggle_asl_signs": [("26_1", "blow", "26", None), ("28_2", "wait", "28", None)],
    "semlex": [("train_a", "house", "ann", "train"), ("val_b", "ash", "bob", "val")],
}
EXPECTED["bukva"] = EXPECTED["slovo"]


def read(kind: str, folder: Path, **options) -> list[Sample]:
    columns = COLUMNS if kind == "csv" else {}
    return KINDS[kind](Source(folder, columns=columns, **options)).finish()


def test_script_offers_every_kind():
    source = (ROOT / "experiments" / "import_dataset.py").read_text(encoding="utf-8")
    assert EXPECTED.keys() == KINDS.keys() and all(f'"{kind}"' in source for kind in KINDS)


@pytest.mark.parametrize("kind", EXPECTED)
def test_metadata_is_read(kind: str, make_source: Callable):
    folder = make_source(kind)
    samples = read(kind, folder)
    by_split = {"train": 0, "val": 1, "test": 2, None: 0}
    found = [(sample.name, sample.word, sample.signer, sample.split) for sample in samples]
    assert sorted(found, key=lambda row: by_split[row[3]]) == EXPECTED[kind]
    assert all(sample.media.exists() and folder in sample.media.parents for sample in samples)
    assert len({sample.media for sample in samples}) == len(samples) - (kind == "msasl")


def test_own_numbers_of_words_are_kept(make_source: Callable):
    for kind, numbers in {"wlasl": [0, 0, 1], "msasl": [1, 0, 0], "autsl": [0, 1, 1], "lsa64": [0, 1, 1]}.items():
        samples = {sample.name: sample.number for sample in read(kind, make_source(kind))}
        assert [samples[name] for name, *_ in EXPECTED[kind]] == numbers


def test_starts_ends_and_boxes_are_read(make_source: Callable):
    first, second, _ = read("wlasl", make_source("wlasl"))
    assert (first.trim, second.trim) == (Trim(0, None, "frames", 25), Trim(2, 7, "frames", 25))
    assert first.box == Box(0, 0, 16, 32, is_share=False)
    by_name = {sample.name: sample for sample in read("msasl", make_source("msasl"))}
    assert by_name["train_00000"].trim == Trim(0, 0.25, "seconds") and by_name["train_00001"].trim == Trim(2, 4)
    assert by_name["train_00000"].box == Box(0.5, 0, 1, 1, is_share=True)
    assert by_name["test_00000"].media.name == "Unit 6.mp4"


def test_videos_may_be_in_another_folder(make_source: Callable, tmp_path: Path):
    folder = make_source("wlasl")
    (folder / "videos").rename(tmp_path / "elsewhere")
    assert not any(sample.media.exists() for sample in read("wlasl", folder))
    found = read("wlasl", folder / "WLASL_v0.3.json", videos=tmp_path / "elsewhere")
    assert [sample.media.name for sample in found] == ["00001.mp4", "00002.mp4", "00003.mp4"]


def test_several_rows_of_one_video_are_several_clips(make_source: Callable):
    folder = make_source("csv")
    write_text(folder / "all.csv", "path,label,who,start,end\na.mp4,x,p,1,3\na.mp4,y,p,4,-1\nb.mp4,x,p,,\n")
    samples = read("csv", folder, times="frames")
    assert [(sample.name, sample.trim) for sample in samples] == [
        ("a__1", Trim(0, 2)),
        ("a__2", Trim(3, None)),
        ("b", Trim()),
    ]


def damage(kind: str, folder: Path, file: str, text: str) -> list[str]:
    """The problems of a dataset in which one metadata file has another content; paths without the folder."""
    write_text(folder / file, text)
    with pytest.raises(DataError) as caught:
        read(kind, folder)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


WLASL = "WLASL_v0.3.json"
INVALID = {
    "no video": ("csv", "all.csv", "path,label,who\n,x,p\n", "all.csv:2: path '' has an empty part"),
    "dots": ("csv", "all.csv", "path,label,who\n.,x,p\n", "all.csv:2: name '.'; expected a plain file name"),
    "deep": ("include", "train_include50.csv", f"Category,Word,FilePath\na,b,{'a/' * 900}b\n", "is too long"),
    "far": ("slovo", "annotations.csv", SLOVO + "u1\tp\tx\t1e9\t\t1\t1\t1\t1\n", "start 1e+09, end -1; expected"),
    "no id": ("wlasl", WLASL, '[{"gloss": "a", "instances": [{"split": "val"}]}]', "instance 0: name ''; expected"),
    "wrong columns": (
        "slovo",
        "annotations.csv",
        "id,who\n1,2\n",
        "annotations.csv:1: the header lacks the column 'attachment_id'",
    ),
    "column twice": ("include", "train_include50.csv", "Category,Word,Word,FilePath\n", "has the column 'Word' twice"),
    "empty": ("csv", "all.csv", "", "all.csv:1: the header lacks the column 'path' (it is missing)"),
    "open quote": ("csv", "all.csv", 'path,label,who\n"a.mp4,b,c\n', "unexpected end of data; expected a CSV file"),
    "not json": ("wlasl", WLASL, "{", "WLASL_v0.3.json: not JSON"),
    "deep json": ("wlasl", WLASL, "[" * 100_000, "nested too deeply; expected a JSON list of objects"),
    "deep json of objects": ("wlasl", WLASL, '{"a":' * 100_000, "nested too deeply"),
    "json object": ("msasl", "MSASL_test.json", "{}", "MSASL_test.json: contains an object; expected a JSON list"),
    "nslt file": ("wlasl", WLASL, '[{"gloss": "a"}]', "gloss 0: no list of instances; expected the JSON file of WLASL"),
    "huge number": ("msasl", "MSASL_test.json", f'[{{"label": {"9" * 5000}}}]', "not JSON"),
    "class": ("msasl", "MSASL_test.json", '[{"label": -1}]', "entry 0: label -1; expected a number of 0..999"),
    "leads out": (
        "include",
        "test_include50.csv",
        "Category,Word,FilePath\na,b,../../c.mp4\n",
        "path '../../c.mp4' has a part",
    ),
    "absolute": ("csv", "all.csv", "path,label,who\n/etc/passwd,a,b\n", "all.csv:2: path '/etc/passwd' is absolute"),
    "no word": ("csv", "all.csv", "path,label,who\na.mp4,,b\n", "all.csv:2: word ''; expected a text"),
    "control": ("csv", "all.csv", "path,label,who\na.mp4,x\x1b,b\n", "all.csv:2: word 'x\\x1b'; expected a text"),
    "split": (
        "csv",
        "all.csv",
        "path,label,who,split\na.mp4,x,b,tset\n",
        "all.csv:2: split 'tset'; expected train, val or test",
    ),
    "nan": (
        "slovo",
        "annotations.csv",
        SLOVO + "u1\tp\tx\tnan\t3\t1\t1\t1\tTrue\n",
        "annotations.csv:2: start 'nan'; expected a finite",
    ),
    "end first": (
        "slovo",
        "annotations.csv",
        SLOVO + "u1\tp\tx\t9\t3\t1\t1\t1\tTrue\n",
        "annotations.csv:2: start 9, end 3; expected 0 <= start",
    ),
    "train": (
        "bukva",
        "annotations.csv",
        SLOVO + "u1\tp\tx\t0\t3\t1\t1\t1\tyes\n",
        "split 'yes'; expected train, val or test",
    ),
    "same clip": (
        "csv",
        "all.csv",
        "path,label,who\na.mp4,x,b\na.mp4,y,b\n",
        "all.csv:3: the same stretch of 'a.mp4' as in line 2",
    ),
    "class of no sign": (
        "autsl",
        "test_labels.csv",
        "signer1_sample1,7\n",
        "test_labels.csv:1: found 'signer1_sample1,7'",
    ),
    "columns of others": ("asl_citizen", "splits/val.csv", "a,b.mp4\n", "splits/val.csv:1: 2 columns"),
    "signer": ("lsa64", "lsa64_signs.md", "01|A|\n", "all/002_009_001.mp4: sign 2, signer 9; expected signs of"),
    "no split": (
        "semlex",
        "semlex_metadata.csv",
        "h\na,b,1,tset,c,d\n",
        "semlex_metadata.csv:2: found 'a,b,1,tset,c,d'",
    ),
    "images": ("folder_per_class", "train/house/1.jpg", "", "train/house: contains 1 images rather than folders"),
    "mixed levels": ("folder_per_class", "other/a.mp4", "", "has test, train, val beside other; expected either"),
    "no parquet folder": (
        "kaggle_asl_signs",
        "train.csv",
        "path,participant_id,sequence_id,sign\n../a,1,2,x\n",
        "path '../a' has a part",
    ),
}


@pytest.mark.heavy
@pytest.mark.parametrize("case", INVALID)
def test_invalid_metadata_is_refused(case: str, make_source: Callable):
    kind, file, text, expected = INVALID[case]
    found = damage(kind, make_source(kind), file, text)
    assert any(expected in problem for problem in found), found


def test_all_problems_are_reported_at_once(make_source: Callable):
    bad = [{"video_id": "1", "split": "x"}, {"video_id": "a/b", "split": "val"}, {"video_id": "1", "split": "val"}]
    bad[2] |= {"frame_start": 0, "bbox": [5, 5, 1, 1]}
    found = damage("wlasl", make_source("wlasl"), WLASL, json.dumps([{"gloss": "a", "instances": bad}]))
    assert [problem.partition(": ")[2] for problem in found] == [
        "gloss 0, instance 0: split 'x'; expected train, val or test",
        "gloss 0, instance 1: name 'a/b'; expected a plain file name of at most 200 letters",
        "gloss 0, instance 2: start 0, end -1, fps 25; expected 1 <= start < end <= 10,000,000, or an end of -1",
        "gloss 0, instance 2: box '[5, 5, 1, 1]'; expected four sides: left < right, top < bottom",
        "gloss 0, instance 2: '1' is already at "
        + found[3].split(": gloss")[0]
        + ": gloss 0, instance 0; expected each clip once",
    ]


def test_huge_metadata_is_not_read(make_source: Callable):
    for kind, file in (("wlasl", WLASL), ("slovo", "annotations.csv")):
        folder = make_source(kind)
        os.truncate(folder / file, MAX_BYTES + 1)  # takes no space on the disk
        with pytest.raises(DataError, match=f"{file}: 100 MB; expected metadata of at most 100 MB"):
            read(kind, folder)


def test_two_videos_of_one_name_are_refused(make_source: Callable):
    folder = make_source("wlasl")
    write_text(folder / "raw" / "00001.mp4", "")
    with pytest.raises(DataError, match="video '00001' may be .* and .*; expected one: give --videos FOLDER"):
        read("wlasl", folder)


REAL = {
    "wlasl": (391, 15, {"train": 276, "val": 65, "test": 50}),
    "msasl": (120, 66, {"val": 120}),
    "autsl": (600, 0, {"train": 200, "val": 200, "test": 200}),
    "include": (391, 0, {"train": 199, "test": 192}),
}


@pytest.mark.parametrize("kind", REAL)
def test_real_metadata_is_read(kind: str, real_data: Path):
    clips, words, splits = REAL[kind]
    samples = read(kind, real_data / "public_metadata" / kind)
    assert Counter(sample.split for sample in samples) == splits
    assert len(samples) == clips == len({sample.name for sample in samples})
    assert not words or len({sample.word for sample in samples}) == words
