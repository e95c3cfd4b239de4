"""What the demo signers sign: a lexicon of label tuples, and who signs which entry.

Every clip shows an entry of the lexicon, as in a dictionary, so that the gloss head can be learnt, and every class is
in several entries. Scores on unseen signers must be read accordingly: the signs themselves are known, so a network may
recognise the sign and recall its labels.
"""

from dataclasses import dataclass

import numpy as np

from hearai.sign.hamnosys import HEADS

CLIPS_PER_ENTRY = 8
"""1,600 clips give a lexicon of 200: large enough that recognising single heads is worthwhile, small enough that a
network trained from scratch sees each sign from about six training signers (the real lexicon has 1.3 clips per gloss,
too few for a gloss head to learn)."""
FLATTENING = 0.4
"""Exponent on the real counts: between the real frequencies (1) and equal ones (0)."""
MOST_MARKED = {"symmetry_operator": 0.6, "hand_shape_thumb_position": 0.85, "hand_shape_bending": 0.75}
"""Where one of these heads may differ from 0, it does so in at most this share: "none" is common in all of them."""
FLOOR_ENTRIES = 2
FLOOR_SHARE = 0.012
"""A class that occurs has at least two entries and 1.2 % of all (about 19 of 1,600 clips). From 288 clips on
(two entries of 36 location classes, four clips each) every such class has at least eight clips."""


@dataclass(frozen=True)
class PlannedClip:
    """One clip to render: its name, lexicon entry, labels by head and the number of its signer."""

    name: str
    entry: int
    labels: dict[str, int]
    signer: int


def plan_clips(clips: int, signers: int, *, seed: int) -> list[PlannedClip]:
    """The clips of a dataset, the same for the same arguments."""
    entries = _lexicon_size(clips)
    rng = np.random.default_rng([seed, 2])
    lexicon = _make_lexicon(entries, rng)
    planned = []
    # Each turn has every entry once. Signers rotate by a step that is coprime to any cast of 2 ** k people, so an
    # entry gets another signer in every turn and all sign equally often.
    seat, cast = rng.permutation(entries), rng.permutation(signers)
    for number in range(clips):
        turn, entry = divmod(number, entries)
        signer = int(cast[(seat[entry] + 5 * turn) % signers])
        planned.append(PlannedClip(f"sign{entry:03d}_{turn:02d}", entry, lexicon[entry], signer))
    return planned


def _lexicon_size(clips: int) -> int:
    """Number of entries for a number of clips: in small datasets just enough for two per location class."""
    occurring = sum(c.count > 0 for c in HEADS["hand_location_y"].classes)
    return min(clips, max(FLOOR_ENTRIES * occurring, clips // CLIPS_PER_ENTRY))


def _quotas(head: str, entries: int) -> np.ndarray:
    """Number of lexicon entries (K,) for each class of a head: flattened frequencies above a floor."""
    counts = np.array([c.count for c in HEADS[head].classes], float)
    occurs = counts > 0
    floor = min(max(FLOOR_ENTRIES, round(FLOOR_SHARE * entries)), entries // occurs.sum())
    weight = np.where(occurs, counts**FLATTENING, 0)
    exact = weight / weight.sum() * (entries - floor * occurs.sum())
    quota = np.floor(exact).astype(int)
    quota[np.argsort(quota - exact, kind="stable")[: round(exact.sum()) - quota.sum()]] += 1
    return quota + floor * occurs


def _make_lexicon(entries: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """Label tuples with exact class quotas. Heads are independent, without the combinations that cannot be shown:

    - thumb labels with a pinch or a C: there the thumb is part of the shape;
    - bending with a fist, a pinch or a C: no finger is straight, so there is nothing to bend;
    - two symmetric hands at a place on the other arm: that arm presents the place;
    - x with a place on the other arm: the sides of a hand are separate classes of y;
    - two symmetric hands with the dominant one on the far side: the arms cross, and crossed hands look like
      the opposite pair of sides (36 of 5,679 real notations);
    - x "none" with ear, ear lobe, cheek and top of the shoulder: there are two of each, none in the middle.
    """
    base = _shuffled("hand_shape_base_form", entries, rng=rng)
    location = _shuffled("hand_location_y", entries, rng=rng)
    symmetry = _fill("symmetry_operator", location < 22, rng=rng)
    x = _sides(location, symmetry, rng=rng)
    columns = {
        "symmetry_operator": symmetry,
        "hand_shape_base_form": base,
        "hand_shape_thumb_position": _fill("hand_shape_thumb_position", base < 6, rng=rng),
        "hand_shape_bending": _fill("hand_shape_bending", (base > 0) & (base < 6), rng=rng),
        "hand_position_finger_direction": _shuffled("hand_position_finger_direction", entries, rng=rng),
        "hand_position_palm_orientation": _shuffled("hand_position_palm_orientation", entries, rng=rng),
        "hand_location_x": x,
        "hand_location_y": location,
    }
    return [{h: int(columns[h][i]) for h in HEADS} for i in range(entries)]


def _shuffled(head: str, entries: int, *, rng: np.random.Generator) -> np.ndarray:
    """Each class as often as its quota, in random order (entries,)."""
    return rng.permutation(np.repeat(np.arange(HEADS[head].num_class), _quotas(head, entries)))


def _fill(head: str, allowed: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Classes other than 0 where `allowed` (entries,) is true, 0 elsewhere."""
    wanted = _quotas(head, len(allowed))
    wanted[0] = 0
    slots = rng.permutation(np.flatnonzero(allowed))
    while wanted.sum() > MOST_MARKED[head] * len(slots):  # reduce the most frequent, so that no class is lost
        wanted[wanted.argmax()] -= 1
    labels = np.zeros(len(allowed), int)
    marked = rng.permutation(np.repeat(np.arange(len(wanted)), wanted))
    labels[slots[: len(marked)]] = marked
    return labels


def _sides(location: np.ndarray, symmetry: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Labels of the x head: paired places need a side, crossed hands and places on the arm have none."""
    paired = np.isin(location, (12, 19, 20, 21))
    wanted = _quotas("hand_location_x", len(location))
    labels = np.zeros(len(location), int)
    left = rng.permutation(np.flatnonzero((symmetry == 0) & (location < 22)))
    n_left = wanted[1] + wanted[2]
    left = left[:n_left]
    labels[left] = rng.permutation(np.repeat((1, 2), (wanted[1], wanted[2])))[: len(left)]
    rest = rng.permutation(np.flatnonzero((labels == 0) & (location < 22)))
    rest = rest[np.argsort(~paired[rest], kind="stable")]
    n_right = max(wanted[3] + wanted[4], int(paired[rest].sum()))
    right = rest[:n_right]
    share = wanted[3] / (wanted[3] + wanted[4])
    labels[right] = np.where(rng.permutation(len(right)) < round(share * len(right)), 3, 4)
    return labels
