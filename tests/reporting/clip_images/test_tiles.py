"""Tiles of a clip's frames: images with landmarks over them, landmarks alone, and what cannot be decoded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hearai.config.field_types import FrozenDict
from hearai.data.annotations.clip import Clip
from hearai.reporting.clip_images.canvas import EMPTY, fit_text, text_font
from hearai.reporting.clip_images.tiles import BACKGROUND, LEFT_COLOUR, RIGHT_COLOUR, clip_tiles, spread, spread_frames


@pytest.fixture
def clip(make_dataset: Callable[..., Path]) -> Clip:
    """Five frames of 40 x 40 pixels with landmarks; no left hand in frame 0."""
    return Clip("c0", make_dataset(clips=1, landmarks=True), 0, 4, FrozenDict())


def has_colour(image: Image.Image, colour: str) -> bool:
    wanted = tuple(bytes.fromhex(colour[1:]))
    return bool((np.asarray(image) == wanted).all(-1).any())


def test_frames_are_spread_over_the_clip(clip: Clip) -> None:
    assert spread(16, 4) == [2, 6, 10, 14] and spread(3, 8) == [0, 1, 2] and spread(1, 3) == [0]
    assert spread_frames(replace(clip, start=10, end=15), 3) == [11, 13, 15]


def test_known_landmarks_are_drawn_over_the_image(clip: Clip) -> None:
    tiles = clip_tiles(clip, 120)
    first, second = tiles.draw(0), tiles.draw(1)
    assert first.size == second.size == (120, 120)
    assert not has_colour(first, LEFT_COLOUR) and has_colour(first, RIGHT_COLOUR)
    assert has_colour(second, LEFT_COLOUR)
    clip.landmarks_path.unlink()
    assert not has_colour(clip_tiles(clip, 120).draw(1), LEFT_COLOUR)


def test_a_clip_without_images_shows_its_landmarks(clip: Clip) -> None:
    for frame in range(5):
        clip.frame_path(frame).unlink()
    tile = clip_tiles(clip, 90).draw(1)
    assert tile.size == (90, 90) and has_colour(tile, BACKGROUND) and has_colour(tile, LEFT_COLOUR)


def test_tiles_keep_the_proportions(clip: Clip) -> None:
    for frame in range(5):
        Image.new("RGB", (64, 128), "white").save(clip.frame_path(frame))
    assert clip_tiles(clip, 100).size == (50, 100)


def test_damaged_files_are_shown_as_such(clip: Clip, caplog: pytest.LogCaptureFixture) -> None:
    clip.frame_path(0).write_bytes(b"")
    clip.landmarks_path.write_bytes(b"PK")
    tiles = clip_tiles(clip, 100)
    assert "its landmarks are not drawn" in caplog.text
    assert tiles.size == (100, 100) and has_colour(tiles.draw(0), EMPTY) and not has_colour(tiles.draw(1), EMPTY)
    for frame in range(1, 5):
        clip.frame_path(frame).unlink()
    assert has_colour(clip_tiles(clip, 100).draw(3), EMPTY), "neither images nor landmarks"


def test_text_is_shortened_to_its_width() -> None:
    font = text_font(14)
    assert fit_text("short", font, 200) == "short"
    shown = fit_text("a rather long name " * 9, font, 200)
    assert shown.endswith("\N{HORIZONTAL ELLIPSIS}") and font.getlength(shown) <= 200
    assert fit_text("x", font, 1) == "\N{HORIZONTAL ELLIPSIS}"
