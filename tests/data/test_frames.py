"""Frame files -> images; broken files are named."""

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
from hearai.data.images import MAX_PIXELS, read_image_and_traits
from hearai.errors import DataError


def save(path: Path, width: int, height: int, mode: str = "RGB") -> Path:
    """A smooth image, which JPEG preserves well."""
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
        (30, (24, 40), (3, 24, 40)),
        (30, (30, 50), (3, 30, 50)),  # wider than the resized image, which is 45 wide
    ],
)
def test_resizes_the_shorter_side_and_crops_the_centre(tmp_path: Path, resize, crop, shape):
    image = read_frame(save(tmp_path / "a.jpg", 90, 60), resize=resize, crop=crop)
    assert image.shape == shape
    assert image.dtype == torch.uint8


def test_resizing_keeps_colours_and_layout(tmp_path: Path):
    image = read_frame(save(tmp_path / "a.jpg", 90, 60), resize=30, crop=30).float()
    red, green, blue = image.mean((1, 2))
    assert abs(red - 127) < 4 and abs(green - 127) < 4 and abs(blue - 127) < 4
    assert image[0, :, -1].mean() > image[0, :, 0].mean() + 100  # red grows to the right
    assert image[1, -1].mean() > image[1, 0].mean() + 100  # green grows downwards


def test_image_smaller_than_the_crop_gets_a_black_border(tmp_path: Path):
    image = read_frame(save(tmp_path / "a.jpg", 90, 60), crop=100)
    assert image[:, :20].sum() == 0 and image[:, 80:].sum() == 0
    assert image[:, 20:80, 5:95].any()


@pytest.mark.parametrize("resize", [32, 64, 200])
def test_fast_decoding_of_large_images_is_accurate(tmp_path: Path, resize: int):
    path = save(tmp_path / "a.jpg", 640, 480)
    exact = F.resize(F.pil_to_tensor(Image.open(path)), [resize], antialias=True)
    fast = read_frame(path, resize=resize)
    assert fast.shape == exact.shape
    assert (fast.float() - exact.float()).abs().mean() < 1.5


def test_greyscale_image_becomes_three_channels(tmp_path: Path):
    image = read_frame(save(tmp_path / "a.jpg", 40, 40, mode="L"))
    assert image.shape == (3, 40, 40)
    assert torch.equal(image[0], image[2])


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def test_broken_frames_are_named_in_the_error(tmp_path: Path):
    path = save(tmp_path / "a.jpg", 90, 60)
    truncate(path)
    for broken in (path, tmp_path / "missing.jpg"):
        with pytest.raises(DataError, match=f"{broken.name}: cannot decode .*; expected a complete JPEG"):
            read_frame(broken, resize=32)


def test_reader_follows_the_config(make_config: Callable):
    on = build_reader(make_config(None))
    assert on.keywords == {"resize": 32, "crop": 32}
    names = ("apply_resize", "apply_center_crop")
    off = build_reader(make_config(None, {f"augmentations_parameters.{name}": False for name in names}))
    assert off.keywords == {"resize": None, "crop": None}


def clips_of(folder: Path) -> list[Clip]:
    return read_annotations(folder, "test_gloss.txt", {"gloss": "auto"})


def test_intact_images_pass_the_check(tiny_dataset: Path):
    check_images(clips_of(tiny_dataset))


@pytest.mark.parametrize("workers", [0, 3])
def test_every_broken_image_is_found(tiny_dataset: Path, workers: int):
    clips = clips_of(tiny_dataset)
    truncate(clips[0].frame_path(1))
    clips[3].frame_path(0).write_bytes(b"")
    clips[5].frame_path(4).write_text("not an image")
    clips[7].frame_path(2).unlink()
    clips[8].frame_path(2).unlink()
    clips[8].frame_path(2).mkdir()
    with pytest.raises(DataError) as caught:
        check_images(clips, workers)
    found = [problem.split(":")[0] for problem in caught.value.problems]
    places = [(0, 1), (3, 0), (5, 4), (7, 2), (8, 2)]
    assert found == [str(clips[clip].frame_path(frame)) for clip, frame in places]


def test_images_outside_the_clips_are_not_checked(tiny_dataset: Path):
    (tiny_dataset / "c0" / "c0_5.jpg").write_text("not an image")
    check_images(clips_of(tiny_dataset))


def test_jpeg_with_trailing_bytes_passes(tiny_dataset: Path):
    clips = clips_of(tiny_dataset)
    with clips[0].frame_path(0).open("ab") as file:
        file.write(b"\0\0\0")
    check_images(clips)
    assert read_frame(clips[0].frame_path(0)).shape == (3, 40, 40)


def test_truncation_is_found_at_any_position(tmp_path: Path):
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


def difference(image_CHW: torch.Tensor, expected: Image.Image) -> float:
    expected_CHW = F.pil_to_tensor(expected)
    assert image_CHW.shape == expected_CHW.shape
    return float((image_CHW.float() - expected_CHW.float()).abs().mean())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_images_are_rotated_according_to_exif(tmp_path: Path, orientation: int, kind: str):
    exif, path = Image.Exif(), tmp_path / "a.jpg"
    exif[0x0112] = orientation
    gradient(90, 60).save(path, kind, exif=exif, quality=95)
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    assert upright.size == ((60, 90) if orientation >= 5 else (90, 60))
    assert difference(read_frame(path), upright) == 0
    assert read_frame(path, resize=30).shape == ((3, 45, 30) if orientation >= 5 else (3, 30, 45))
    assert ("EXIF-rotated" in read_image_and_traits(path)[1]) == (orientation > 1)


