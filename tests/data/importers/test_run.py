"""Imports: frames, tables, trims and crops; missing and broken files; a second call continues."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hearai.data.importers.choices import KINDS
from hearai.data.importers.run import ImportResult, Options, import_dataset
from hearai.data.landmarks.extraction import NO_SIGNER
from hearai.data.landmarks.points import Landmarks
from hearai.data.landmarks.pose_file import write_pose_file
from hearai.data.tools.check_data import check_data
from hearai.errors import DataError
from hearai.sign.skeleton import POINTS
from tests.helpers.mediapipe_material import MODELS, needs_mediapipe, needs_models
from tests.helpers.text_files import write_text
from tests.helpers.videos import write_video

COLUMNS = {"video": "path", "gloss": "label", "signer": "who"}


def run(kind: str, source: Path, data: Path, **options) -> ImportResult:
    columns = COLUMNS if kind == "csv" else {}
    return import_dataset(kind, source, data, Options(columns=columns, workers=1, **options))


def table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def greys(data: Path, name: str) -> list[int]:
    """The number of the source frame that each frame of a clip shows: grey 20 is 0, grey 40 is 1."""
    paths = [data / name / f"{name}_{i}.jpg" for i in range(len(list((data / name).glob("*.jpg"))))]
    return [round(np.asarray(Image.open(path)).mean() / 20) - 1 for path in paths]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_becomes_a_dataset_without_problems(kind: str, make_source: Callable, tmp_path: Path):
    result = run(kind, make_source(kind), tmp_path / "data")
    assert result.problems == [] and result.missing == [] and result.imported == result.clips > 1
    checked = check_data([tmp_path / "data"], workers=1)
    assert checked.problem_count == 0, checked.reports[0].problems.first
    (report,) = checked.reports
    assert len(report.clips) == result.clips and report.class_names["gloss"]
    assert report.landmarks == (result.clips if kind in ("kaggle_asl_signs", "semlex") else 0)
    assert run(kind, tmp_path / kind, tmp_path / "data").complete == result.clips


def test_tables_have_words_signers_and_splits(make_source: Callable, tmp_path: Path):
    data = tmp_path / "data"
    result = run("csv", make_source("csv"), data)
    assert (data / "test_gloss.txt").read_text() == "name start end gloss\na 0 5 0\nb 0 5 1\nsub__c 0 5 0\n"
    assert table(data / "glosses.csv") == [["gloss_id", "word"], ["0", "house"], ["1", "old tree"]]
    assert table(data / "signers.csv")[1:] == [["a", "ann"], ["b", "bob"], ["sub__c", "ann"]]
    assert table(data / "splits.csv")[1:] == [["a", "train"], ["b", "val"], ["sub__c", "test"]]
    assert json.loads((data / "a" / "a_properties.json").read_bytes())["FPS"] == 12
    assert (result.splits, result.signers) == ({"train": 1, "val": 1, "test": 1}, 2)


def test_clips_of_one_video_are_trimmed(make_source: Callable, tmp_path: Path):
    source, data = make_source("csv"), tmp_path / "data"
    rows = "a.mp4,x,1,3\na.mp4,y,3,-1\na.mp4,y,6,99\nb.mp4,x,36,41\n"
    write_text(source / "all.csv", "path,label,start,end\n" + rows)
    result = import_dataset(
        "csv", source, data, Options(columns={"video": "path", "gloss": "label"}, times="frames", workers=1)
    )
    assert result.problems == []
    assert [greys(data, f"a__{number}") for number in (1, 2, 3)] == [[0, 1, 2], [2, 3, 4, 5], [5]]
    assert greys(data, "b") == [0, 1, 2, 3, 4, 5], "it was cut before"


@pytest.mark.parametrize(
    ("times", "fps", "rows", "expected"),
    [
        ("seconds", "", "0.25,0.5", [3, 4, 5]),
        ("seconds", "", "0.25,-1", [3, 4, 5]),
        ("frames", "24", "3,6", [1, 2]),  # the video has 12 frames per second
        ("frames", "6", "2,2", [2]),
    ],
)
def test_starts_are_seconds_or_frames_at_a_rate(
    times: str, fps: str, rows: str, expected: list[int], make_source: Callable, tmp_path: Path
):
    source = make_source("csv")
    write_text(source / "all.csv", f"video,gloss,start,end,fps\na.mp4,x,{rows},{fps}\n")
    import_dataset("csv", source, tmp_path / "data", Options(times=times, workers=1))
    assert greys(tmp_path / "data", "a") == expected


def test_whole_videos_and_crops_are_made_on_request(make_source: Callable, tmp_path: Path):
    source = make_source("wlasl")
    run("wlasl", source, tmp_path / "cut", size=None, crop=True)
    run("wlasl", source, tmp_path / "whole", size=16, trim=False)
    assert greys(tmp_path / "cut", "00002") == [1, 2, 3], "frames 3..8 at 25 of a video at 12"
    assert len(greys(tmp_path / "whole", "00002")) == 6
    assert Image.open(tmp_path / "cut" / "00001" / "00001_0.jpg").size == (16, 32)
    assert Image.open(tmp_path / "whole" / "00001" / "00001_0.jpg").size == (16, 16)


def test_missing_files_are_listed_and_imported_later(make_source: Callable, tmp_path: Path):
    source, data = make_source("wlasl"), tmp_path / "data"
    (source / "videos" / "00002.mp4").rename(tmp_path / "later.mp4")
    result = run("wlasl", source, data)
    assert (result.imported, [sample.name for sample in result.missing], result.problems) == (2, ["00002"], [])
    assert table(data / "missing.csv")[1][:2] == ["00002", "house"]
    (tmp_path / "later.mp4").rename(source / "videos" / "00002.mp4")
    result = run("wlasl", source, data)
    assert (result.imported, result.complete, result.missing) == (1, 2, [])
    assert not (data / "missing.csv").exists() and len(table(data / "splits.csv")) == 4


def test_broken_files_are_named_and_left_out(make_source: Callable, tmp_path: Path):
    source, data = make_source("wlasl"), tmp_path / "data"
    os.truncate(source / "videos" / "00001.mp4", 900)
    entries = json.loads((source / "WLASL_v0.3.json").read_bytes())
    entries[0]["instances"][1] |= {"frame_start": 60, "frame_end": -1}
    write_text(source / "WLASL_v0.3.json", json.dumps(entries))
    result = run("wlasl", source, data)
    assert result.imported == 1 and len(result.problems) == 2
    assert "00001.mp4: cannot read" in result.problems[0]
    assert "clip 00002 starts at frame 28, and the video has 6; expected a start inside it" in result.problems[1]
    assert (data / "test_gloss.txt").read_text().splitlines()[1:] == ["00003 0 5 1"]


@pytest.mark.parametrize(
    ("kind", "file"), [("semlex", "train/a.npy"), ("kaggle_asl_signs", "train_landmark_files/26/1.parquet")]
)
@pytest.mark.parametrize("content", ["cut", "text", "shape", "unseen"])
def test_broken_landmark_files_are_named(kind: str, file: str, content: str, make_source: Callable, tmp_path: Path):
    source = make_source(kind)
    if content == "cut":
        os.truncate(source / file, (source / file).stat().st_size // 2)
    elif content == "text" or kind != "semlex":
        (source / file).write_text("no landmarks")
    else:
        np.save(source / file, np.zeros((3, 500 if content == "shape" else 553, 3)))
    result = run(kind, source, tmp_path / "data")
    assert result.imported == 1 and len(result.problems) == 1 and file in result.problems[0]


def test_landmarks_are_in_the_right_arrays(make_source: Callable, tmp_path: Path):
    run("kaggle_asl_signs", make_source("kaggle_asl_signs"), tmp_path / "data")
    with np.load(tmp_path / "data" / "26_1" / "26_1.npz") as arrays:
        assert {name: arrays[name].shape for name in arrays} == {
            "left_hand": (2, 21, 3),
            "pose": (2, 33, 3),
            "right_hand": (2, 21, 3),
        }
        assert np.isnan(arrays["left_hand"][0]).all()
        assert arrays["left_hand"][1, 0] == pytest.approx([(543 + 468) / 2000] * 3)
        assert arrays["right_hand"][0, 20] == pytest.approx([542 / 2000] * 3)
    run("semlex", make_source("semlex"), tmp_path / "other")
    with np.load(tmp_path / "other" / "train_a" / "train_a.npz") as arrays:
        assert arrays["right_hand"][0, 0] == pytest.approx([532 * 3 / 5000, (532 * 3 + 1) / 5000, (532 * 3 + 2) / 5000])


@pytest.mark.heavy
def test_limit_takes_the_first_classes(make_source: Callable, tmp_path: Path):
    result = run("lsa64", make_source("lsa64"), tmp_path / "data", limit=2)
    assert result.imported == 2 and [row[0] for row in table(tmp_path / "data" / "splits.csv")[1:]] == [
        "001_001_001",
        "002_009_001",
    ]
    assert run("lsa64", tmp_path / "lsa64", tmp_path / "data", classes=1).words == 1


def test_folders_of_images_are_clips(make_source: Callable, tmp_path: Path):
    for number in (9, 10):
        path = tmp_path / "images" / "house" / "clip one" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (20 * number,) * 3).save(path)
    run("folder_per_class", tmp_path / "images", tmp_path / "data")
    assert greys(tmp_path / "data", "house__clip_one") == [8, 9]


def test_unsuitable_folders_are_refused(make_source: Callable, tmp_path: Path):
    source = make_source("wlasl")
    write_text(tmp_path / "mine" / "test_gloss.txt", "a 0 1 2\n")
    cases = {
        tmp_path / "mine": "not empty, and not made by an import",
        source / "videos" / "out": "overlaps the source",
    }
    for data, expected in cases.items():
        with pytest.raises(DataError, match=expected):
            run("wlasl", source, data)
    with pytest.raises(DataError, match="none of the files of 3 clips is there .* give the folder .* --videos FOLDER"):
        run("wlasl", source, tmp_path / "data", videos=tmp_path / "mine")
    run("wlasl", source, tmp_path / "data")
    with pytest.raises(DataError, match="was imported with kind wlasl, not csv"):
        import_dataset("csv", make_source("csv"), tmp_path / "data", Options(columns=COLUMNS))


def test_numbers_that_mean_two_words_are_refused(make_source: Callable, tmp_path: Path):
    source = make_source("msasl")
    entry = {"url": "v=abcdefghi-1", "label": 0, "clean_text": "oak", "signer_id": 1}
    write_text(source / "MSASL_val.json", json.dumps([entry]))
    with pytest.raises(DataError, match="class 0 is 'ash' and, for val_00000, 'oak'; expected one word"):
        run("msasl", source, tmp_path / "data")


@pytest.mark.heavy
def test_command_reports_and_sets_the_exit_code(call: Callable, make_source: Callable, tmp_path: Path):
    source = make_source("csv")
    columns = ("--columns", "video=path,gloss=label,signer=who")
    code, out, _ = call("import_dataset", "csv", source, tmp_path / "data", *columns, "--workers", 1)
    assert code == 0 and "3 clips of 2 words: 3 imported (18 frames), 0 complete before, 0 missing, 0 broken" in out
    assert "official split: 1 train, 1 val, 1 test; signers: 2" in out
    code, _, err = call("import_dataset", "csv", source, tmp_path / "data")
    assert code == 2 and "lacks the column 'video'" in err
    code, _, err = call("import_dataset", "csv", source, tmp_path / "data", "--columns", "film=path")
    assert code == 2 and "film" in err
    assert call("import_dataset", "phoenix", source, tmp_path / "data")[0] == 2


def write_pose(path: Path, frames: int = 6) -> None:
    """Row k has k / 10 in all coordinates but those of row 0."""
    points = np.broadcast_to(np.arange(frames)[:, None, None] / 10, (frames, POINTS, 3)).astype(np.float32)
    write_pose_file(path, Landmarks(np.where(points, points, np.float32(0.05)), "test", 25), (100, 100))


@pytest.mark.heavy
def test_landmarks_beside_the_videos_are_trimmed(make_source: Callable, tmp_path: Path):
    source, data = make_source("wlasl"), tmp_path / "data"
    for number in (1, 2, 3):
        write_pose(source / "videos" / f"0000{number}.pose", frames=12)
    result = run("wlasl", source, data, landmarks=True)
    assert result.imported == 3 and result.has_landmarks_only and result.problems == []
    with np.load(data / "00002" / "00002.npz") as arrays:  # frames 3 to 8 of 25 per second, counted from 1
        assert arrays["pose"][:, 0, 0] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert not list(data.rglob("*.jpg")) and check_data([data], workers=1).problem_count == 0
    assert run("wlasl", source, data, landmarks=True).complete == 3
    assert run("wlasl", source, data).imported == 3 and not list(data.rglob("*.npz"))


def test_popsign_may_have_landmarks_only(tmp_path: Path):
    (source := tmp_path / "popsign" / "train" / "air").mkdir(parents=True)
    write_pose(source / "1.pose")
    assert run("popsign", tmp_path / "popsign", tmp_path / "data").has_landmarks_only
    with pytest.raises(DataError, match="1.pose: landmarks, and --frames asks for frames; leave out --frames"):
        run("popsign", tmp_path / "popsign", tmp_path / "frames", frames=True)
    write_video(source / "2.mp4")
    with pytest.raises(DataError, match="1.pose: landmarks, while .*2.mp4 has images; give --landmarks"):
        run("popsign", tmp_path / "popsign", tmp_path / "both")


def test_videos_that_are_gone_may_have_landmarks(make_source: Callable, tmp_path: Path):
    source = make_source("asl_citizen")
    for video in (source / "videos").iterdir():
        write_pose(video.with_suffix(".pose"))
        video.unlink()
    with pytest.raises(DataError, match="none of the files of 3 clips is there .*its .pose files are read with --land"):
        run("asl_citizen", source, tmp_path / "data")
    assert run("asl_citizen", source, tmp_path / "data", landmarks=True).imported == 3


@needs_mediapipe
@needs_models
@pytest.mark.heavy
def test_mediapipe_finds_the_landmarks_of_each_clip(tmp_path: Path, waving: Path):
    (source := tmp_path / "source").mkdir()
    shutil.copyfile(waving, source / "a.mp4")
    write_video(source / "b.mp4")
    write_text(source / "all.csv", "video,gloss,start,end\na.mp4,x,1,3\na.mp4,y,2,4\nb.mp4,x,1,1\n")
    options = Options(times="frames", workers=1, landmarks=True, models=MODELS, size=64)
    result = import_dataset("csv", source, tmp_path / "data", options)
    assert (result.imported, result.frames) == (2, 6) and result.has_landmarks_only
    assert result.problems == [f"{source}/b.mp4: clip b: {NO_SIGNER}"]
    with np.load(tmp_path / "data" / "a__2" / "a__2.npz") as arrays:
        assert len(arrays["pose"]) == 3 and not np.isnan(arrays["pose"]).any()
    again = import_dataset("csv", source, tmp_path / "data", options)
    assert (again.complete, again.imported) == (2, 0)
    both = import_dataset("csv", source, tmp_path / "data", replace(options, frames=True, limit=1))
    assert both.imported == 1 and len(list((tmp_path / "data" / "a__1").iterdir())) == 5, "3 frames, npz, properties"


@pytest.mark.heavy
def test_two_workers_import_the_same_as_one(make_source: Callable, tmp_path: Path):
    source = make_source("csv")
    for workers, data in ((1, tmp_path / "one"), (2, tmp_path / "two")):
        import_dataset("csv", source, data, Options(columns=COLUMNS, workers=workers))
    one, two = (
        {file.relative_to(data): file.read_bytes() for file in data.rglob("*") if file.is_file()}
        for data in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two and len(one) > 20
