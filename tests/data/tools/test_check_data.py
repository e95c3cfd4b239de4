"""The check of dataset folders: problems, warnings, and a report of 80 columns."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hearai.data.annotations.problems import EXAMPLES, Problems
from hearai.data.tools.check_data import CheckResult, check_data
from hearai.data.tools.check_report import format_report
from hearai.errors import DataError
from tests.helpers import ROOT

SCRIPT = ROOT / "experiments" / "check_data.py"


@pytest.fixture
def distinct(make_dataset: Callable) -> Path:
    """A dataset in which all clips look different."""
    return make_dataset(clips=6, classes=6, signers=3, fps=25, landmarks=True)


def problems_of(findings: CheckResult) -> dict[str, int]:
    of_all = [findings.problems, *(report.problems for report in findings.reports)]
    return {kind: group.count for problems in of_all for kind, group in problems.groups.items()}


def warnings_of(findings: CheckResult) -> dict[str, int]:
    of_all = [findings.warnings, *(report.warnings for report in findings.reports)]
    return {kind: group.count for problems in of_all for kind, group in problems.groups.items()}


def report_of(findings: CheckResult) -> str:
    """The report without line breaks."""
    return " ".join(format_report(findings).split())


def test_intact_folder_has_no_problems(distinct: Path):
    findings = check_data([distinct])
    (report,) = findings.reports
    assert problems_of(findings) == {} and warnings_of(findings) == {}
    assert (len(report.clips), report.images, report.landmarks) == (6, 33, 6)
    assert {name: rows.count for name, rows in report.files.items()} == {"test_gloss.txt": 6, "test_hamnosys.txt": 6}
    assert "no problems" in report_of(findings) and "0 problems, 0 warnings" in report_of(findings)


def test_folders_of_landmarks_alone_are_checked_as_such(distinct: Path):
    for image in distinct.glob("*/*.jpg"):
        image.unlink()
    findings = check_data([distinct])
    assert problems_of(findings) == {} and warnings_of(findings) == {"datasets without images": 1}
    assert (findings.reports[0].images, findings.reports[0].landmarks) == (0, 6)
    assert "{frames: false, landmarks: true}" in report_of(findings)
    (distinct / "c1" / "c1.npz").unlink()
    assert problems_of(check_data([distinct])) == {"missing landmarks": 2}, "for each annotation file"


def test_class_numbers_of_which_most_are_not_used_are_a_warning(distinct: Path):
    rows = [line.split() for line in (distinct / "test_gloss.txt").read_text().splitlines()]
    numbers = ("0", "5", "70000")
    (distinct / "test_gloss.txt").write_text(
        "".join(f"{' '.join(row[:3])} {numbers[int(row[3]) % 3]}\n" for row in rows)
    )
    findings = check_data([distinct])
    assert problems_of(findings) == {} and warnings_of(findings) == {"class numbers that are not used": 1}
    assert "head gloss: 3 of 70,001 class numbers are used" in report_of(findings)


def damage(folder: Path) -> None:
    """One problem of each kind."""
    image = folder / "c0" / "c0_1.jpg"
    image.write_bytes(image.read_bytes()[:200])
    (folder / "c0" / "c0_3.jpg").write_bytes(b"")
    (folder / "c1" / "c1_2.jpg").unlink()
    (folder / "c2" / "c2.npz").write_bytes(b"not an archive")
    (folder / "c3" / "c3_properties.json").write_text("{}")
    shutil.rmtree(folder / "c4")
    (folder / "c5" / "c5_0.jpg").unlink()
    (folder / "c5" / "c5_0.jpg").symlink_to("/etc/hostname")
    rows = (folder / "test_gloss.txt").read_text().splitlines()
    rows[2] = rows[2].rsplit(" ", 1)[0] + " x"
    (folder / "test_gloss.txt").write_text("\n".join([*rows, "c0 0 4 0", "../c0 0 4 0", "c9 0 4", "c8\0 0 4 0"]))
    (folder / "signers.csv").open("a").write("c0,s9\n")
    (folder / "glosses.csv").write_text("gloss_id,word\n0,A\n0,B\n")


def test_every_kind_of_problem_is_found_with_its_line(distinct: Path):
    damage(distinct)
    findings = check_data([distinct])
    assert problems_of(findings) == {
        "invalid rows of signers.csv": 1,
        "missing frames": 2,  # c1, in both annotation files
        "invalid labels": 1,
        "invalid properties": 2,
        "missing clip folders": 2,
        "paths outside the dataset folder": 3,
        "duplicate clips": 1,
        "wrong number of columns": 1,
        "invalid clip names": 1,
        "classes with two names": 1,
        "images": 3,
        "landmarks": 1,
    }
    report = report_of(findings)
    for words in (
        "test_gloss.txt:1: c0/c0_1.jpg: cannot decode",
        "test_gloss.txt:1: c0/c0_3.jpg: cannot decode (empty file)",
        "test_gloss.txt:2: c1/c1_2.jpg is missing; expected every frame of 0..5",
        "test_gloss.txt:3: gloss has label 'x'",
        "signers.csv:8: c0 has a second signer 's9'",
        "glosses.csv:3: gloss 0 is 'B', and 'A' above",
        "test_gloss.txt:6: c5/c5_0.jpg is a symlink to /etc/hostname, outside the dataset folder",
        "c2/c2.npz: ",
        "19 problems",
    ):
        assert words in report


def test_malicious_images_and_landmarks_are_found(distinct: Path):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(distinct / "c0" / "c0_0.jpg", "GIF", save_all=True, append_images=frames[1:])
    data = (distinct / "c1" / "c1_0.jpg").read_bytes()
    size = data.index(b"\xff\xc0") + 5  # of the frame header: height, width
    (distinct / "c1" / "c1_0.jpg").write_bytes(data[:size] + b"\xea\x60\xea\x60" + data[size + 4 :])
    np.savez(distinct / "c2" / "c2.npz", pose=np.array([print], dtype=object))
    np.savez(distinct / "c3" / "c3.npz", pose=np.zeros((6, 20, 3)))
    np.savez(distinct / "c4" / "c4.npz", pose=np.full((6, 33, 3), np.inf))
    rows = (distinct / "test_hamnosys.txt").read_text().splitlines()
    rows[5] = " ".join([*rows[5].split()[:-1], "37"])
    (distinct / "test_hamnosys.txt").write_text("\n".join(rows))
    findings = check_data([distinct])
    assert problems_of(findings) == {"images": 2, "landmarks": 3, "invalid labels": 1}
    report = report_of(findings)
    for place in ("1: c0/c0_0.jpg", "2: c1/c1_0.jpg", "3: c2/c2.npz", "4: c3/c3.npz", "5: c4/c4.npz"):
        assert f"test_gloss.txt:{place}: " in report, place
    assert "test_hamnosys.txt:6: hand_location_y has label '37'" in report


def test_hidden_folders_are_ignored(distinct: Path):
    for name in (".partial1", ".keyframes"):
        shutil.copytree(distinct / "c0", distinct / name)
        (distinct / name / "c0_0.jpg").rename(distinct / name / f"{name}_0.jpg")
    assert warnings_of(check_data([distinct])) == {}


def rename_frames(folder: Path) -> Path:
    """NAME_3.jpg becomes img_0003.jpg."""
    for path in [*folder.glob("*/*.jpg")]:
        path.rename(path.with_name(f"img_{int(path.stem.rpartition('_')[2]):04d}.jpg"))
    return folder


def test_frames_of_other_names_are_checked_by_their_pattern(distinct: Path):
    rename_frames(distinct)
    assert "'img_{number}.jpg'" in report_of(check_data([distinct]))
    assert "--frame-pattern" in report_of(check_data([distinct]))
    (distinct / "c1" / "img_0002.jpg").write_bytes(b"")
    (distinct / "extra").mkdir()
    (distinct / "extra" / "img_0000.jpg").write_bytes(b"")
    findings = check_data([distinct], frame_pattern="img_{number}.jpg")
    assert problems_of(findings) == {"images": 1} and warnings_of(findings) == {"clip folders in no row": 1}
    assert findings.reports[0].images == 32


def test_symlinked_clip_folders_are_checked_on_request(distinct: Path, tmp_path: Path):
    for name in ("c0", "c1"):
        (distinct / name).rename(tmp_path / name)
        (distinct / name).symlink_to(tmp_path / name)
    (distinct / "loop").symlink_to("..")
    assert problems_of(check_data([distinct])) == {"paths outside the dataset folder": 4}
    findings = check_data([distinct], follow_symlinks=True)
    assert problems_of(findings) == {} and findings.reports[0].images == 33


def test_oddities_are_warnings_not_problems(distinct: Path):
    x = np.linspace(0, 255, 40 * 40).astype(np.uint8).reshape(40, 40)
    image, exif = Image.fromarray(np.stack([x, x.T, 255 - x], -1)), Image.Exif()
    exif[0x0112] = 6
    image.save(distinct / "c0" / "c0_0.jpg", "PNG")
    image.convert("CMYK").save(distinct / "c1" / "c1_1.jpg")
    Image.fromarray(x.astype(np.uint16) * 257).save(distinct / "c2" / "c2_1.jpg", "PNG")
    image.save(distinct / "c3" / "c3_1.jpg", exif=exif)
    image.resize((50, 60)).save(distinct / "c4" / "c4_1.jpg")
    shutil.copy(distinct / "c5" / "c5_0.jpg", distinct / "c5" / "c5_17.jpg")
    shutil.copy(distinct / "c0" / "c0_2.jpg", distinct / "c1" / "c1_2.jpg")
    shutil.copytree(distinct / "c0", distinct / "spare" / "more")
    (distinct / "spare" / "more" / "more_0.jpg").write_bytes(b"")
    (distinct / "spare" / "c0_0.jpg").write_bytes(b"")
    shutil.copytree(distinct / "c0", distinct / "c6")
    (distinct / "c6" / "c6_0.jpg").write_bytes(b"")
    (distinct / "glosses.csv").write_text("gloss_id,word\n0,A\n1,B\n2,C\n3,D\n")
    findings = check_data([distinct])
    assert problems_of(findings) == {}
    assert warnings_of(findings) == {
        "identical images in clips of different signers": 1,
        "classes without a name in the class list": 2,
        "clip folders in no row": 1,
        "images: PNG named .jpg": 2,
        "images: CMYK": 1,
        "images: 16-bit": 1,
        "images: EXIF-rotated": 1,
        "clips whose images differ in size": 1,
        "clips with frames outside start..end": 1,
    }
    report = report_of(findings)
    assert "data/c1/c1_2.jpg is data/c0/c0_2.jpg" in report
    assert "test_gloss.txt:5: c4 has 40 x 40, 50 x 60" in report
    assert "test_gloss.txt:6: c5 has 1 outside 0..5" in report
    assert "c6 contains frames, but no row names it" in report


def test_frames_of_every_row_are_checked(distinct: Path):
    rows = (distinct / "test_hamnosys.txt").read_text().replace("c0 0 4 ", "c0 0 2 ")
    (distinct / "test_hamnosys.txt").write_text(rows)
    (distinct / "c0" / "c0_4.jpg").write_bytes(b"")
    findings = check_data([distinct])
    assert problems_of(findings) == {"images": 1}
    assert warnings_of(findings)["frames that differ between annotation files"] == 1
    assert "c0 has the frames 0..2 in test_hamnosys.txt and 0..4 in test_gloss.txt" in report_of(findings)
    assert problems_of(check_data([distinct], "test_hamnosys.txt")) == {}


def test_images_of_an_invalid_row_are_checked(distinct: Path):
    rows = (distinct / "test_gloss.txt").read_text().replace("c0 0 4 0", "c0 0 4 x").replace("c1 0 5", "c1 5 0")
    (distinct / "test_gloss.txt").write_text(rows)
    for name in ("c0", "c1"):
        (distinct / name / f"{name}_4.jpg").write_bytes(b"")
    findings = check_data([distinct], "test_gloss.txt")
    assert problems_of(findings) == {"invalid labels": 1, "invalid start or end": 1, "images": 2}
    assert "test_gloss.txt:2: c1/c1_4.jpg: cannot decode" in report_of(findings)
    assert findings.reports[0].landmarks == 6


def test_several_folders_are_compared(make_dataset: Callable, tmp_path: Path):
    first = make_dataset("a", clips=3, classes=3, signers=0)
    second = make_dataset("b", clips=3, classes=3, signers=0)  # the same images
    (tmp_path / "link").symlink_to(first)
    findings = check_data([first, second])
    assert problems_of(findings) == {}
    assert warnings_of(findings)["identical images in clips of different datasets"] == 16
    assert "gloss: labels are a 0..2, b 0..2, and there is no class list for a, b" in report_of(findings)
    (first / "glosses.csv").write_text("gloss_id,word\n0,A\n1,B\n2,C\n")
    (second / "glosses.csv").write_text("gloss_id,word\n0,A\n1,C\n2,C\n")
    assert "gloss 1 is 'B' in a and 'C' in b" in report_of(check_data([first, second]))
    assert problems_of(check_data([first, tmp_path / "link"])) == {"duplicate clips": 3}


def test_custom_heads_are_named_by_the_header(distinct: Path):
    (distinct / "test_face.txt").write_text("name start end mouth eyes\nc0 0 4 0 1\nc1 0 4 2 x\n")
    findings = check_data([distinct], "test_face.txt")
    assert "test_face.txt:3: eyes has label 'x'" in report_of(findings)
    (distinct / "test_face.txt").write_text("c0 0 4 0 1 2\nc1 0 4 2 x 3\n")
    assert "test_face.txt:2: column 5 has label 'x'" in report_of(check_data([distinct], "test_face.txt"))


@pytest.mark.heavy
def test_parallel_check_finds_the_same(distinct: Path):
    damage(distinct)
    assert format_report(check_data([distinct], workers=2)) == format_report(check_data([distinct], workers=1))


def test_binary_annotation_file_does_not_stop_the_other(distinct: Path):
    (distinct / "test_gloss.txt").write_bytes(b"\xff\xfe")
    findings = check_data([distinct])
    assert problems_of(findings) == {"annotation files": 1}
    assert findings.reports[0].images == 33


def test_long_lists_are_cut_and_counted(distinct: Path):
    (distinct / "signers.csv").unlink()
    (distinct / "test_gloss.txt").write_text("".join(f"x{i} 0 4 1\n" for i in range(9)))
    report = format_report(check_data([distinct]))
    assert "missing clip folders: 9" in report and f"... and {9 - EXAMPLES} more" in report


def test_reports_fit_80_columns(distinct: Path):
    damage(distinct)
    lines = format_report(check_data([distinct])).splitlines()
    assert [line for line in lines[1:] if len(line) > 80] == []


def test_missing_folders_and_files_are_refused(distinct: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        check_data([distinct, tmp_path / "nowhere", tmp_path / "empty"])
    first, second = caught.value.problems
    assert "nowhere: not a directory" in first and "empty: does not contain test_*.txt" in second
    with pytest.raises(DataError, match="does not contain labels.txt"):
        check_data([distinct], "labels.txt")


@pytest.mark.parametrize("file", ["../{0}/test_hamnosys.txt", "{1}/test_hamnosys.txt", "../../..", "a\x1b[31m.txt"])
def test_annotation_files_outside_the_folder_are_refused(distinct: Path, file: str):
    with pytest.raises(DataError, match="inside") as error:
        check_data([distinct], file.format(distinct.name, distinct))
    assert "\x1b" not in str(error.value)


def test_progress_counts_clips(distinct: Path):
    seen = []

    def progress(clips, total):
        for clip in clips:
            seen.append(total)
            yield clip

    check_data([distinct], progress=progress)
    assert seen == [6] * 6


def test_problems_keep_few_messages(distinct: Path):
    one, other = Problems(), Problems()
    one.add_all("a", (f"first {i}" for i in range(100)))
    other.add_all("a", (f"second {i}" for i in range(100)))
    other.merge(one)
    assert len(other) == 200 and other.groups["a"].examples == ["second 0", "second 1", "second 2"]
    with pytest.raises(DataError, match="and 180 more problems"):
        other.raise_any()


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.heavy
def test_exit_codes(distinct: Path, tmp_path: Path):
    intact = run(distinct)
    assert intact.returncode == 0 and "no problems" in intact.stdout and intact.stderr == ""
    (distinct / "c0" / "c0_1.jpg").write_bytes(b"")
    broken = run(distinct, "--workers", 2)
    assert broken.returncode == 1 and "c0/c0_1.jpg: cannot decode" in broken.stdout and broken.stderr == ""
    missing = run(tmp_path / "nowhere")
    assert missing.returncode == 2 and "not a directory" in missing.stderr and "Traceback" not in missing.stderr


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("folder", "images"), [("hearai_sanity", 24), ("sign_digits", 1600), ("isl_avatar/frames", 2416)]
)
def test_real_folders_have_no_problems(real_data: Path, folder: str, images: int):
    findings = check_data([real_data / folder])
    assert problems_of(findings) == {} and findings.reports[0].images == images


def test_given_splits_are_checked(distinct: Path):
    rows = [f"c{number},{part}" for number, part in enumerate(["train"] * 3 + ["val", "test", "test"])]
    (distinct / "splits.csv").write_text("\n".join([*rows, "c9,test"]) + "\n")
    findings = check_data([distinct])
    assert problems_of(findings) == {}
    assert warnings_of(findings) == {"names in splits.csv in no row": 1, "signers in several splits": 3}
    assert "given splits: 3 train, 1 val, 2 test" in report_of(findings)
    assert "signer 's0' has 1 train, 1 val" in report_of(findings)
    (distinct / "splits.csv").write_text("\n".join([*rows[:4], "c4,tset"]) + "\n")
    assert problems_of(check_data([distinct])) == {"invalid rows of splits.csv": 1, "clips without a split": 4}
