"""A check of dataset folders finds what is wrong, remarks on what is odd, and says it in 80 columns."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hearai.data.annotations.problems import EXAMPLES, Problems
from hearai.data.tools.check_data import Findings, check_folders
from hearai.data.tools.check_report import as_text
from hearai.errors import DataError
from tests.helpers import ROOT

SCRIPT = ROOT / "experiments" / "check_data.py"


@pytest.fixture
def distinct(make_dataset: Callable) -> Path:
    """A dataset in which no clip looks like another."""
    return make_dataset(clips=6, classes=6, signers=3, fps=25, landmarks=True)


def wrong(findings: Findings) -> dict[str, int]:
    of_all = [findings.problems, *(report.problems for report in findings.reports)]
    return {kind: group.count for problems in of_all for kind, group in problems.groups.items()}


def remarked(findings: Findings) -> dict[str, int]:
    of_all = [findings.remarks, *(report.remarks for report in findings.reports)]
    return {kind: group.count for problems in of_all for kind, group in problems.groups.items()}


def texts(findings: Findings) -> str:
    """What is said, line breaks aside."""
    return " ".join(as_text(findings).split())


def test_a_whole_folder_is_fine(distinct: Path):
    findings = check_folders([distinct])
    (report,) = findings.reports
    assert wrong(findings) == {} and remarked(findings) == {}
    assert (len(report.clips), report.pictures, report.landmarks) == (6, 33, 6)
    assert {name: rows.count for name, rows in report.files.items()} == {"test_gloss.txt": 6, "test_hamnosys.txt": 6}
    assert "nothing is wrong" in texts(findings) and "0 problems, 0 remarks" in texts(findings)


def damage(folder: Path) -> None:
    """One fault of each kind."""
    picture = folder / "c0" / "c0_1.jpg"
    picture.write_bytes(picture.read_bytes()[:200])
    (folder / "c0" / "c0_3.jpg").write_bytes(b"")
    (folder / "c1" / "c1_2.jpg").unlink()
    (folder / "c2" / "c2.npz").write_bytes(b"no archive")
    (folder / "c3" / "c3_properties.json").write_text("{}")
    shutil.rmtree(folder / "c4")
    (folder / "c5" / "c5_0.jpg").unlink()
    (folder / "c5" / "c5_0.jpg").symlink_to("/etc/hostname")
    rows = (folder / "test_gloss.txt").read_text().splitlines()
    rows[2] = rows[2].rsplit(" ", 1)[0] + " x"
    (folder / "test_gloss.txt").write_text("\n".join([*rows, "c0 0 4 0", "../c0 0 4 0", "c9 0 4", "c8\0 0 4 0"]))
    (folder / "signers.csv").open("a").write("c0,s9\n")
    (folder / "glosses.csv").write_text("gloss_id,word\n0,A\n0,B\n")


def test_every_fault_is_found_and_placed(distinct: Path):
    damage(distinct)
    findings = check_folders([distinct])
    assert wrong(findings) == {
        "rows of signers.csv": 1,
        "frames that are missing": 2,  # c1, in both annotation files
        "labels": 1,
        "properties that are wrong": 2,
        "clip folders that are missing": 2,
        "paths that lead out of the dataset folder": 3,
        "clips given twice": 1,
        "numbers of columns": 1,
        "clip names": 1,
        "classes with two names": 1,
        "pictures": 3,
        "landmarks": 1,
    }
    said = texts(findings)
    for words in (
        "test_gloss.txt:1: c0/c0_1.jpg: cannot be decoded",
        "test_gloss.txt:1: c0/c0_3.jpg: cannot be decoded (an empty file)",
        "test_gloss.txt:2: c1/c1_2.jpg is missing; every frame of 0..5 is due",
        "test_gloss.txt:3: gloss has label 'x'",
        "signers.csv:8: c0 has a second signer 's9'",
        "glosses.csv:3: gloss 0 is 'B' and before 'A'",
        "test_gloss.txt:6: c5/c5_0.jpg is a symlink to /etc/hostname, out of the dataset folder",
        "c2/c2.npz: ",
        "19 problems",
    ):
        assert words in said


def test_pictures_and_landmarks_that_may_do_harm_are_found_and_placed(distinct: Path):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(distinct / "c0" / "c0_0.jpg", "GIF", save_all=True, append_images=frames[1:])
    whole = (distinct / "c1" / "c1_0.jpg").read_bytes()
    size = whole.index(b"\xff\xc0") + 5  # of the frame header: height, width
    (distinct / "c1" / "c1_0.jpg").write_bytes(whole[:size] + b"\xea\x60\xea\x60" + whole[size + 4 :])
    np.savez(distinct / "c2" / "c2.npz", pose=np.array([print], dtype=object))
    np.savez(distinct / "c3" / "c3.npz", pose=np.zeros((6, 20, 3)))
    np.savez(distinct / "c4" / "c4.npz", pose=np.full((6, 33, 3), np.inf))
    rows = (distinct / "test_hamnosys.txt").read_text().splitlines()
    rows[5] = " ".join([*rows[5].split()[:-1], "37"])
    (distinct / "test_hamnosys.txt").write_text("\n".join(rows))
    findings = check_folders([distinct])
    assert wrong(findings) == {"pictures": 2, "landmarks": 3, "labels": 1}
    said = texts(findings)
    for place in ("1: c0/c0_0.jpg", "2: c1/c1_0.jpg", "3: c2/c2.npz", "4: c3/c3.npz", "5: c4/c4.npz"):
        assert f"test_gloss.txt:{place}: " in said, place
    assert "test_hamnosys.txt:6: hand_location_y has label '37'" in said


def test_hidden_folders_are_nobodys(distinct: Path):
    for name in (".partial1", ".keyframes"):
        shutil.copytree(distinct / "c0", distinct / name)
        (distinct / name / "c0_0.jpg").rename(distinct / name / f"{name}_0.jpg")
    assert remarked(check_folders([distinct])) == {}


def test_oddities_are_remarks_and_no_faults(distinct: Path):
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
    findings = check_folders([distinct])
    assert wrong(findings) == {}
    assert remarked(findings) == {
        "identical pictures in clips of different signers": 1,
        "classes that the class list does not name": 2,
        "clip folders in no row": 1,
        "pictures: PNG named .jpg": 2,
        "pictures: CMYK": 1,
        "pictures: 16-bit": 1,
        "pictures: EXIF-rotated": 1,
        "clips whose pictures differ in size": 1,
        "clips with frames outside start..end": 1,
    }
    said = texts(findings)
    assert "data/c1/c1_2.jpg is data/c0/c0_2.jpg" in said
    assert "test_gloss.txt:5: c4 has 40 x 40, 50 x 60" in said
    assert "test_gloss.txt:6: c5 has 1 beside 0..5" in said
    assert "c6 holds pictures, and no row names it" in said


def test_frames_of_any_row_are_looked_at(distinct: Path):
    rows = (distinct / "test_hamnosys.txt").read_text().replace("c0 0 4 ", "c0 0 2 ")
    (distinct / "test_hamnosys.txt").write_text(rows)
    (distinct / "c0" / "c0_4.jpg").write_bytes(b"")
    assert wrong(check_folders([distinct])) == {"pictures": 1}
    assert wrong(check_folders([distinct], "test_hamnosys.txt")) == {}


def test_pictures_of_a_wrong_row_are_looked_at(distinct: Path):
    rows = (distinct / "test_gloss.txt").read_text().replace("c0 0 4 0", "c0 0 4 x").replace("c1 0 5", "c1 5 0")
    (distinct / "test_gloss.txt").write_text(rows)
    for name in ("c0", "c1"):
        (distinct / name / f"{name}_4.jpg").write_bytes(b"")
    findings = check_folders([distinct], "test_gloss.txt")
    assert wrong(findings) == {"labels": 1, "starts and ends": 1, "pictures": 2}
    assert "test_gloss.txt:2: c1/c1_4.jpg: cannot be decoded" in texts(findings)
    assert findings.reports[0].landmarks == 6


def test_several_folders_are_compared(make_dataset: Callable, tmp_path: Path):
    first = make_dataset("a", clips=3, classes=3, signers=0)
    second = make_dataset("b", clips=3, classes=3, signers=0)  # the same pictures
    (tmp_path / "link").symlink_to(first)
    findings = check_folders([first, second])
    assert wrong(findings) == {}
    assert remarked(findings)["identical pictures in clips of different datasets"] == 16
    assert "gloss: labels are a 0..2, b 0..2, and a, b has no class list" in texts(findings)
    (first / "glosses.csv").write_text("gloss_id,word\n0,A\n1,B\n2,C\n")
    (second / "glosses.csv").write_text("gloss_id,word\n0,A\n1,C\n2,C\n")
    assert "gloss 1 is 'B' in a and 'C' in b" in texts(check_folders([first, second]))
    assert wrong(check_folders([first, tmp_path / "link"])) == {"clips given twice": 3}


def test_own_heads_are_read_by_the_header(distinct: Path):
    (distinct / "test_face.txt").write_text("name start end mouth eyes\nc0 0 4 0 1\nc1 0 4 2 x\n")
    findings = check_folders([distinct], "test_face.txt")
    assert "test_face.txt:3: eyes has label 'x'" in texts(findings)
    (distinct / "test_face.txt").write_text("c0 0 4 0 1 2\nc1 0 4 2 x 3\n")
    assert "test_face.txt:2: column 5 has label 'x'" in texts(check_folders([distinct], "test_face.txt"))


def test_processes_find_what_one_finds(distinct: Path):
    damage(distinct)
    assert as_text(check_folders([distinct], workers=2)) == as_text(check_folders([distinct], workers=1))


def test_an_annotation_file_that_is_no_text_is_wrong_and_the_other_is_read(distinct: Path):
    (distinct / "test_gloss.txt").write_bytes(b"\xff\xfe")
    findings = check_folders([distinct])
    assert wrong(findings) == {"annotation files": 1}
    assert findings.reports[0].pictures == 33


def test_long_lists_show_the_first_and_count_the_rest(distinct: Path):
    (distinct / "signers.csv").unlink()
    (distinct / "test_gloss.txt").write_text("".join(f"x{i} 0 4 1\n" for i in range(9)))
    said = as_text(check_folders([distinct]))
    assert "clip folders that are missing: 9" in said and f"... and {9 - EXAMPLES} more" in said


def test_reports_fit_80_columns(distinct: Path):
    damage(distinct)
    lines = as_text(check_folders([distinct])).splitlines()
    assert [line for line in lines[1:] if len(line) > 80] == []


def test_missing_folders_and_files_are_bad_input(distinct: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        check_folders([distinct, tmp_path / "nowhere", tmp_path / "empty"])
    first, second = caught.value.problems
    assert "nowhere: is no folder" in first and "empty: has no test_*.txt" in second
    with pytest.raises(DataError, match="has no labels.txt"):
        check_folders([distinct], "labels.txt")


def test_watched_clips_are_counted(distinct: Path):
    seen = []

    def watch(clips, total):
        for clip in clips:
            seen.append(total)
            yield clip

    check_folders([distinct], watch=watch)
    assert seen == [6] * 6


def test_collected_problems_stay_few(distinct: Path):
    one, other = Problems(), Problems()
    one.add_all("a", (f"first {i}" for i in range(100)))
    other.add_all("a", (f"second {i}" for i in range(100)))
    other.take(one)
    assert len(other) == 200 and other.groups["a"].examples == ["second 0", "second 1", "second 2"]
    with pytest.raises(DataError, match="and 180 more problems"):
        other.raise_any()


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_exit_codes_tell_fine_wrong_and_bad_input(distinct: Path, tmp_path: Path):
    fine = run(distinct)
    assert fine.returncode == 0 and "nothing is wrong" in fine.stdout and fine.stderr == ""
    (distinct / "c0" / "c0_1.jpg").write_bytes(b"")
    wrong = run(distinct, "--workers", 2)
    assert wrong.returncode == 1 and "c0/c0_1.jpg: cannot be decoded" in wrong.stdout and wrong.stderr == ""
    bad = run(tmp_path / "nowhere")
    assert bad.returncode == 2 and "is no folder" in bad.stderr and "Traceback" not in bad.stderr


@pytest.mark.parametrize(
    ("folder", "pictures"), [("hearai_sanity", 24), ("sign_digits", 1600), ("isl_avatar/frames", 2416)]
)
def test_real_folders_are_fine(real_data: Path, folder: str, pictures: int):
    findings = check_folders([real_data / folder])
    assert wrong(findings) == {} and findings.reports[0].pictures == pictures
