"""Saves a prediction as an image or a video: frames of the clip with landmarks, and the predicted classes.

All lengths are pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from hearai.data.annotations.clip import Clip
from hearai.errors import UserError
from hearai.files import MAX_NAME, atomic_write, require_writable_file
from hearai.reporting.clip_images.canvas import GREY, INK, MARGIN, fit_text, new_page, save_png, text_font
from hearai.reporting.clip_images.prediction_panel import draw_panel, most_entries, sections_of
from hearai.reporting.clip_images.tiles import COLOUR_KEY, clip_tiles, paste_row, spread
from hearai.reporting.figures import drawable_text

WIDTH, MOST_FRAMES, FRAMES_PER_ROW, GAP = 1200, 8, 4, 8
"""Of an image: its width, how many frames it shows, and the space between them."""
VIDEO_SIDE, VIDEO_PANEL = 480, 440
"""Of a video: the longer side of a frame, and the width of the classes beside it."""
DEFAULT_FPS = 25
"""Of a clip whose frames per second are unknown."""
CODECS = ("libx264", "mpeg4")
"""The first one that this PyAV can write is used; browsers play H.264."""


def save_image(clip: Clip, row: Mapping[str, Any], seen: Sequence[int], path: Path) -> None:
    """Writes a PNG: frames that the model saw, then the classes. seen: numbers of these frames."""
    frames = [seen[place] for place in spread(len(seen), MOST_FRAMES)]
    columns = min(FRAMES_PER_ROW, len(frames))
    inside = WIDTH - 2 * MARGIN
    tiles = clip_tiles(clip, (inside - GAP * (FRAMES_PER_ROW - 1)) // FRAMES_PER_ROW)
    rows = [frames[start : start + columns] for start in range(0, len(frames), columns)]
    sections = sections_of(row)
    panel = draw_panel(sections, inside, columns=2)
    frames_top = MARGIN + 52
    panel_top = frames_top + len(rows) * (tiles.size[1] + GAP) + 12
    page, draw = new_page(WIDTH, panel_top + panel.height + MARGIN)
    title = text_font(20, bold=True)
    draw.text((MARGIN, MARGIN + 10), fit_text(drawable_text(clip.name), title, inside), INK, title, anchor="lm")
    shown = f"frames {', '.join(map(str, frames))} of the clip's {clip.start} to {clip.end}"
    shown += f"; {COLOUR_KEY}" if tiles.points_FP3 is not None else ""
    draw.text((MARGIN, MARGIN + 34), fit_text(shown, text_font(12), inside), GREY, text_font(12), anchor="lm")
    for number, numbers in enumerate(rows):
        top = frames_top + number * (tiles.size[1] + GAP)
        paste_row(page, [tiles.draw(frame) for frame in numbers], MARGIN, top, GAP)
    page.paste(panel, (MARGIN, panel_top))
    save_png(page, path)


def save_video(clip: Clip, row: Mapping[str, Any], seen: Sequence[int], path: Path) -> None:
    """Writes an mp4: all frames of the clip at its own speed, with the classes beside them. seen: not used."""
    import av

    tiles = clip_tiles(clip, VIDEO_SIDE)
    panel = draw_panel(sections_of(row, most_entries(row, VIDEO_SIDE)), VIDEO_PANEL, columns=1)
    left = tiles.size[0] + 2 * MARGIN
    width, height = left + VIDEO_PANEL + MARGIN, max(tiles.size[1], panel.height) + 2 * MARGIN
    page, _ = new_page(width + width % 2, height + height % 2)  # the codec halves the resolution of colours
    page.paste(panel, (left, MARGIN))
    rate = Fraction(clip.fps or DEFAULT_FPS).limit_denominator(1000)
    with atomic_write(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        codec = next(name for name in CODECS if name in av.codecs_available)
        stream = container.add_stream(codec, rate=rate, width=page.width, height=page.height, pix_fmt="yuv420p")
        for frame in range(clip.start, clip.end + 1):
            page.paste(tiles.draw(frame), (MARGIN, MARGIN))
            container.mux(stream.encode(av.VideoFrame.from_image(page)))
        container.mux(stream.encode())


WRITERS: dict[str, Callable[[Clip, Mapping[str, Any], Sequence[int], Path], None]] = {
    ".png": save_image,
    ".mp4": save_video,
}
"""{ending of the file: (clip, row of `prediction_rows`, numbers of the frames that the model saw, file) -> None}"""


def save_paths(path: Path, clips: Sequence[Path]) -> list[Path]:
    """The file of each clip: `path`; of several clips `OUT-NAME.png`, or `OUT-1.png` where names are the same.

    Raises:
        UserError: the ending is not one of WRITERS, or a file cannot be written or is one of the clips.
    """
    if path.suffix.lower() not in WRITERS:
        found = f"ends in {path.suffix}" if path.suffix else "has no ending"
        raise UserError(f"--save {path}: {found}; give a file name that ends in {' or '.join(WRITERS)}")
    paths = [path] if len(clips) == 1 else [path.with_name(name) for name in _names(path, clips)]
    originals = {clip.resolve() for clip in clips}
    for one in paths:
        require_writable_file(one, "--save")
        if one.resolve() in originals:
            raise UserError(f"--save {one}: is one of the clips, which would be replaced; give another file name")
    return paths


def _names(path: Path, clips: Sequence[Path]) -> list[str]:
    endings = [clip.resolve().name if clip.is_dir() else clip.stem for clip in clips]
    names = [f"{path.stem}-{ending}{path.suffix}" for ending in endings]
    if len(set(names)) == len(names) and max(map(len, names)) <= MAX_NAME:
        return names
    return [f"{path.stem}-{number}{path.suffix}" for number in range(1, len(clips) + 1)]


def save_prediction(clip: Clip, row: Mapping[str, Any], seen: Sequence[int], path: Path) -> None:
    """Writes the image or the video, by the ending of `path`; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.suffix.lower()](clip, row, seen, path)
