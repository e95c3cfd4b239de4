"""Frames without motion are dropped; the result is a dataset folder, and the source is unchanged."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hearai.config.config import Config
from hearai.data.annotations.load import load_data
from hearai.data.annotations.rows import read_annotations
from hearai.data.frames import check_images
from hearai.data.tools.extract_keyframes import extract_keyframes
from hearai.data.tools.motion import read_brightness, select_keyframes
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS
from tests.helpers.dataset_commands import EXPERIMENTS, children, content, run, start, wait_for

SCRIPT = EXPERIMENTS / "extract_keyframes.py"
HAMNOSYS = {head: about.num_class for head, about in HEADS.items()}


def clip(*levels: float) -> np.ndarray:
    """Frames (N, 2, 2) of uniform grey."""
    return np.array(levels, np.float32)[:, None, None] * np.ones((2, 2), np.float32)


@pytest.mark.parametrize(
    ("levels", "kept"),
    [
        ((0.1, 0.2, 0.3, 0.4), [0, 1, 2, 3]),  # constant motion
        ((0.1, 0.1, 0.1, 0.2, 0.3), [3, 4]),  # a still beginning
        ((0.1, 0.2, 0.2, 0.2, 0.3), [0, 1, 4]),  # a hold
        ((0.1, 0.2, 0.3, 0.3, 0.3), [0, 1, 2]),  # a still end
        ((0.10, 0.104, 0.108, 0.112, 0.116, 0.120, 0.124), [3, 6]),  # slow motion adds up
        ((0.1, 0.1, 0.1, 0.1), [0, 3]),  # nothing moves
        ((0.1, 0.1, 0.1, 0.2), [0, 3]),  # one frame would remain
        ((0.1,), [0]),  # fewer than the minimum
    ],
)
def test_keeps_frames_that_differ_from_the_last_kept_one(levels: Sequence[float], kept: list[int]):
    assert select_keyframes(clip(*levels), threshold=0.01, minimum=2) == kept


def test_keeps_a_minimum_of_evenly_spaced_frames():
    assert select_keyframes(clip(*[0.5] * 9), threshold=0.01, minimum=3) == [0, 4, 8]
    assert select_keyframes(clip(*[0.5] * 3), threshold=0.01, minimum=9) == [0, 1, 2]
    assert select_keyframes(clip(*[0.5] * 9), threshold=0.01, minimum=1) == [0]


def test_motion_is_a_share_of_full_scale(tmp_path: Path):
    black, half = np.zeros((96, 128), np.uint8), np.zeros((96, 128), np.uint8)
    half[:, :64] = 255
    for i, pixels in enumerate([black, half]):
        Image.fromarray(pixels).save(tmp_path / f"{i}.jpg", quality=95)
    first, second = read_brightness([tmp_path / "0.jpg", tmp_path / "1.jpg"])
    assert np.abs(second - first).mean() == pytest.approx(0.5, abs=0.01)


def write_frames(folder: Path, name: str, positions: Sequence[int], *, fps: float | None = 25, landmarks: bool = True):
    """A clip whose frames show a white square at the given positions."""
    (folder / name).mkdir(parents=True)
    stem = Path(name).name
    for i, position in enumerate(positions):
        image_HWC = np.full((48, 64, 3), 40, np.uint8)
        image_HWC[10:30, 3 * position : 3 * position + 16] = 220
        Image.fromarray(image_HWC).save(folder / name / f"{stem}_{i}.jpg")
    if fps:
        (folder / name / f"{stem}_properties.json").write_text(json.dumps({"FPS": fps, "camera": "left"}))
    if landmarks:
        rows = np.arange(len(positions) * 6.0).reshape(len(positions), 2, 3)
        np.savez(folder / name / f"{stem}.npz", pose=rows, face=-rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Clips of 8 frames: `hold` pauses in between, `late` begins still, `still` never moves, `moves` always does."""
    folder = tmp_path / "data"
    write_frames(folder, "hold", [0, 1, 2, 2, 2, 2, 3, 4])
    write_frames(folder, "sub/late", [0, 0, 0, 1, 2, 3, 4, 5])
    write_frames(folder, "still", [3] * 8, landmarks=False)
    write_frames(folder, "moves", range(8), fps=None, landmarks=False)
    labels = " ".join("0" for _ in HEADS)
    (folder / "test_hamnosys.txt").write_text(
        f"hold 0 7 {labels}\nsub/late 2 5 {labels}\nstill 0 7 {labels}\nmoves 1 6 {labels}\n"
    )
    (folder / "test_gloss.txt").write_text(
        "name start end gloss\nmoves 0 7 3\nhold 0 7 0\n\nsub/late 0 7 1\nstill 0 7 -1\n"
    )
    (folder / "signers.csv").write_text("name,signer\nhold,x\nsub/late,y\nstill,x\nmoves,y\n")
    (folder / "glosses.csv").write_text("gloss_id,name\n0,YES\n")
    (folder / "classes.csv").write_text("head,class,name\nmouth,0,open\n")
    return folder


