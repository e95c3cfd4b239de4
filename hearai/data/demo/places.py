"""Where the demo signer's hands are: places on head and body, and the arm that is itself the place.

Signer space: x to the signer's right, y up, z towards the camera; shoulder line y = 0, top of the
head y about 1.1, hips about -1.6; a right-handed signer (a left-handed one is the mirror picture).
"""

from dataclasses import dataclass

TIP, PALM = "tip", "palm"


@dataclass(frozen=True)
class Place:
    """A body part: a point, how the hand meets it, and how far `at` and `background` are from its middle."""

    point: tuple[float, float, float]
    meet: str = TIP
    """TIP: the fingertips touch the point. PALM: the palm is in front of it."""
    at: float = 0.26
    background: float = 0.62
    clear: float = 0.0
    """The fingertips stop so far short of the point, or the hand would cover what it shows."""
    on_head: bool = True
    """The point moves with the head."""
    paired: bool = False
    """There is one on each side and none in the middle: x "none" means the one of the signing hand."""


PLACES: dict[int, Place] = {
    1: Place((0, 1.10, 0.15), meet=PALM, at=0.26),
    2: Place((0, 0.84, 0.34), meet=PALM, at=0.32, background=0.70),
    3: Place((0, 0.90, 0.32), clear=0.03),
    4: Place((0, 0.58, 0.46), clear=0.09),
    5: Place((0, 0.52, 0.42), clear=0.07),
    6: Place((0, 0.42, 0.38), clear=0.09),
    7: Place((0, 0.35, 0.40), clear=0.13),
    8: Place((0, 0.42, 0.38), clear=0.11),
    9: Place((0, 0.28, 0.36)),
    10: Place((0, 0.20, 0.28)),
    11: Place((0, 0.08, 0.20), on_head=False),
    12: Place((0, 0.06, 0.14), at=0.46, background=0.86, on_head=False, paired=True),
    13: Place((0, 0.0, 0.45), meet=PALM, at=0.42, background=0.92, on_head=False),
    14: Place((0, -0.44, 0.45), meet=PALM, at=0.42, background=0.92, on_head=False),
    15: Place((0, -0.82, 0.45), meet=PALM, at=0.42, background=0.92, on_head=False),
    16: Place((0, -1.18, 0.45), meet=PALM, at=0.42, background=0.92, on_head=False),
    17: Place((0, 0.79, 0.34), clear=0.06),
    18: Place((0, 0.71, 0.34), clear=0.09),
    19: Place((0, 0.68, 0.06), at=0.38, background=0.74, paired=True),
    20: Place((0, 0.44, 0.08), at=0.35, background=0.72, paired=True),
    21: Place((0, 0.46, 0.30), clear=0.06, paired=True),
}
"""Location classes on head and trunk. Class 0 is never written; it means the chest as 14 does."""


@dataclass(frozen=True)
class ArmPlace:
    """A part of the other arm, and the pose in which that arm shows it to the camera (a left arm)."""

    wrist: tuple[float, float, float]
    fingers: tuple[float, float, float]
    palm: tuple[float, float, float]
    form: int
    thumb: int
    touched: tuple[tuple[int, float], ...]
    """Weighted hand joints whose mean is touched; joint -1 is the elbow and -2 the shoulder."""
    bending: int = 0


UP, RIGHT, LEFT, OUT = (0, 1, 0), (1, 0, 0), (-1, 0, 0), (0, 0, 1)
ACROSS = (0.85, 0.5, 0)
DOWN, IN = (0, -1, 0), (0, 0, -1)

ARM_PLACES: dict[int, ArmPlace] = {
    22: ArmPlace((0.10, -1.08, 0.45), RIGHT, IN, 0, 0, ((-1, 0.38), (-2, 0.62))),
    23: ArmPlace((-1.00, -0.22, 0.35), UP, OUT, 0, 0, ((-1, 0.85), (-2, 0.15))),
    24: ArmPlace((-0.78, -0.72, 0.45), ACROSS, IN, 2, 0, ((8, 1.0),)),
    25: ArmPlace((-0.78, -0.72, 0.45), ACROSS, OUT, 2, 2, ((7, 0.4), (8, 0.6))),
    26: ArmPlace((-0.80, -0.50, 0.45), RIGHT, IN, 3, 0, ((7, 0.3), (8, 0.7))),
    27: ArmPlace((-0.75, -0.72, 0.45), ACROSS, IN, 5, 1, ((10, 1.0),), bending=4),
    28: ArmPlace((-0.70, -0.66, 0.45), ACROSS, IN, 0, 1, ((9, 1.0),)),
    29: ArmPlace((-0.75, -0.60, 0.45), ACROSS, OUT, 4, 2, ((6, 0.6), (7, 0.4))),
    30: ArmPlace((-0.60, -0.55, 0.45), RIGHT, IN, 1, 0, ((0, 0.4), (9, 0.6))),
    31: ArmPlace((-0.55, -0.80, 0.45), UP, OUT, 1, 0, ((0, 0.4), (9, 0.6))),
    32: ArmPlace((-0.50, -0.36, 0.45), UP, IN, 0, 0, ((0, 1.0),)),
    33: ArmPlace((0.00, -0.60, 0.50), RIGHT, IN, 0, 1, ((0, 0.5), (-1, 0.5))),
    34: ArmPlace((-0.50, -0.70, 0.45), LEFT, OUT, 5, 1, ((1, 0.3), (2, 0.7))),
    35: ArmPlace((-0.50, -0.75, 0.45), UP, RIGHT, 1, 0, ((17, 0.6), (0, 0.4))),
    36: ArmPlace((-0.60, -0.70, 0.45), RIGHT, UP, 1, 0, ((5, 0.7), (0, 0.3))),
}
"""Location classes on the other arm: each in a fixed pose of its own, so that it can be read at a glance."""


@dataclass(frozen=True)
class TwoHands:
    """What the second hand does under a symmetry class."""

    mirrored: bool
    lower: float = 0.0
    behind: float = 0.0

    @property
    def alternating(self) -> bool:
        """The hands move against each other."""
        return self.lower > LEAD or self.behind > 0


LEAD = 0.12
"""Parallel hands: the dominant one is a little higher, or nobody could tell which one the labels mean
(a left-handed signer is the mirror picture, and mirrored labels would fit the other hand)."""

SYMMETRY: dict[int, TwoHands] = {
    1: TwoHands(True, lower=0.52, behind=0.7),
    2: TwoHands(False, lower=0.52, behind=0.7),
    3: TwoHands(True, behind=0.7),
    4: TwoHands(False, lower=LEAD, behind=0.7),
    5: TwoHands(True, lower=0.52),
    6: TwoHands(False, lower=0.52),
    7: TwoHands(True),
    8: TwoHands(False, lower=LEAD),
}
GAP = 0.32
"""Half the distance between two mirrored hands when x says nothing."""
TWO_HANDED_SIDES = (0.60, 0.90)
"""The same at and beside everything, since a hand's width is already between the two."""
PAIR = 0.48
"""Distance between two parallel hands: closer than mirrored ones."""


def side_offset(place: Place, x: int, *, two_handed: bool) -> float:
    """Signer-x of the hand for a class of the x head: 1 and 2 lie on the left, 3 and 4 on the right."""
    if x == 0 and not place.paired:
        return GAP if two_handed else 0.0
    at, background = TWO_HANDED_SIDES if two_handed else (place.at, place.background)
    return {0: at, 1: -background, 2: -at, 3: background, 4: at}[x]
