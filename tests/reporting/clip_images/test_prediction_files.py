"""Predictions as images and videos: what they show, and which files are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from hearai.config.field_types import FrozenDict
from hearai.data.annotations.clip import Clip
from hearai.errors import UserError
from hearai.reporting.clip_images.prediction_files import save_paths, save_prediction
from hearai.reporting.clip_images.prediction_panel import MOST_LINES, most_entries, sections_of
from hearai.sign.hamnosys import HEADS


@pytest.fixture
def clip(make_dataset: Callable[..., Path]) -> Clip:
    """Five frames of 40 x 40 pixels."""
    return Clip("c0", make_dataset(clips=2), 0, 4, FrozenDict(), fps=12.5)


def row(heads: int = 1, top: int = 3) -> dict[str, Any]:
    """As of `prediction_rows`: classes of a gloss, or of the first heads of HamNoSys."""
    if heads == 1:
        classes = [{"class": k, "name": f"word {k}", "symbol": None, "confidence": 0.5 / (k + 1)} for k in range(top)]
        return {"clip": "c0", "heads": {"gloss": classes}, "uncertain": [], "unlike_training": None}
    chosen = list(HEADS.values())[:heads]
    shown = [
        (
            head.name,
            [{"class": c.index, "name": c.meaning, "symbol": c.symbol, "confidence": 0.3} for c in head.classes],
        )
        for head in chosen
    ]
    heads_shown = {name: classes[:top] for name, classes in shown}
    return {"clip": "c0", "heads": heads_shown, "uncertain": [], "unlike_training": None}


def test_an_image_grows_with_what_it_shows(clip: Clip, tmp_path: Path) -> None:
    save_prediction(clip, row(), [0, 2], tmp_path / "new" / "one.png")
    save_prediction(clip, row(heads=8), [0, 1, 2, 3, 4], tmp_path / "all.PNG")
    one, every = Image.open(tmp_path / "new" / "one.png"), Image.open(tmp_path / "all.PNG")
    assert one.width == every.width == 1200 and one.height < every.height
    assert len(one.convert("RGB").getcolors(10**6)) > 100, "frames, bars and text"


@pytest.mark.heavy
def test_a_video_has_all_frames_at_the_speed_of_the_clip(clip: Clip, tmp_path: Path) -> None:
    save_prediction(clip, row(heads=8), [0, 2], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(images) == 5 and stream.average_rate == 12.5 and stream.codec_context.name == "h264"
    assert images[0].shape[0] % 2 == images[0].shape[1] % 2 == 0
    left, right = (slice(24, 500), slice(24, 500)), (slice(24, 500), slice(540, 900))
    changes = [np.abs(images[1].astype(int) - images[0]).max(-1)[part].mean() for part in (left, right)]
    assert changes[0] > 10 > 1 > changes[1], "the frames change, the classes beside them do not"


def test_a_panel_fits_the_height_of_a_video() -> None:
    assert most_entries(row(top=20), 480) == MOST_LINES and len(sections_of(row(top=20))[0].entries) == MOST_LINES
    assert most_entries(row(heads=8), 480) == 1
    few = sections_of(row(heads=4), most_entries(row(heads=4), 480))
    assert sum(section.height for section in few) <= 480


def test_doubts_are_named() -> None:
    unlike = {"distance": 2.0, "limit": 1.0, "unlike": True}
    sections = sections_of({**row(), "uncertain": ["gloss"], "unlike_training": unlike})
    assert [section.title for section in sections] == ["unlike the training clips", "gloss (uncertain)"]
    assert all(section.is_doubtful for section in sections)
    (sure,) = sections_of({**row(), "unlike_training": {**unlike, "unlike": False}})
    assert sure.title == "gloss" and not sure.is_doubtful


def test_neighbours_are_sections_of_their_own() -> None:
    entries = {
        "glosses": [{"gloss": "house", "distance": 1.5}],
        "dictionary": [{"clip": "words/c1", "word": None, "distance": 0.25}],
    }
    *_, glosses, dictionary = sections_of({**row(), **entries})
    assert (glosses.entries[0].text, glosses.entries[0].value) == ("house", "1.50")
    assert (dictionary.entries[0].text, dictionary.entries[0].value) == ("words/c1", "0.250")


def test_each_of_several_clips_has_a_file(tmp_path: Path) -> None:
    clips = [tmp_path / "a" / "sign.mp4", tmp_path / "b"]
    assert save_paths(tmp_path / "out.png", clips[:1]) == [tmp_path / "out.png"]
    assert [path.name for path in save_paths(tmp_path / "out.mp4", clips)] == ["out-sign.mp4", "out-b.mp4"]
    same = [tmp_path / "a" / "sign.mp4", tmp_path / "b" / "sign.mp4"]
    assert [path.name for path in save_paths(tmp_path / "out.mp4", same)] == ["out-1.mp4", "out-2.mp4"]
    long = [tmp_path / ("x" * 220), tmp_path / "b"]
    assert [path.name for path in save_paths(tmp_path / "out.png", long)] == ["out-1.png", "out-2.png"]


def test_files_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    for name, found in (("out.jpg", "ends in .jpg"), ("out", "has no ending")):
        with pytest.raises(UserError, match=rf"{found}; give a file name that ends in \.png or \.mp4"):
            save_paths(tmp_path / name, [Path("c0")])
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match="is a file; give a folder"):
        save_paths(tmp_path / "file" / "out.png", [Path("c0")])
    with pytest.raises(UserError, match="a folder; give a file"):
        save_paths(tmp_path / "folder.png", [Path("c0")])
    with pytest.raises(UserError, match="is one of the clips, which would be replaced"):
        save_paths(tmp_path / "sign.mp4", [tmp_path / "sign.mp4"])