def properties(folder: Path) -> dict:
    return json.loads((folder / f"{folder.name}_properties.json").read_text())


def test_writes_a_dataset_of_the_moving_frames(data: Path, tmp_path: Path):
    out = tmp_path / "out"
    result = extract_keyframes(data, out, threshold=0.01, workers=1)
    assert (result.clips, result.before, result.after, result.problems) == (4, 32, 5 + 6 + 2 + 8, [])
    gloss = read_annotations(out, "test_gloss.txt", {"gloss": "auto"})
    check_images(gloss)
    found = [(clip.name, clip.start, clip.end, clip.labels["gloss"], clip.signer) for clip in gloss]
    assert found == [
        ("moves", 0, 7, 3, "y"),
        ("hold", 0, 4, 0, "x"),
        ("sub/late", 0, 5, 1, "y"),
        ("still", 0, 1, -1, "x"),
    ]
    assert (out / "test_gloss.txt").read_text().splitlines()[0] == "name start end gloss"
    assert (out / "glosses.csv").read_text() == "gloss_id,name\n0,YES\n"
    assert (out / "classes.csv").read_text() == "head,class,name\nmouth,0,open\n"
    assert sorted(os.listdir(out / "still")) == ["still_0.jpg", "still_1.jpg", "still_properties.json"]


def test_each_annotation_file_keeps_its_own_range(data: Path, tmp_path: Path):
    extract_keyframes(data, tmp_path / "out", threshold=0.01, workers=1)
    rows = {clip.name: clip for clip in read_annotations(tmp_path / "out", "test_hamnosys.txt", HAMNOSYS)}
    assert properties(tmp_path / "out" / "sub" / "late")["keyframes"]["frames"] == [2, 3, 4, 5, 6, 7]
    assert (rows["sub/late"].start, rows["sub/late"].end) == (0, 3)  # 2 to 5 before
    assert (rows["moves"].start, rows["moves"].end) == (1, 6)


def test_images_are_copied_and_landmarks_cut_to_match(data: Path, tmp_path: Path):
    extract_keyframes(data, tmp_path / "out", threshold=0.01, workers=1)
    new = tmp_path / "out" / "hold"
    frames = properties(new)["keyframes"]["frames"]
    assert frames == [0, 1, 2, 6, 7]
    for i, number in enumerate(frames):
        assert (new / f"hold_{i}.jpg").read_bytes() == (data / "hold" / f"hold_{number}.jpg").read_bytes()
    with np.load(data / "hold" / "hold.npz") as before, np.load(new / "hold.npz") as after:
        assert set(after.files) == {"pose", "face"}
        assert all(np.array_equal(after[name], before[name][frames]) for name in after.files)


def test_fps_is_kept_only_for_evenly_spaced_frames(data: Path, tmp_path: Path):
    extract_keyframes(data, tmp_path / "out", threshold=0.01, workers=1)
    hold, late, moves = (properties(tmp_path / "out" / name) for name in ("hold", "sub/late", "moves"))
    assert "FPS" not in hold and "not evenly spaced" in hold["no_FPS"]
    assert hold["before"] == {"FPS": 25, "camera": "left"}
    assert late["FPS"] == 25 and "no_FPS" not in late
    assert "FPS" not in moves and "gives none" in moves["no_FPS"]


def test_sampling_by_time_is_refused_with_the_reason(data: Path, tmp_path: Path, make_config: Callable[..., Config]):
    extract_keyframes(data, tmp_path / "out", threshold=0.01, workers=1)
    with pytest.raises(DataError) as caught:
        load_data(make_config(tmp_path / "out", {"train_parameters.time": 0.1}))
    assert any("hold_properties.json: gives no FPS (frames without motion" in line for line in caught.value.problems)
    config = make_config(tmp_path / "out", {"general_parameters.split": "random", "general_parameters.ratio_test": 0})
    assert len(load_data(config).clips) == 4


