"""Who signs: skin, build, clothes, hair, camera, background, light and handedness."""

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]
"""RGB, 0..255."""

SKINS: tuple[Colour, ...] = (
    (245, 214, 190),
    (236, 196, 166),
    (224, 178, 142),
    (208, 156, 118),
    (186, 132, 96),
    (158, 108, 76),
    (128, 84, 58),
    (100, 66, 48),
)
CLOTHES: tuple[Colour, ...] = (
    (38, 58, 96),
    (30, 84, 78),
    (60, 60, 66),
    (28, 30, 36),
    (96, 40, 84),
    (44, 100, 52),
    (70, 50, 120),
    (40, 110, 150),
)
HAIR: tuple[Colour, ...] = (
    (40, 28, 22),
    (84, 54, 32),
    (20, 18, 20),
    (168, 128, 70),
    (120, 60, 36),
    (150, 148, 146),
)
WALLS: tuple[Colour, ...] = (
    (196, 204, 210),
    (150, 170, 176),
    (212, 216, 200),
    (124, 140, 128),
    (176, 176, 196),
    (104, 116, 136),
    (222, 222, 226),
    (140, 160, 196),
)


@dataclass(frozen=True)
class Signer:
    """Looks of one person and of the room and camera; lengths are factors around 1, angles in degrees."""

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
    """Negative: the camera looks down, so that hands pointing out and in, or palms up and down, differ."""
    roll: float
    zoom: float
    shift: tuple[float, float]
    wall: Colour
    wall_style: int
    """0 plain, 1 gradient, 2 panelled, 3 a window, 4 shelves."""
    light: float
    """Brightness factor."""
    light_side: float
    """-1 from the picture's left .. 1 from its right."""


def make_signers(count: int, seed: int = 0) -> list[Signer]:
    """The cast: `count` people, 44 % left-handed as in the Polish videos, the same for the same seed.

    Looks are dealt out in shuffled rounds, so that any few signers span the range of each.
    """
    rng = np.random.default_rng([seed, 1])

    def deal(kinds: int) -> list[int]:
        rounds = [rng.permutation(kinds) for _ in range(-(-count // kinds))]
        return np.concatenate(rounds)[:count].tolist()

    left = rng.permutation(count) < round(0.44 * count)
    kinds = (len(SKINS), len(HAIR), 5, 4, len(CLOTHES), 2, len(WALLS), 5)
    looks = zip(*(deal(k) for k in kinds), strict=True)
    return [_signer(i, bool(left[i]), look=look, rng=rng) for i, look in enumerate(looks)]


def _signer(number: int, left_handed: bool, *, look: tuple[int, ...], rng: np.random.Generator) -> Signer:
    skin, hair, hair_style, beard, top, sleeves, wall, wall_style = look

    def around(centre: float, spread: float) -> float:
        return float(centre + spread * rng.uniform(-1, 1))

    def tinted(colour: Colour, spread: float) -> Colour:
        return tuple(float(np.clip(c + rng.uniform(-spread, spread), 8, 248)) for c in colour)

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
