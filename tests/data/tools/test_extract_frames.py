"""A folder of videos becomes frame folders: complete or absent, in parallel, resumable."""

import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from hearai.data.annotations.rows import read_annotations
from hearai.data.frames import check_images
from hearai.data.tools.extract_frames import extract_frames
from hearai.errors import DataError
from hearai.threads import file_lock
from tests.helpers.dataset_commands import EXPERIMENTS, children, content, run, start, wait_for

SCRIPT = EXPERIMENTS / "extract_frames.py"


@pytest.fixture
def videos(tmp_path: Path, make_video: Callable[..., Path]) -> Path:
    """Four videos of 5 to 8 frames; one in a subfolder, one rotated."""
    folder = tmp_path / "videos"
    make_video(folder / "a.mp4", 5)
    make_video(folder / "b.WEBM", 6)
    make_video(folder / "sub" / "a.Mov", 7, rate=10)
    make_video(folder / "turned.mp4", 8, turn=(90, False, False))
    (folder / "notes.txt").write_text("not a video")
    (folder / "._a.mp4").write_text("a metadata file of macOS")
    return folder


def properties(folder: Path) -> dict:
    return json.loads((folder / f"{folder.name}_properties.json").read_text())


@pytest.mark.heavy
def test_frame_folders_are_valid_clips(videos: Path, tmp_path: Path):
    result = extract_frames(videos, tmp_path / "data", workers=1)
    assert (result.videos, result.extracted, result.frames, result.problems) == (4, 4, 26, [])
    (tmp_path / "data" / "test_gloss.txt").write_text("a 0 4 0\nb 0 5 1\nsub/a 0 6 0\nturned 0 7 1\n")
    clips = read_annotations(tmp_path / "data", "test_gloss.txt", {"gloss": "auto"})
    check_images(clips)
    assert [clip.fps for clip in clips] == pytest.approx([25, 25, 10, 25])
    images = sum(name.endswith(".jpg") for name in content(tmp_path / "data"))
    assert images == 26 and len(content(tmp_path / "data")) == 26 + 4 + 1