def test_other_frame_names_and_symlinks_are_read(data: Path, tmp_path: Path):
    plain, linked = tmp_path / "plain", tmp_path / "linked"
    extract_keyframes(data, plain, workers=1)
    for folder in {path.parent for path in data.rglob("*.jpg")}:
        for path in [*folder.glob("*.jpg")]:
            path.rename(path.with_name(f"{int(path.stem.rpartition('_')[2]):04d}.jpg"))
        folder.rename(tmp_path / f"real-{folder.name}")
        folder.symlink_to(tmp_path / f"real-{folder.name}")
    extract_keyframes(data, linked, frame_pattern="{number}.jpg", follow_symlinks=True, workers=1)
    names = sorted(path.relative_to(plain) for path in plain.rglob("*.jpg"))
    assert names == sorted(path.relative_to(linked) for path in linked.rglob("*.jpg")) and names
    assert all((plain / name).read_bytes() == (linked / name).read_bytes() for name in names)
    assert not any(path.is_symlink() for path in linked.rglob("*"))


def test_given_annotation_file_is_the_only_one(data: Path, tmp_path: Path):
    (data / "tables").mkdir()
    (data / "tables" / "mine.txt").write_text("hold 0 7 4 1\n")
    (data / "tables" / "signers.csv").write_text("hold,z\n")
    assert (
        extract_keyframes(data, tmp_path / "out", annotation_file="tables/mine.txt", threshold=0.01, workers=1).clips
        == 1
    )
    assert (tmp_path / "out" / "tables" / "mine.txt").read_text() == "hold 0 4 4 1\n"
    assert (tmp_path / "out" / "tables" / "signers.csv").read_text() == "hold,z\n"
    assert not list((tmp_path / "out").glob("*.txt")) and not (tmp_path / "out" / "moves").exists()


@pytest.mark.heavy
def test_parallel_output_is_the_same_and_source_unchanged(data: Path, tmp_path: Path):
    before = {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]}
    extract_keyframes(data, tmp_path / "serial", workers=1)
    extract_keyframes(data, tmp_path / "parallel", workers=2)
    assert content(tmp_path / "serial") == content(tmp_path / "parallel")
    assert {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]} == before


def test_second_run_writes_only_changed_clips(data: Path, tmp_path: Path):
    out = tmp_path / "out"
    extract_keyframes(data, out, threshold=0.01, workers=1)
    inode = (out / "still" / "still_0.jpg").stat().st_ino
    shutil.copy(data / "moves" / "moves_3.jpg", data / "hold" / "hold_4.jpg")
    (out / "moves" / "moves_7.jpg").unlink()
    result = extract_keyframes(data, out, threshold=0.01, workers=1)
    assert (result.complete, result.before, result.after) == (2, 32, 7 + 6 + 2 + 8)
    assert (out / "still" / "still_0.jpg").stat().st_ino == inode
    assert "hold 0 6 0" in (out / "test_gloss.txt").read_text()


@pytest.mark.heavy
def test_command_prints_a_summary(data: Path, tmp_path: Path):
    done = run(SCRIPT, data, tmp_path / "out", "--threshold", 0.01)
    summary = "4 clips: 32 frames before, 21 after (66%); 0 complete before, 0 broken\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, summary, "")
    assert "(66%); 4 complete before" in run(SCRIPT, data, tmp_path / "out", "--threshold", 0.01).stdout


