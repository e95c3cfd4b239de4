"""Frame files -> pictures; broken files are named."""

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as F

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.rows import read_annotations
from hearai.data.frames import build_reader, check_images, read_frame
from hearai.data.images import MAX_PIXELS, read_with_remarks
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


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8))


def difference(picture_CHW: torch.Tensor, image: Image.Image) -> float:
    expected_CHW = F.pil_to_tensor(image)
    assert picture_CHW.shape == expected_CHW.shape
    return float((picture_CHW.float() - expected_CHW.float()).abs().mean())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pictures_are_turned_as_their_exif_data_says(tmp_path: Path, orientation: int, kind: str):
    exif, path = Image.Exif(), tmp_path / "a.jpg"
    exif[0x0112] = orientation
    gradient(90, 60).save(path, kind, exif=exif, quality=95)
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    assert upright.size == ((60, 90) if orientation >= 5 else (90, 60))
    assert difference(read_frame(path), upright) == 0
    assert read_frame(path, resize=30).shape == ((3, 45, 30) if orientation >= 5 else (3, 30, 45))
    assert ("EXIF-rotated" in read_with_remarks(path)[1]) == (orientation > 1)


def test_damaged_exif_data_does_not_cost_the_picture(tmp_path: Path):
    gradient(90, 60).save(tmp_path / "a.jpg", quality=95, exif=b"Exif\0\0no TIFF at all")
    assert read_frame(tmp_path / "a.jpg").shape == (3, 60, 90)


def test_cmyk_keeps_its_colours(tmp_path: Path):
    path = tmp_path / "a.jpg"
    gradient(90, 60).convert("CMYK").save(path, quality=95)
    assert Image.open(path).mode == "CMYK"
    assert difference(read_frame(path), gradient(90, 60)) < 3
    assert difference(read_frame(path, resize=30), gradient(90, 60).resize((45, 30))) < 4
    assert read_with_remarks(path)[1] == ["CMYK"]


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path):
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "a.jpg", "PNG")
    expected = torch.from_numpy(np.round(values / 257).astype(np.uint8)).expand(3, 64, 64)
    assert torch.equal(read_frame(tmp_path / "a.jpg"), expected)
    assert read_with_remarks(tmp_path / "a.jpg")[1] == ["PNG named .jpg", "16-bit"]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path: Path, width: int, height: int, *, depth: int, colour: int, rows: bytes) -> None:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def test_sixteen_bits_of_three_colours_are_scaled(tmp_path: Path):
    values = np.array([[[65535, 32896, 0], [257, 2570, 25700]]], ">u2")
    write_png(tmp_path / "a.jpg", 2, 1, depth=16, colour=2, rows=b"\0" + values.tobytes())
    assert read_frame(tmp_path / "a.jpg")[:, 0].T.tolist() == [[255, 128, 0], [1, 10, 100]]
    assert "16-bit" in read_with_remarks(tmp_path / "a.jpg")[1]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_png_named_jpg_is_read_by_its_content(tmp_path: Path, mode: str):
    path, image = tmp_path / "a.jpg", gradient(90, 60).convert(mode)
    image.save(path, "PNG")
    assert difference(read_frame(path), image.convert("RGB")) == 0
    assert read_with_remarks(path)[1] == ["PNG named .jpg"]


def moving(path: Path, kind: str) -> None:
    pictures = [gradient(40, 30), ImageOps.mirror(gradient(40, 30)), gradient(40, 30)]
    pictures[0].save(path, kind, save_all=True, append_images=pictures[1:])


def cut(path: Path, kind: str) -> None:
    gradient(90, 60).save(path, kind)
    truncate(path)


def claim(path: Path, width: int, height: int) -> None:
    """A small JPEG whose header says otherwise."""
    save(path, 64, 64)
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    path.write_bytes(data)


def claim_png(path: Path, width: int, height: int) -> None:
    write_png(path, width, height, depth=8, colour=2, rows=b"\0" * 1000)


SIDE = int(MAX_PIXELS**0.5)
REFUSED = {
    "empty": (lambda path: path.write_bytes(b""), "an empty file"),
    "text": (lambda path: path.write_text("no picture"), "no picture"),
    "EPS": (lambda path: gradient(40, 30).save(path, "EPS"), "no picture"),
    "GIF": (lambda path: moving(path, "GIF"), "holds 3 pictures"),
    "APNG": (lambda path: moving(path, "PNG"), "holds 3 pictures"),
    "WebP": (lambda path: moving(path, "WEBP"), "holds 3 pictures"),
    "cut JPEG": (lambda path: cut(path, "JPEG"), "a whole JPEG is due"),
    "cut PNG": (lambda path: cut(path, "PNG"), "a whole JPEG is due"),
    "JPEG bomb": (lambda path: claim(path, 60_000, 60_000), "is larger than 89 megapixels"),
    "PNG bomb": (lambda path: claim_png(path, 60_000, 60_000), "is larger than 89 megapixels"),
    "a little too large": (lambda path: claim(path, SIDE + 10, SIDE + 10), "is larger than 89 megapixels"),
    "thread": (
        lambda path: claim(path, 60_000, 1_000),
        "is 60000 x 1000 pixels; sides",
    ),
    "32 bit": (lambda path: Image.new("F", (8, 8)).save(path, "TIFF"), "32-bit pixels"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_right_is_refused_by_name(make_dataset: Callable, kind: str):
    write, words = REFUSED[kind]
    (clip,) = clips_of(make_dataset(clips=1, signers=0))
    path = clip.frame_path(2)
    write(path)
    for refuse in (read_frame, lambda path: read_frame(path, resize=32), lambda _: check_images([clip])):
        with pytest.raises(DataError) as caught:
            refuse(path)
        (problem,) = caught.value.problems
        assert problem.startswith(f"{path}: ") and words in problem


def test_all_that_reads_also_passes_the_check(make_dataset: Callable):
    (clip,) = clips_of(make_dataset(clips=1, signers=0))
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient(40, 30).save(clip.frame_path(0), exif=exif)
    gradient(40, 30).convert("CMYK").save(clip.frame_path(1))
    gradient(40, 30).save(clip.frame_path(2), "PNG")
    Image.fromarray(np.zeros((30, 40), np.uint16)).save(clip.frame_path(3), "PNG")
    gradient(40, 30).save(clip.frame_path(4), "MPO", save_all=True, append_images=[gradient(20, 15)])
    check_images([clip])
    assert [read_frame(clip.frame_path(i)).shape[1:] for i in range(5)] == [(40, 30), *[(30, 40)] * 4]


def test_good_jpegs_are_checked_without_being_decoded(make_dataset: Callable):
    (clip,) = clips_of(make_dataset(clips=1, signers=0))
    for frame in range(5):
        claim(clip.frame_path(frame), SIDE - 10, SIDE - 10)  # 89 megapixels each: seconds to decode
    check_images([clip])