def test_damaged_exif_data_is_ignored(tmp_path: Path):
    gradient(90, 60).save(tmp_path / "a.jpg", quality=95, exif=b"Exif\0\0no TIFF at all")
    assert read_frame(tmp_path / "a.jpg").shape == (3, 60, 90)


def test_cmyk_keeps_its_colours(tmp_path: Path):
    path = tmp_path / "a.jpg"
    gradient(90, 60).convert("CMYK").save(path, quality=95)
    assert Image.open(path).mode == "CMYK"
    assert difference(read_frame(path), gradient(90, 60)) < 3
    assert difference(read_frame(path, resize=30), gradient(90, 60).resize((45, 30))) < 4
    assert read_image_and_traits(path)[1] == ["CMYK"]


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path):
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "a.jpg", "PNG")
    expected = torch.from_numpy(np.round(values / 257).astype(np.uint8)).expand(3, 64, 64)
    assert torch.equal(read_frame(tmp_path / "a.jpg"), expected)
    assert read_image_and_traits(tmp_path / "a.jpg")[1] == ["PNG named .jpg", "16-bit"]


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
    assert "16-bit" in read_image_and_traits(tmp_path / "a.jpg")[1]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_png_named_jpg_is_read_by_its_content(tmp_path: Path, mode: str):
    path, image = tmp_path / "a.jpg", gradient(90, 60).convert(mode)
    image.save(path, "PNG")
    assert difference(read_frame(path), image.convert("RGB")) == 0
    assert read_image_and_traits(path)[1] == ["PNG named .jpg"]


def save_animation(path: Path, kind: str) -> None:
    images = [gradient(40, 30), ImageOps.mirror(gradient(40, 30)), gradient(40, 30)]
    images[0].save(path, kind, save_all=True, append_images=images[1:])


def save_truncated(path: Path, kind: str) -> None:
    gradient(90, 60).save(path, kind)
    truncate(path)


def claim_size(path: Path, width: int, height: int) -> None:
    """A small JPEG whose header states another size."""
    save(path, 64, 64)
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    path.write_bytes(data)


def claim_png(path: Path, width: int, height: int) -> None:
    write_png(path, width, height, depth=8, colour=2, rows=b"\0" * 1000)


SIDE = int(MAX_PIXELS**0.5)
REFUSED = {
    "empty": (lambda path: path.write_bytes(b""), "empty file"),
    "text": (lambda path: path.write_text("text"), "not an image"),
    "EPS": (lambda path: gradient(40, 30).save(path, "EPS"), "not an image"),
    "GIF": (lambda path: save_animation(path, "GIF"), "contains 3 images; expected a still image"),
    "APNG": (lambda path: save_animation(path, "PNG"), "contains 3 images; expected a still image"),
    "WebP": (lambda path: save_animation(path, "WEBP"), "contains 3 images; expected a still image"),
    "truncated JPEG": (lambda path: save_truncated(path, "JPEG"), "expected a complete JPEG"),
    "truncated PNG": (lambda path: save_truncated(path, "PNG"), "expected a complete JPEG"),
    "JPEG bomb": (lambda path: claim_size(path, 60_000, 60_000), "larger than 89 megapixels"),
    "PNG bomb": (lambda path: claim_png(path, 60_000, 60_000), "larger than 89 megapixels"),
    "a little too large": (lambda path: claim_size(path, SIDE + 10, SIDE + 10), "larger than 89 megapixels"),
    "very thin": (lambda path: claim_size(path, 60_000, 1_000), "has 60000 x 1000 pixels; expected an aspect ratio"),
    "32 bit": (lambda path: Image.new("F", (8, 8)).save(path, "TIFF"), "32-bit pixels"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", REFUSED)
def test_unsupported_images_are_refused_by_name(make_dataset: Callable, kind: str):
    write, words = REFUSED[kind]
    (clip,) = clips_of(make_dataset(clips=1, signers=0))
    path = clip.frame_path(2)
    write(path)
    for refuse in (read_frame, lambda path: read_frame(path, resize=32), lambda _: check_images([clip])):
        with pytest.raises(DataError) as caught:
            refuse(path)
        (problem,) = caught.value.problems
        assert problem.startswith(f"{path}: ") and words in problem


def test_every_readable_format_passes_the_check(make_dataset: Callable):
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
        claim_size(clip.frame_path(frame), SIDE - 10, SIDE - 10)  # 89 megapixels each: seconds to decode
    check_images([clip])


@pytest.mark.parametrize(("size", "crop"), [(24, 24), ([24], 24), ([24, 24], 24), ([16, 24], (16, 24))])
def test_reader_crops_to_the_height_and_width_of_the_config(tmp_path: Path, make_config: Callable, size, crop):
    config = make_config(tmp_path, {"augmentations_parameters.center_crop_size": size})
    read = build_reader(config)
    assert read.keywords["crop"] == crop  # a square is one number, whichever way it is given: caches depend on it
    height, width = config.augmentations_parameters.crop_sides
    assert read(save(tmp_path / "a.jpg", 90, 60)).shape == (3, height, width)