def break_clips(data: Path) -> None:
    image = data / "hold" / "hold_3.jpg"
    os.truncate(image, image.stat().st_size // 2)
    np.savez(data / "sub" / "late" / "late.npz", pose=np.array([{"a": 1}] * 8, dtype=object))
    np.savez(data / "still" / "still.npz", pose=np.zeros((7, 3)))


@pytest.mark.heavy
@pytest.mark.parametrize("workers", [1, 2])
def test_broken_clips_are_reported_and_lose_their_rows(data: Path, tmp_path: Path, workers: int):
    extract_keyframes(data, tmp_path / "out", threshold=0.01, workers=1)
    break_clips(data)
    done = run(SCRIPT, data, tmp_path / "out", "--threshold", 0.01, "--workers", workers)
    assert (
        done.returncode == 1 and "4 clips: 8 frames before, 8 after (100%); 1 complete before, 3 broken" in done.stdout
    )
    hold, still, late = done.stderr.splitlines()
    assert "hold_3.jpg: cannot decode" in hold
    assert "still.npz: found pose of shape (7, 3); expected one row per frame, 8 rows" in still
    assert "late.npz: cannot read (Object arrays cannot be loaded" in late
    assert (tmp_path / "out" / "test_gloss.txt").read_text() == "name start end gloss\nmoves 0 7 3\n"
    assert not (tmp_path / "out" / "hold").exists() and not (tmp_path / "out" / "sub" / "late").exists()


def test_annotation_file_without_clips_is_removed(data: Path, tmp_path: Path):
    (data / "tables").mkdir()
    (data / "tables" / "one.txt").write_text("hold 0 7 1\n")
    options = {"annotation_file": "tables/one.txt", "workers": 1}
    extract_keyframes(data, tmp_path / "out", **options)
    (data / "hold" / "hold_3.jpg").write_text("not an image")
    assert len(extract_keyframes(data, tmp_path / "out", **options).problems) == 1
    assert not (tmp_path / "out" / "tables" / "one.txt").exists() and not (tmp_path / "out" / "hold").exists()


def nonempty(folder: Path) -> Path:
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    return folder


BAD = {
    "no such folder": (lambda d: (d / "nowhere", d.parent / "out"), "not a directory"),
    "no rows": (lambda d: (d / "sub", d.parent / "out"), "does not contain test_hamnosys.txt"),
    "wrong rows": (lambda d: (d, d.parent / "out", "--annotation-file", "signers.csv"), "columns"),
    "file outside": (lambda d: (d, d.parent / "out", "--annotation-file", "../a.txt"), "is outside"),
    "same folder": (lambda d: (d, d), "inside the dataset"),
    "inside": (lambda d: (d, d / "out"), "inside the dataset"),
    "around": (lambda d: (d, d.parent), "not empty; expected"),
    "not empty": (lambda d: (d, nonempty(d.parent / "out")), "not empty; expected"),
    "a file": (lambda d: (d, d.parent / "file"), "not a directory; expected a new or empty"),
    "unwritable": (lambda d: (d, d.parent / "file" / "x"), "cannot write (Not a directory)"),
    "threshold": (
        lambda d: (d, d.parent / "out", "--threshold", "nan"),
        "threshold: got nan; expected a share of full scale",
    ),
}


@pytest.mark.heavy
@pytest.mark.parametrize("what", BAD)
def test_invalid_input_exits_with_2_and_writes_nothing(data: Path, tmp_path: Path, what: str):
    (tmp_path / "file").touch()
    make, words = BAD[what]
    arguments = make(data)
    before = content(tmp_path)
    done = run(SCRIPT, *arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert words in done.stderr and done.stderr.startswith("error: ")
    assert content(tmp_path) == before


def test_folder_made_with_other_options_is_refused(data: Path, tmp_path: Path):
    extract_keyframes(data, tmp_path / "out", workers=1)
    with pytest.raises(DataError, match="out: was made with threshold 0.002, not 0.01"):
        extract_keyframes(data, tmp_path / "out", threshold=0.01, workers=1)


@pytest.mark.heavy
def test_killed_command_continues_and_writes_annotations_last(tmp_path: Path):
    data, out = tmp_path / "data", tmp_path / "out"
    for i in range(40):
        write_frames(data, f"c{i}", [*range(15)] * 2)
    (data / "test_gloss.txt").write_text("".join(f"c{i} 0 29 {i % 3}\n" for i in range(40)))
    process = start(SCRIPT, data, out, "--workers", 2, until=(out, "c*"))
    workers = children(process.pid)
    process.kill()
    process.communicate(timeout=60)
    wait_for(workers)
    done = {path: path.stat().st_mtime_ns for path in out.glob("c*/*_properties.json")}
    assert 0 < len(done) == len(list(out.glob("c*"))) < 40 and not (out / "test_gloss.txt").exists()
    again = run(SCRIPT, data, out)
    assert again.returncode == 0 and f"{len(done)} complete before" in again.stdout
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    extract_keyframes(data, tmp_path / "serial", workers=1)
    assert content(out) == content(tmp_path / "serial")


@pytest.mark.heavy
def test_real_clips_lose_only_their_still_frames(real_data: Path, tmp_path: Path):
    result = extract_keyframes(real_data / "isl_avatar" / "frames", tmp_path / "out", workers=2)
    assert (result.clips, result.before, result.problems) == (151, 2416, [])
    assert 0.5 < result.after / result.before < 0.8
    clips = read_annotations(tmp_path / "out", "test_gloss.txt", {"gloss": "auto"})
    assert min(clip.end - clip.start + 1 for clip in clips) >= 2
