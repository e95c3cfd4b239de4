"""Who signs: skin, build, clothes, hair, camera, background, light and handedness."""

from dataclasses import dataclass

import numpy as np
from PIL import ImageColor

SKINS = ("#f5d6be", "#ecc4a6", "#e0b28e", "#d09c76", "#ba8460", "#9e6c4c", "#80543a", "#644230")
CLOTHES = ("#263a60", "#1e544e", "#3c3c42", "#1c1e24", "#602854", "#2c6434", "#463278", "#286e96")
HAIR = ("#281c16", "#543620", "#141214", "#a88046", "#783c24", "#969492")
WALLS = ("#c4ccd2", "#96aab0", "#d4d8c8", "#7c8c80", "#b0b0c4", "#687488", "#dedee2", "#8ca0c4")

LEFT_HANDED = 0.44
"""Share of left-handed signers, as in the Polish videos."""

Colour = tuple[float, float, float]
"""A colour, 0..255."""


@dataclass(frozen=True)
class Signer:
    """Appearance of one person, the room and the camera; lengths are factors around 1, angles in degrees."""

    name: str
    left_handed: bool
    skin: Colour
    hair: Colour
    hair_style: int
    """0 short, 1 long, 2 bun, 3 bald, 4 curly."""
    beard: bool
    top: Colour
    long_sleeves: bool
    shoulders: float
    head: float
    thickness: float
    hand: float
    yaw: float
    pitch: float
    """Negative: the camera looks down, so that hands pointing out and in, or palms up and down, look different."""
    roll: float
    zoom: float
    shift: tuple[float, float]
    wall: Colour
    wall_style: int
    """0 plain, 1 gradient, 2 panelled, 3 a window, 4 shelves."""
    light: float
    """Brightness factor."""
    light_side: float
    """-1 from the image's left .. 1 from its right."""


def make_signers(count: int, seed: int = 0) -> list[Signer]:
    """`count` people, the same for the same seed.

    Each attribute is dealt out in shuffled rounds, so that any few signers span its range.
    """
    rng = np.random.default_rng([seed, 1])

    def deal(kinds: int) -> list[int]:
        rounds = [rng.permutation(kinds) for _ in range(-(-count // kinds))]
        return np.concatenate(rounds)[:count].tolist()

    left = rng.permutation(count) < round(LEFT_HANDED * count)
    kinds = (len(SKINS), len(HAIR), 5, 4, len(CLOTHES), 2, len(WALLS), 5)
    looks = zip(*(deal(k) for k in kinds), strict=True)
    return [_signer(i, bool(left[i]), look=look, rng=rng) for i, look in enumerate(looks)]


def _signer(number: int, left_handed: bool, *, look: tuple[int, ...], rng: np.random.Generator) -> Signer:
    skin, hair, hair_style, beard, top, sleeves, wall, wall_style = look

    def around(centre: float, spread: float) -> float:
        return float(centre + spread * rng.uniform(-1, 1))

    def tinted(colour: str, spread: float) -> Colour:
        red, green, blue = (float(np.clip(c + rng.uniform(-spread, spread), 8, 248)) for c in ImageColor.getrgb(colour))
        return red, green, blue

    return Signer(
        name=f"signer{number:02d}",
        left_handed=left_handed,
        skin=tinted(SKINS[skin], 6),
        hair=tinted(HAIR[hair], 8),
        hair_style=hair_style,
        beard=beard == 0,
        top=tinted(CLOTHES[top], 14),
        long_sleeves=bool(sleeves),
        shoulders=around(1, 0.1),
        head=around(1, 0.06),
        thickness=around(1, 0.14),
        hand=around(1, 0.06),
        yaw=around(0, 7),
        pitch=around(-12, 4),
        roll=around(0, 2),
        zoom=around(1, 0.05),
        shift=(around(0, 0.03), around(0, 0.02)),
        wall=tinted(WALLS[wall], 12),
        wall_style=wall_style,
        light=around(1, 0.1),
        light_side=around(0, 1),
    )
