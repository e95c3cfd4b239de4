"""Frame files -> pictures; broken files are named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from hearai.data.annotations import Clip, read_annotations
from hearai.data.frames import build_reader, check_images, read_frame
from hearai.errors import DataError


def save(path: Path, width: int, height: int, mode: str = "RGB") -> Path:
    """A smooth picture, which JPEG keeps well."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8)).convert(mode).save(path, "JPEG", quality=95)
    return path


@pytest.mark.parametrize(
    ("resize", "crop", "shape"),
    [
        (None, None, (3, 60, 90)),
        (30, None, (3, 30, 45)),
        (None, 48, (3, 48, 48)),
        (30, 24, (3, 24, 24)),
        (128, 128, (3, 128, 128)),
        (None, 100, (3, 100, 100)),
    ],
)
def test_shorter_side_is_resized_and_the_centre_cropped(tmp_path: Path, resize, crop, shape):
    picture = read_frame(save(tmp_path / "a.jpg", 90, 60), resize=resize, crop=crop)
    assert picture.shape == shape
    assert picture.dtype == torch.uint8


def test_colours_and_place_survive(tmp_path: Path):
    picture = read_frame(save(tmp_path / "a.jpg", 90, 60), resize=30, crop=30).float()
    red, green, blue = picture.mean((1, 2))
    assert abs(red - 127) < 4 and abs(green - 127) < 4 and abs(blue - 127) < 4
    assert picture[0, :, -1].mean() > picture[0, :, 0].mean() + 100  # red grows to the right
    assert picture[1, -1].mean() > picture[1, 0].mean() + 100  # green grows downwards


def test_picture_smaller_than_the_crop_gets_a_black_border(tmp_path: Path):
    picture = read_frame(save(tmp_path / "a.jpg", 90, 60), crop=100)
    assert picture[:, :20].sum() == 0 and picture[:, 80:].sum() == 0
    assert picture[:, 20:80, 5:95].any()


@pytest.mark.parametrize("resize", [32, 64, 200])
def test_quick_decoding_of_large_pictures_shows_the_same(tmp_path: Path, resize: int):
    path = save(tmp_path / "a.jpg", 640, 480)
    plain = F.resize(F.pil_to_tensor(Image.open(path)), [resize], antialias=True)
    quick = read_frame(path, resize=resize)
    assert quick.shape == plain.shape
    assert (quick.float() - plain.float()).abs().mean() < 1.5


def test_grey_picture_becomes_three_channels(tmp_path: Path):
    picture = read_frame(save(tmp_path / "a.jpg", 40, 40, mode="L"))
    assert picture.shape == (3, 40, 40)
    assert torch.equal(picture[0], picture[2])


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def test_broken_frames_are_named_when_read(tmp_path: Path):
    path = save(tmp_path / "a.jpg", 90, 60)
    truncate(path)
    for broken in (path, tmp_path / "missing.jpg"):
        with pytest.raises(DataError, match=f"{broken.name}: cannot be decoded .*a whole JPEG is due"):
            read_frame(broken, resize=32)


def test_reader_follows_the_config(make_config: Callable):
    on = build_reader(make_config(None))
    assert on.keywords == {"resize": 32, "crop": 32}
    names = ("apply_resize", "apply_center_crop")
    off = build_reader(make_config(None, {f"augmentations_parameters.{name}": False for name in names}))
    assert off.keywords == {"resize": None, "crop": None}


def clips_of(folder: Path) -> list[Clip]:
    return read_annotations(folder, "test_gloss.txt", {"gloss": "auto"})


def test_whole_pictures_pass(tiny_dataset: Path):
    check_images(clips_of(tiny_dataset))


@pytest.mark.parametrize("workers", [0, 3])
def test_every_broken_picture_is_found(tiny_dataset: Path, workers: int):
    clips = clips_of(tiny_dataset)
    truncate(clips[0].frame_path(1))
    clips[3].frame_path(0).write_bytes(b"")
    clips[5].frame_path(4).write_text("no picture")
    clips[7].frame_path(2).unlink()
    clips[8].frame_path(2).unlink()
    clips[8].frame_path(2).mkdir()
    with pytest.raises(DataError) as caught:
        check_images(clips, workers)
    found = [problem.split(":")[0] for problem in caught.value.problems]
    places = [(0, 1), (3, 0), (5, 4), (7, 2), (8, 2)]
    assert found == [str(clips[clip].frame_path(frame)) for clip, frame in places]


def test_pictures_that_no_clip_uses_are_not_looked_at(tiny_dataset: Path):
    (tiny_dataset / "c0" / "c0_5.jpg").write_text("no picture")
    check_images(clips_of(tiny_dataset))


def test_jpeg_with_bytes_after_its_end_passes(tiny_dataset: Path):
    clips = clips_of(tiny_dataset)
    with clips[0].frame_path(0).open("ab") as file:
        file.write(b"\0\0\0")
    check_images(clips)
    assert read_frame(clips[0].frame_path(0)).shape == (3, 40, 40)


def test_cut_is_found_wherever_it_is(tmp_path: Path):
    path = save(tmp_path / "a.jpg", 64, 64)
    clip = Clip("clip", tmp_path, 0, 0, {})
    (tmp_path / "clip").mkdir()
    for cut in range(1, path.stat().st_size, 97):
        shutil.copy(path, clip.frame_path(0))
        with clip.frame_path(0).open("r+b") as file:
            file.truncate(cut)
        with pytest.raises(DataError):
            check_images([clip])
