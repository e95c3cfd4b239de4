"""A contact sheet of datasets: some clips, each with frames, name, signer and labels. All lengths are pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.metadata import HAMNOSYS, ClassNames, class_name
from hearai.errors import UserError
from hearai.files import require_writable_file
from hearai.reporting.clip_images.canvas import GREY, INK, MARGIN, fit_text, new_page, save_png, text_font
from hearai.reporting.clip_images.sample import count_classes, represent
from hearai.reporting.clip_images.tiles import COLOUR_KEY, LANDMARK_COLOURS, clip_tiles, paste_row, spread_frames
from hearai.reporting.figures import drawable_name, drawable_text
from hearai.sign.hamnosys import HEADS, MISSING, short_meaning

MOST_CLIPS, COLUMNS, FRAMES, TILE, GAP, CELL_GAP = 36, 3, 3, 160, 4, 20
"""Clips of a sheet, beside each other; frames of a clip, their longer side; the space between frames, between cells."""
NAME, TEXT, LINE = 14, 12, 17
"""Sizes of the fonts, and from one line to the next."""
MOST_HEADS = 12
"""Heads of a clip that are listed."""
COLOURS = 128
"""Of the file's palette: the sheet of 36 clips of drawn signers has half the size of one with all colours."""
CELL_WIDTH = FRAMES * TILE + (FRAMES - 1) * GAP


def check_sheet_path(path: Path) -> None:
    """Refuses a file that cannot be written, before anything is read.

    Raises:
        UserError: another ending than .png, or no permission.
    """
    if path.suffix.lower() != ".png":
        found = f"ends in {path.suffix}" if path.suffix else "has no ending"
        raise UserError(f"--contact-sheet {path}: {found}; give a file name that ends in .png")
    require_writable_file(path, "--contact-sheet")


def write_contact_sheet(clips: Sequence[Clip], names: Mapping[str, ClassNames], path: Path) -> str:
    """Writes a PNG of clips that represent all of them; returns what it shows, such as `36 of 160 clips, ...`.

    Args:
        clips: at least one; with the labels of all annotation files.
        names: {dataset: {head: {class: name}}}, without those of HamNoSys heads.
    """
    assert clips, "expected at least one clip"
    shown = sorted(represent(clips, MOST_CLIPS), key=_place)  # those of a class beside each other
    summary = describe(shown, clips)
    cells = [_cell(clip, names.get(clip.dataset, {}), several=len(names) > 1) for clip in shown]
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    heights = [max(cell.height for cell in row) + CELL_GAP for row in rows]
    columns = min(COLUMNS, len(cells))
    top = MARGIN + 56
    width = 2 * MARGIN + max(columns, 2) * CELL_WIDTH + (max(columns, 2) - 1) * CELL_GAP  # two: room for the title
    page, draw = new_page(width, top + sum(heights))
    title, small = text_font(20, bold=True), text_font(TEXT)
    folders = ", ".join(dict.fromkeys(str(clip.folder) for clip in shown))
    draw.text((MARGIN, MARGIN + 10), fit_text(drawable_text(folders), title, width - 2 * MARGIN), INK, title, "lm")
    has_landmarks = any(clip.landmarks_path.exists() for clip in shown)
    line = f"{summary}; {COLOUR_KEY}" if has_landmarks else summary
    draw.text((MARGIN, MARGIN + 34), fit_text(drawable_text(line), small, width - 2 * MARGIN), GREY, small, "lm")
    for row, height in zip(rows, heights, strict=True):
        paste_row(page, row, MARGIN, top, CELL_GAP)
        top += height
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(page, path, colours=COLOURS, keep=LANDMARK_COLOURS)
    return summary


def _place(clip: Clip) -> tuple[str, tuple[int, ...]]:
    return clip.dataset_name, tuple(clip.labels.values())


def describe(shown: Sequence[Clip], clips: Sequence[Clip]) -> str:
    """How much of the clips, signers and classes is shown; of more than three heads, the sum of their classes."""
    heads = dict.fromkeys(head for clip in clips for head in clip.labels)
    counts = {head: (count_classes(shown, head), count_classes(clips, head)) for head in heads}
    parts = [_of(len(shown), len(clips), "clip")]
    signers = {clip.signer for clip in clips} - {None}
    if signers:
        parts.append(_of(len({clip.signer for clip in shown} - {None}), len(signers), "signer"))
    if len(counts) > 3:
        few, all_classes = (sum(column) for column in zip(*counts.values(), strict=True))
        parts.append(_of(few, all_classes, "class", f" of {len(counts)} heads"))
    else:
        parts += [_of(*found, "class", f" of {head}") for head, found in counts.items()]
    return ", ".join(parts)


def _of(shown: int, count: int, unit: str, whose: str = "") -> str:
    """`3 of 5 clips`, `all 5 classes of gloss`, `1 clip`. whose: ` of gloss`."""
    plural = f"{unit}es" if unit.endswith("s") else f"{unit}s"
    if count == 1:
        return f"1 {unit}{whose}"
    return f"all {count:,} {plural}{whose}" if shown == count else f"{shown:,} of {count:,} {plural}{whose}"


def _cell(clip: Clip, names: ClassNames, *, several: bool) -> Image.Image:
    """The frames of a clip, and below them its name, signer and labels. several: the name begins with the dataset's."""
    tiles = clip_tiles(clip, TILE)
    labels = [(head, label) for head, label in clip.labels.items() if label != MISSING][:MOST_HEADS]
    page, draw = new_page(CELL_WIDTH, tiles.size[1] + LINE * (2 + len(labels)) + 6)
    paste_row(page, [tiles.draw(frame) for frame in spread_frames(clip, FRAMES)], 0, 0, GAP)
    top, small = tiles.size[1] + 6 + LINE / 2, text_font(TEXT)
    title = text_font(NAME, bold=True)
    name = clip.key if several else clip.name
    draw.text((0, top), fit_text(drawable_text(name), title, CELL_WIDTH), INK, title, "lm")
    draw.text((0, top + LINE), fit_text(drawable_text(_facts(clip)), small, CELL_WIDTH), GREY, small, "lm")
    for number, (head, label) in enumerate(labels, start=2):
        shown = f"{head.replace('_', ' ')}: "
        draw.text((0, top + number * LINE), drawable_text(shown), GREY, small, "lm")
        left = small.getlength(shown)
        word = fit_text(_word(names, head, label), small, CELL_WIDTH - left)
        draw.text((left, top + number * LINE), word, INK, small, "lm")
    return page


def _facts(clip: Clip) -> str:
    facts = [f"signer {clip.signer}"] if clip.signer is not None else []
    facts.append(f"frames {clip.start} to {clip.end}")
    facts += [f"{clip.fps:g} fps"] if clip.fps else []
    return ", ".join([*facts, clip.split] if clip.split else facts)


def _word(names: ClassNames, head: str, label: int) -> str:
    """The number of a class and its name; the number alone where no list names it."""
    if head in HEADS:
        return f"{label} {short_meaning(class_name(HAMNOSYS, head, label))}"
    name = class_name(names, head, label)
    return name if name == str(label) else f"{label} {drawable_name(name, label)}"