@pytest.mark.heavy
def test_properties_describe_the_frames(videos: Path, tmp_path: Path, make_video: Callable):
    make_video(videos / "uneven.mp4", times=[0, 40, 200])
    extract_frames(videos, tmp_path / "data", workers=1)
    turned, stat = properties(tmp_path / "data" / "turned"), (videos / "turned.mp4").stat()
    assert (turned["frames"], turned["width"], turned["height"]) == (8, 48, 64)
    assert turned["source"] == {"video": "turned.mp4", "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    assert "FPS_note" not in turned
    uneven = properties(tmp_path / "data" / "uneven")
    assert uneven["FPS"] == pytest.approx(10) and "average" in uneven["FPS_note"]


@pytest.mark.heavy
def test_size_and_quality_are_applied(videos: Path, tmp_path: Path):
    for quality in (30, 95):
        extract_frames(videos, tmp_path / f"{quality}", size=24, quality=quality, workers=1)
    sizes = {}
    for name in ("a", "turned"):
        with Image.open(tmp_path / "95" / name / f"{name}_0.jpg") as image:
            sizes[name] = image.size
    assert sizes == {"a": (32, 24), "turned": (24, 32)}
    file_sizes = [(tmp_path / quality / "a" / "a_0.jpg").stat().st_size for quality in ("30", "95")]
    assert file_sizes[0] < file_sizes[1]


@pytest.mark.heavy
def test_parallel_output_is_the_same_and_videos_unchanged(videos: Path, tmp_path: Path):
    before = {path: path.stat().st_mtime_ns for path in [videos, *videos.rglob("*")]}
    extract_frames(videos, tmp_path / "serial", workers=1)
    extract_frames(videos, tmp_path / "parallel", workers=2)
    assert content(tmp_path / "serial") == content(tmp_path / "parallel")
    assert {path: path.stat().st_mtime_ns for path in [videos, *videos.rglob("*")]} == before


@pytest.mark.heavy
def test_second_run_extracts_only_new_or_changed_videos(videos: Path, tmp_path: Path, make_video: Callable):
    data = tmp_path / "data"
    extract_frames(videos, data, workers=1)
    kept = (data / "a" / "a_0.jpg").stat()
    assert extract_frames(videos, data, workers=1).complete == 4
    make_video(videos / "b.WEBM", 9)
    os.utime(videos / "sub" / "a.Mov", (1, 1))
    (data / "turned" / "turned_3.jpg").unlink()
    make_video(videos / "new.mp4", 3)
    result = extract_frames(videos, data, workers=1)
    assert (result.complete, result.extracted, result.frames) == (1, 4, 9 + 7 + 8 + 3)
    assert len(list((data / "b").glob("*.jpg"))) == 9
    assert (data / "a" / "a_0.jpg").stat().st_ino == kept.st_ino
    assert extract_frames(videos, data, size=20, workers=1).complete == 0
    assert extract_frames(videos, data, size=20, workers=1, overwrite=True).extracted == 5


@pytest.mark.heavy
def test_video_that_became_shorter_leaves_no_old_frames(videos: Path, tmp_path: Path, make_video: Callable):
    extract_frames(videos, tmp_path / "data", workers=1)
    make_video(videos / "a.mp4", 2)
    extract_frames(videos, tmp_path / "data", workers=1)
    assert sorted(os.listdir(tmp_path / "data" / "a")) == ["a_0.jpg", "a_1.jpg", "a_properties.json"]


@pytest.mark.heavy
def test_video_that_broke_keeps_its_earlier_frames(videos: Path, tmp_path: Path):
    extract_frames(videos, tmp_path / "data", workers=1)
    (videos / "a.mp4").write_text("incomplete copy")
    (problem,) = extract_frames(videos, tmp_path / "data", workers=1).problems
    assert "a.mp4: cannot read" in problem
    assert properties(tmp_path / "data" / "a")["frames"] == len(list((tmp_path / "data" / "a").glob("*.jpg"))) == 5


@pytest.mark.heavy
def test_other_folders_are_kept_unless_overwritten(videos: Path, tmp_path: Path):
    existing = tmp_path / "data" / "a" / "a_0.jpg"
    existing.parent.mkdir(parents=True)
    existing.write_text("text")
    with pytest.raises(DataError, match="data/a: exists and was not made from a video"):
        extract_frames(videos, tmp_path / "data", workers=1)
    assert content(tmp_path / "data") == {"a/a_0.jpg": b"text"}
    extract_frames(videos, tmp_path / "data", workers=1, overwrite=True)
    assert properties(existing.parent)["frames"] == 5


@pytest.mark.heavy
@pytest.mark.parametrize("workers", [1, 2])
def test_broken_videos_are_reported_and_the_others_done(
    videos: Path, tmp_path: Path, broken_videos: dict[str, tuple[Path, str]], workers: int
):
    (tmp_path / "broken").rename(videos / "broken")
    done = run(SCRIPT, videos, tmp_path / "data", "--workers", workers)
    assert done.returncode == 1
    count, lines = len(broken_videos), done.stderr.splitlines()
    assert f"{4 + count} videos: 4 extracted (26 frames), 0 complete before, {count} broken" in done.stdout
    assert len(lines) == count and "Traceback" not in done.stderr
    for path, reason in broken_videos.values():
        (line,) = [line for line in lines if f"/{path.name}: " in line]
        assert line.startswith("error: ") and reason in line
    assert set(os.listdir(tmp_path / "data")) == {"a", "b", "sub", "turned", ".partial.lock"}


@pytest.mark.heavy
def test_exit_codes_and_summaries_of_successful_runs(videos: Path, tmp_path: Path):
    for summary in ("4 extracted (26 frames), 0 complete before, 0 broken", "0 extracted (0 frames), 4 complete"):
        done = run(SCRIPT, videos, tmp_path / "data")
        assert (done.returncode, done.stderr) == (0, "") and f"4 videos: {summary}" in done.stdout


@pytest.mark.heavy
def test_name_with_whitespace_is_noted(videos: Path, tmp_path: Path):
    (videos / "a.mp4").rename(videos / "my clip.mp4")
    (note,) = extract_frames(videos, tmp_path / "data", workers=1).notes
    assert "my clip.mp4: the name contains whitespace" in note


@pytest.mark.heavy
def test_any_video_is_extracted_and_other_files_are_counted(videos: Path, tmp_path: Path, make_video: Callable):
    make_video(videos / "c.avi", form="avi", codec="mpeg4")
    make_video(videos / "d.mkv", form="matroska")
    make_video(videos / "e.M4V")
    make_video(videos / "recording.part")
    make_video(videos / "no_ending")
    for name, side in (("still.gif", 1), ("moving.gif", 3)):
        images = [Image.new("RGB", (16, 16), (60 * i, 0, 0)) for i in range(side)]
        images[0].save(videos / name, save_all=True, append_images=images[1:], duration=40)
    Image.new("RGB", (8, 8)).save(videos / "thumbnail.jpg")
    done = run(SCRIPT, videos, tmp_path / "data", "--workers", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert "10 videos: 10 extracted (59 frames), 0 complete before, 0 broken" in done.stdout
    assert "left out, not videos: 1 .gif, 1 .jpg, 1 .txt, 1 hidden" in done.stdout
    assert {"c", "d", "e", "recording", "no_ending", "moving"} <= set(os.listdir(tmp_path / "data"))


@pytest.mark.heavy
def test_damaged_video_is_broken_or_kept_with_a_remark(tmp_path: Path, make_video: Callable):
    path = make_video(tmp_path / "videos" / "a.mp4", 20, size=(160, 120))
    data = bytearray(path.read_bytes())
    for i in range(len(data) // 3, len(data) * 2 // 3, 40):
        data[i] ^= 0x55
    path.write_bytes(data)
    refused = run(SCRIPT, tmp_path / "videos", tmp_path / "data")
    assert refused.returncode == 1 and "a frame is damaged" in refused.stderr and "--keep-damaged" in refused.stderr
    assert not (tmp_path / "data" / "a").exists()
    for summary in ("1 extracted", "0 extracted (0 frames), 1 complete"):  # said again by the next command
        kept = run(SCRIPT, tmp_path / "videos", tmp_path / "data", "--keep-damaged")
        assert (kept.returncode, kept.stderr) == (0, "") and summary in kept.stdout
        assert "a.mp4: kept although damaged: a frame is damaged" in kept.stdout
        assert "0 broken, 1 kept although damaged" in kept.stdout
    assert properties(tmp_path / "data" / "a")["damage"].startswith("kept although damaged")
    (problem,) = extract_frames(tmp_path / "videos", tmp_path / "data", workers=1).problems
    assert "is damaged" in problem and f"{tmp_path / 'data' / 'a'} keeps the frames" in problem


def test_notes_about_a_video_are_kept_in_its_properties(tmp_path: Path, make_video: Callable):
    make_video(tmp_path / "videos" / "a.mp4", form="avi", codec="mpeg4", ratio=Fraction(2))
    for _ in range(2):  # also by a command that finds the clip complete
        notes = extract_frames(tmp_path / "videos", tmp_path / "data", workers=1).notes
        assert len(notes) == 2 and "an AVI video named .mp4" in notes[1 - ("AVI" in notes[0])]
    about = properties(tmp_path / "data" / "a")
    assert (about["width"], about["height"]) == (128, 48) and len(about["notes"]) == 2


BAD = {
    "no such folder": (lambda v, d: (v / "nowhere", d), "not a directory"),
    "empty": (lambda v, d: (mkdir(v / "empty"), d), "contains no videos (it is empty)"),
    "no videos": (lambda v, d: (fill(mkdir(v / "text") / "a.txt"), d), "contains no videos (found .txt)"),
    "same name": (lambda v, d: (fill(v / "a.MOV"), d), "a.MOV and"),
    "same name, other container": (lambda v, d: (fill(v / "a.avi"), d), "a.avi and"),
    "same folder": (lambda v, d: (v, v), "inside the folder of the videos"),
    "inside": (lambda v, d: (v, v / "data"), "inside the folder of the videos"),
    "onto the videos": (lambda v, d: (fill(v / "videos.mp4"), v.parent), "overlaps"),
    "nested": (lambda v, d: (fill(v / "sub.mp4"), d), "would be inside the folder of sub"),
    "link out": (lambda v, d: (v, link(d / "a", v.parent)), "outside"),
    "file as folder": (lambda v, d: (v, v / ".." / "file" / "x"), "cannot write (Not a directory)"),
    "size": (lambda v, d: (v, d, "--size", "9999"), "size: got 9999; expected 1..8192"),
    "quality": (lambda v, d: (v, d, "--quality", "101"), "quality: got 101; expected 1..100"),
}


def mkdir(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def fill(path: Path) -> Path:
    path.write_text("text")
    return path.parent


def link(path: Path, to: Path) -> Path:
    mkdir(path.parent)
    path.symlink_to(to)
    return path.parent


@pytest.mark.heavy
@pytest.mark.parametrize("what", BAD)
def test_invalid_input_exits_with_2_and_writes_nothing(videos: Path, tmp_path: Path, what: str):
    (tmp_path / "file").touch()
    make, words = BAD[what]
    arguments = make(videos, tmp_path / "data")
    before = content(tmp_path)
    done = run(SCRIPT, *arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert words in done.stderr and done.stderr.startswith("error: ")
    assert content(tmp_path) == before


@pytest.mark.heavy
@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk_is_one_error_and_leaves_no_partial_files(videos: Path, tmp_path: Path, workers: int):
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = run(SCRIPT, videos, tmp_path / "data", "--size", 240, "--workers", workers, preexec_fn=small_files_only)
    assert done.returncode == 2
    problem = f"{tmp_path / 'data'}: cannot write (File too large); expected a folder with free space"
    assert done.stderr == f"error: {problem}\n"
    assert not content(tmp_path / "data") and os.listdir(tmp_path / "data") == [".partial.lock"]


@pytest.mark.heavy
def test_command_and_workers_do_not_import_torch(videos: Path, tmp_path: Path):
    trap = tmp_path / "trap" / "torch" / "__init__.py"
    mkdir(trap.parent)
    trap.write_text("raise SystemExit('torch was imported')")
    path = os.pathsep.join([str(trap.parents[1]), str(SCRIPT.parents[1])])
    done = run(SCRIPT, videos, tmp_path / "data", "--workers", 2, env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stderr) == (0, "")


VIDEOS = 12
"""So many that not all have been extracted when a signal arrives; they are extracted at a lower priority."""


@pytest.fixture
def started(tmp_path: Path, make_video: Callable) -> subprocess.Popen:
    """The command running on longer videos, tmp_path/videos to tmp_path/data; the first folders are written."""
    for i in range(VIDEOS):
        make_video(tmp_path / "videos" / f"v{i}.mp4", 150, size=(320, 240))
    folders = tmp_path / "videos", tmp_path / "data"
    return start(SCRIPT, *folders, "--workers", 2, until=(tmp_path / "data", "v*"), niceness=10)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, *(pytest.param(how, marks=pytest.mark.slow) for how in (signal.SIGINT, signal.SIGTERM))]
)
def test_interrupted_command_continues(tmp_path: Path, started: subprocess.Popen, how: signal.Signals):
    data, workers = tmp_path / "data", children(started.pid)
    if how == signal.SIGINT:  # Ctrl-C goes to all processes of the terminal
        os.killpg(started.pid, how)
    else:
        started.send_signal(how)
    errors = started.communicate(timeout=60)[1]
    wait_for(workers)
    done = {path: path.stat().st_mtime_ns for path in data.glob("v*/*_properties.json")}
    assert 0 < len(done) < VIDEOS and len(done) == len(list(data.glob("v*")))
    assert all(len(list(path.parent.glob("*.jpg"))) == 150 for path in done)
    if how != signal.SIGKILL:
        assert started.returncode == 130 and errors == "interrupted; the state is saved\n"
        assert not (data / ".partial").exists()
    again = run(SCRIPT, tmp_path / "videos", data)
    assert again.returncode == 0 and f"{len(done)} complete before" in again.stdout
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    extract_frames(tmp_path / "videos", tmp_path / "serial", workers=1)
    assert content(data) == content(tmp_path / "serial")


@pytest.mark.heavy
def test_dead_worker_ends_the_command_with_a_message(tmp_path: Path, started: subprocess.Popen):
    workers = [pid for pid in children(started.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    errors = started.communicate(timeout=60)[1]
    assert started.returncode == 2 and errors.startswith("error: a worker process died") and errors.count("\n") == 1
    assert not (tmp_path / "data" / ".partial").exists()


@pytest.mark.heavy
def test_two_commands_do_not_write_the_same_folder(videos: Path, tmp_path: Path):
    (tmp_path / "data").mkdir()
    with file_lock(tmp_path / "data" / ".partial.lock"):
        done = run(SCRIPT, videos, tmp_path / "data")
    assert done.returncode == 2 and "another command is writing to it" in done.stderr


@pytest.mark.heavy
def test_real_videos_are_extracted(real_data: Path, tmp_path: Path):
    result = extract_frames(real_data / "isl_avatar" / "mp4", tmp_path / "data", size=128, workers=2)
    assert (result.extracted, result.frames, result.problems) == (12, 430, [])
    assert properties(tmp_path / "data" / "A")["FPS"] == pytest.approx(30.0003)
