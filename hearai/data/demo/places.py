"""The label classes as geometry: locations on head, trunk and other arm, and what a second hand does.

Signer space: x to the signer's right, y up, z towards the camera; shoulder line y = 0, top of the
head y about 1.1, hips about -1.6; a right-handed signer (a left-handed one is the mirror image).
"""

from dataclasses import dataclass

Point = tuple[float, float, float]

TIP, PALM = "tip", "palm"


@dataclass(frozen=True)
class Expression:
    """How the face indicates a place; each 0 (not at all) .. 1, brows and look -1 .. 1."""

    tongue: float = 0
    teeth: float = 0
    purse: float = 0
    flare: float = 0
    nose: float = 0
    eyes_shut: float = 0
    look: float = 0
    brows: float = 0
    puff: float = 0
    jaw: float = 0

    def scaled(self, amount: float) -> "Expression":
        """A weaker form of the expression."""
        return Expression(**{name: value * amount for name, value in vars(self).items()})


@dataclass(frozen=True)
class Place:
    """A body part: a point, how the hand meets it, and how head and face indicate it."""

    point: Point
    meet: str = TIP
    """TIP: the fingertips touch the point. PALM: the palm is in front of it."""
    at: float = 0.26
    background: float = 0.62
    """Distances of the x classes "at" and "in the background" from the middle of the body part."""
    clear: float = 0.0
    """The fingertips stop this far short of the point, or the hand would cover what it indicates."""
    on_head: bool = True
    """The point moves with the head."""
    paired: bool = False
    """There is one on each side and none in the middle: x "none" means the one on the side of the signing hand."""
    shrug: bool = False
    """The shoulder of the signing hand is raised to meet the hand."""
    head: Point = (0, 0, 0)
    """Yaw (to the signer's right), pitch (up) and roll (to the right) of the head in degrees. Signers present the
    place as people do, so that places a few pixels apart look different."""
    face: Expression = Expression()


PLACES: dict[int, Place] = {
    1: Place((0, 1.10, 0.15), meet=PALM, at=0.26, head=(0, -20, 0), face=Expression(look=1)),
    2: Place((0, 0.84, 0.34), meet=PALM, at=0.32, background=0.70, head=(0, 0, -13)),
    3: Place((0, 0.90, 0.32), clear=0.03, face=Expression(look=1, brows=-1)),
    4: Place((0, 0.58, 0.46), clear=0.09, face=Expression(look=-1, nose=1)),
    5: Place((0, 0.52, 0.42), clear=0.07, head=(0, 16, 0), face=Expression(flare=1)),
    6: Place((0, 0.42, 0.38), clear=0.09, face=Expression(purse=1)),
    7: Place((0, 0.35, 0.40), clear=0.13, face=Expression(tongue=1)),
    8: Place((0, 0.42, 0.38), clear=0.11, face=Expression(teeth=1)),
    9: Place((0, 0.28, 0.36), head=(0, 9, 0), face=Expression(jaw=1, look=-1)),
    10: Place((0, 0.20, 0.28), head=(0, 24, 0)),
    11: Place((0, 0.08, 0.20), on_head=False, head=(-14, 14, 0)),
    12: Place((0, 0.06, 0.14), at=0.46, background=0.86, on_head=False, paired=True, shrug=True),
    13: Place((0, 0.0, 0.45), meet=PALM, at=0.42, background=0.92, on_head=False),
    14: Place((0, -0.44, 0.45), meet=PALM, at=0.42, background=0.92, on_head=False),
    15: Place((0, -0.82, 0.45), meet=PALM, at=0.42, background=0.92, on_head=False),
    16: Place((0, -1.18, 0.45), meet=PALM, at=0.42, background=0.92, on_head=False),
    17: Place((0, 0.79, 0.34), clear=0.06, face=Expression(brows=1)),
    18: Place((0, 0.71, 0.34), clear=0.09, face=Expression(eyes_shut=1)),
    19: Place((0, 0.68, 0.06), at=0.38, background=0.74, paired=True, head=(-26, 0, 0)),
    20: Place((0, 0.44, 0.08), at=0.35, background=0.72, paired=True, head=(-20, 0, -13)),
    21: Place((0, 0.46, 0.30), clear=0.06, paired=True, head=(14, 0, 8), face=Expression(puff=1)),
}
"""Location classes on head and trunk. Class 0 does not occur in the data; it means the chest, as 14 does."""


@dataclass(frozen=True)
class ArmPlace:
    """A part of the other arm, and the pose in which that arm presents it to the camera (a left arm)."""

    wrist: Point
    fingers: Point
    palm: Point
    form: int
    thumb: int
    touched: tuple[tuple[int, float], ...]
    """(hand joint, weight): their mean is touched; joint -1 is the elbow and -2 the shoulder."""
    bending: int = 0


UP, RIGHT, LEFT, OUT, IN = (0, 1, 0), (1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1)
ACROSS = (0.85, 0.5, 0)

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
"""Location classes on the other arm: each in a pose of its own, so that they are easy to tell apart."""


@dataclass(frozen=True)
class TwoHands:
    """What the second hand does under a symmetry class."""

    mirrored: bool
    """Mirrored to the first hand; else parallel to it."""
    lower: float = 0.0
    behind: float = 0.0

    @property
    def alternating(self) -> bool:
        """The hands move in opposite directions."""
        return self.lower > LEAD or self.behind > 0


LEAD = 0.12
"""Parallel hands: the dominant one is a little higher, or it would be ambiguous which one the labels describe
(a left-handed signer is the mirror image, and mirrored labels would fit the other hand)."""

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
"""Half the distance between two mirrored hands when the x class is "none"."""
TWO_HANDED_SIDES = (0.60, 0.90)
"""Half the distance for the x classes "at" and "in the background": wider, to leave room for both hands."""
PAIR = 0.48
"""Distance between two parallel hands: closer than mirrored ones."""


def side_offset(place: Place, x: int, *, two_handed: bool) -> float:
    """x of the hand in signer space for a class of the x head: 1 and 2 are on the left, 3 and 4 on the right."""
    if x == 0 and not place.paired:
        return GAP if two_handed else 0.0
    at, background = TWO_HANDED_SIDES if two_handed else (place.at, place.background)
    return {0: at, 1: -background, 2: -at, 3: background, 4: at}[x]
