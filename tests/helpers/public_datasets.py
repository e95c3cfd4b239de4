"""Small copies of the public datasets, with the files that their metadata names."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.helpers.text_files import write_text
from tests.helpers.videos import write_video

INSTANCE = {"bbox": [0, 0, 16, 32], "fps": 25, "frame_start": 1, "frame_end": -1}
SLOVO = "attachment_id\tuser_id\ttext\tbegin\tend\theight\twidth\tlength\ttrain\n"


def _videos(folder: Path, *names: str) -> None:
    """Videos of 6 frames; all are copies of one, since encoding takes most of the time."""
    (folder / names[0]).parent.mkdir(parents=True, exist_ok=True)
    content = write_video(folder / names[0]).read_bytes()
    for name in names[1:]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def folder_per_class(folder: Path) -> None:
    _videos(folder, "train/house/a.mp4", "train/Old Tree/b.mp4", "val/house/c.mp4", "test/house/d.mp4")


def csv(folder: Path) -> None:
    write_text(
        folder / "all.csv",
        "path;label;who;split\na.mp4;house;ann;train\nb;old tree;bob;dev\nsub/c.mp4;house;ann;test\n",
    )
    _videos(folder, "a.mp4", "b.mp4", "sub/c.mp4")


def wlasl(folder: Path) -> None:
    instances = [
        {**INSTANCE, "video_id": "00001", "signer_id": 3, "split": "train"},
        {**INSTANCE, "video_id": "00002", "signer_id": 4, "split": "val", "frame_start": 3, "frame_end": 8},
        {**INSTANCE, "video_id": "00003", "signer_id": 4, "split": "test"},
    ]
    entries = [{"gloss": "house", "instances": instances[:2]}, {"gloss": "ash", "instances": instances[2:]}]
    write_text(folder / "WLASL_v0.3.json", json.dumps(entries))
    _videos(folder, "videos/00001.mp4", "videos/00002.mp4", "videos/00003.mp4")


def msasl(folder: Path) -> None:
    entry = {"url": "https://www.youtube.com/watch?v=abcdefghi-1", "box": [0, 0.5, 1, 1], "signer_id": 0, "label": 1}
    first = {**entry, "clean_text": "house", "start_time": 0.0, "end_time": 0.25, "start": 0, "end": 3, "fps": 12}
    second = {**entry, "clean_text": "ash", "label": 0, "start": 2, "end": 4}
    write_text(folder / "MSASL_train.json", json.dumps([first, second]))
    write_text(folder / "MSASL_test.json", json.dumps([{**second, "file": "Unit 6", "url": "x"}]))
    _videos(folder, "abcdefghi-1.mp4", "more/Unit 6.mp4")


def asl_citizen(folder: Path) -> None:
    header = "Participant ID,Video file,Gloss,ASL-LEX Code\n"
    for split, row in (
        ("train", "P1,1-HOUSE.mp4,HOUSE,C_1"),
        ("val", "P2,2-ASH.mp4,ASH,"),
        ("test", "P3,3-ASH.mp4,ASH,C_2"),
    ):
        write_text(folder / "splits" / f"{split}.csv", f"{header}{row}\n")
    _videos(folder, "videos/1-HOUSE.mp4", "videos/2-ASH.mp4", "videos/3-ASH.mp4")


def autsl(folder: Path) -> None:
    write_text(folder / "SignList_ClassId_TR_EN.csv", "ClassId,TR,EN\n0,ev,house\n1,kül,ash\n")
    for split, row in (
        ("train", "signer0_sample1,0"),
        ("validation", "signer1_sample2,1"),
        ("test", "signer2_sample3,1"),
    ):
        write_text(folder / f"{split}_labels.csv", f"{row}\n")
        name = row.split(",")[0]
        _videos(folder, f"{split}/{name}_color.mp4", f"{split}/{name}_depth.mp4")


def include(folder: Path) -> None:
    header = "Category,Word,Video,FilePath\n"
    write_text(folder / "train_include50.csv", f"{header}Animals,4. Bird,MVI_1.MOV,Animals/4. Bird/MVI_1.MOV\n")
    write_text(folder / "test_include50.csv", f"{header}Home,1. Bird,MVI_1.MOV,Home/1. Bird/MVI_1.MOV\n")
    _videos(folder, "Animals/4. Bird/MVI_1.MOV", "Home/1. Bird/MVI_1.MOV")


def lsa64(folder: Path) -> None:
    write_text(folder / "lsa64_signs.md", "01|Opaque|R|\n02|Sweet milk|R|\n")
    _videos(folder, "all/001_001_001.mp4", "all/002_009_001.mp4", "all/002_010_005.mp4")


def slovo(folder: Path) -> None:
    rows = "u1\tann\tдом\t0\t3\t32\t32\t6\tTrue\nu2\tbob\tдом\t36\t42\t32\t32\t50\tFalse\n"
    write_text(folder / "annotations.csv", SLOVO + rows)
    _videos(folder, "train/u1.mp4", "test/u2.mp4")


def popsign(folder: Path) -> None:
    _videos(folder, "train/air/1.mp4", "val/air/2.mp4", "test/zoo/3.mp4")


def kaggle_asl_signs(folder: Path) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    rows = "train_landmark_files/26/1.parquet,26,1,blow\ntrain_landmark_files/28/2.parquet,28,2,wait\n"
    write_text(folder / "train.csv", "path,participant_id,sequence_id,sign\n" + rows)
    types = ["face"] * 468 + ["left_hand"] * 21 + ["pose"] * 33 + ["right_hand"] * 21
    points = np.arange(2 * 543, dtype=np.float32) / 2000
    points[468:489] = np.nan  # the left hand is not seen in frame 0
    for file in ("26/1", "28/2"):
        path = folder / "train_landmark_files" / f"{file}.parquet"
        path.parent.mkdir(parents=True)
        write_table(pyarrow.table({"type": types * 2, "x": points, "y": points, "z": points}), path)


def semlex(folder: Path) -> None:
    rows = ["a,ann,1.5,train,asllex,house", "a,ann,1.5,train,freetext,home", "b,bob,1.0,val,asllex,ash"]
    write_text(folder / "semlex_metadata.csv", "\n".join(["video_id,signer_id,duration,split,label_type,label", *rows]))
    points = np.arange(3 * 553 * 3).reshape(3, 553, 3) / 5000
    for file in ("train/a", "val/b"):
        path = folder / f"{file}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, points)


MAKERS: dict[str, Callable[[Path], None]] = {
    maker.__name__: maker
    for maker in (
        *(folder_per_class, csv, wlasl, msasl, asl_citizen, autsl, include, lsa64, slovo, popsign),
        *(kaggle_asl_signs, semlex),
    )
} | {"bukva": slovo}
