"""The contact sheet of datasets: which clips it shows, its size, and the option of check_data.py."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hearai.config.field_types import FrozenDict
from hearai.data.annotations.clip import Clip
from hearai.reporting.clip_images.contact_sheet import COLOURS, MOST_CLIPS, describe, write_contact_sheet
from hearai.reporting.clip_images.sample import represent


def clip(name: int, label: int, signer: str | None = None) -> Clip:
    return Clip(f"c{name}", Path("d"), 0, 3, FrozenDict({"gloss": label}), signer=signer)


def test_every_class_comes_before_a_second_clip_of_one() -> None:
    clips = [clip(number, max(0, number - 90)) for number in range(100)]  # 91 of class 0, one of each other
    shown = represent(clips, 12)
    assert {one.labels["gloss"] for one in shown} == set(range(10)) and len(shown) == 12
    assert shown == represent(clips, 12) and shown == sorted(shown, key=clips.index), "the same sample, in order"
    assert represent(clips[:5], 12) == clips[:5]


def test_among_equals_signers_come_first() -> None:
    clips = [clip(number, 0, f"s{number // 20}") for number in range(100)]
    assert {one.signer for one in represent(clips, 5)} == {"s0", "s1", "s2", "s3", "s4"}


def test_more_classes_are_shown_than_in_any_random_sample() -> None:
    draw = random.Random(0)
    labels = [{f"h{head}": draw.randrange(-1, 9) for head in range(4)} for _ in range(60)]
    clips = [Clip(f"c{i}", Path("d"), 0, 3, FrozenDict(one)) for i, one in enumerate(labels)]
    samples = [represent(clips, 10), *(draw.sample(clips, 10) for _ in range(100))]
    chosen, *others = [
        len({pair for one in sample for pair in one.labels.items() if pair[1] >= 0}) for sample in samples
    ]
    assert chosen > max(others)


def test_the_summary_says_what_is_missing() -> None:
    clips = [clip(number, number, f"s{number % 2}") for number in range(5)]
    assert describe(clips, clips) == "all 5 clips, all 2 signers, all 5 classes of gloss"
    assert describe(clips[:1], clips) == "1 of 5 clips, 1 of 2 signers, 1 of 5 classes of gloss"
    assert describe(clips[:1], clips[:1]) == "1 clip, 1 signer, 1 class of gloss"
    two = [Clip("a", Path("d"), 0, 1, FrozenDict({head: label for head in "wxyz"})) for label in (0, 1)]
    assert describe(two[:1], two) == "1 of 2 clips, 4 of 8 classes of 4 heads"


@pytest.mark.heavy
def test_the_size_of_a_sheet_is_bounded(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_dataset(clips=MOST_CLIPS + 6, frames=2, classes=7)
    clips = [Clip(f"c{i}", folder, 0, 1, FrozenDict({"gloss": i % 7}), dataset="data") for i in range(MOST_CLIPS + 6)]
    shown = write_contact_sheet(clips, {"data": {"gloss": {3: "house"}}}, tmp_path / "new" / "sheet.png")
    assert shown == "36 of 42 clips, all 7 classes of gloss"
    sheet = Image.open(tmp_path / "new" / "sheet.png")
    assert sheet.width == 1552 and sheet.height < 4000 and len(sheet.getcolors()) <= COLOURS


@pytest.mark.heavy
def test_the_option_draws_all_folders_and_files(
    call: Callable, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    first, second = make_dataset("one", clips=2, landmarks=True), make_dataset("two", clips=2)
    (first / "c1" / "c1_0.jpg").write_bytes(b"")  # a problem, which the sheet shows
    code, out, _ = call("check_data", first, second, "--contact-sheet", tmp_path / "sheet.png")
    assert code == 1
    assert f"contact sheet: {tmp_path / 'sheet.png'} (all 4 clips, all 2 signers, " in out and "of 9 heads)" in out
    assert Image.open(tmp_path / "sheet.png").size[0] == 1552
    (first / "test_gloss.txt").write_text("c0 0 x 0\n")
    (first / "test_hamnosys.txt").unlink()
    code, out, _ = call("check_data", first, "--contact-sheet", tmp_path / "none.png")
    assert code == 1 and "contact sheet: not written (no row is valid)" in out and not (tmp_path / "none.png").exists()


def test_other_files_are_refused_before_anything_is_read(call: Callable, tmp_path: Path) -> None:
    code, out, err = call("check_data", tmp_path, "--contact-sheet", tmp_path / "sheet.jpg")
    assert code == 2 and not out and "ends in .jpg; give a file name that ends in .png" in err
    (tmp_path / "file").write_text("")
    code, out, err = call("check_data", tmp_path, "--contact-sheet", tmp_path / "file" / "sheet.png")
    assert code == 2 and not out and f"{tmp_path / 'file'} is a file" in err and "Traceback" not in err
