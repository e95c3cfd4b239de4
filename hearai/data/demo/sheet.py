"""The demo data's contact sheet: every class of every head once, captioned, ordered by head."""

import numpy as np
from PIL import Image, ImageDraw

from hearai.data.demo.render import render_clip
from hearai.data.demo.signer import Signer
from hearai.sign.hamnosys import HEADS

NEUTRAL = {"hand_shape_base_form": 1, "hand_position_palm_orientation": 4, "hand_location_y": 14}
"""The posture of which each picture changes one head: a flat hand before the chest, palm out."""
BASE_FOR = {
    "hand_shape_thumb_position": {"hand_shape_base_form": 5},
    "hand_location_y": {"hand_shape_base_form": 2, "hand_position_finger_direction": 7},
}
"""Heads that show better on another hand."""
COLUMNS = 10
CAPTION = 36
TITLE = 18


def contact_sheet(signers: list[Signer], *, size: int, seed: int) -> Image.Image:
    """One picture per class with its number and meaning, a row of pictures or more per head."""
    cell = max(size, 128)
    blocks = [_block(head, signers, cell=cell, seed=seed) for head in HEADS]
    sheet = Image.new("RGB", (COLUMNS * cell, sum(b.height for b in blocks)), "white")
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    return sheet


def _block(head: str, signers: list[Signer], *, cell: int, seed: int) -> Image.Image:
    """All classes of one head."""
    # y class 0 is never written and means the same as 14
    classes = [c for c in HEADS[head].classes if not (head == "hand_location_y" and c.index == 0)]
    rows = -(-len(classes) // COLUMNS)
    block = Image.new("RGB", (COLUMNS * cell, TITLE + rows * (cell + CAPTION)), "white")
    draw = ImageDraw.Draw(block)
    draw.text((4, 3), head, fill="black")
    for i, c in enumerate(classes):
        labels = dict.fromkeys(HEADS, 0) | NEUTRAL | BASE_FOR.get(head, {}) | {head: c.index}
        signer = signers[(i * 7 + len(head)) % len(signers)]
        rng = np.random.default_rng([seed, 4, i])
        picture = render_clip(labels, signer, frames=1, size=cell, rng=rng)[0][0]
        x, y = i % COLUMNS * cell, TITLE + i // COLUMNS * (cell + CAPTION)
        block.paste(picture, (x, y))
        hand = " (left-handed)" if signer.left_handed else ""
        draw.multiline_text(
            (x + 3, y + cell + 1),
            _wrapped(f"{c.index} {c.meaning}{hand}", cell // 6),
            fill="black",
            spacing=1,
        )
    return block


def _wrapped(text: str, width: int) -> str:
    """Two or three short lines; what does not fit is left out."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(line[: width + 2] for line in lines[:3])
