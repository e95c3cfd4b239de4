"""A HamNoSys notation -> the classes of its eight heads: the initial posture of the dominant hand.

Where the notation says more than the heads can hold, docs/hamnosys.md says what is taken.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from hearai.sign.hamnosys.heads import HEADS, MISSING
from hearai.sign.hamnosys.symbols import SYMBOLS, NotationError, Symbol, read_symbols

CODE = {name: code for code, name in SYMBOLS.items()}


def _codes(first: str, last: str) -> set[int]:
    return set(range(CODE[first], CODE[last] + 1)) & SYMBOLS.keys()


def _classes(head: str) -> dict[int, int]:
    """{code point: class} of a head whose classes are one symbol each."""
    symbols = ((one.index, one.symbol.split()[0]) for one in HEADS[head].classes)
    return {int(symbol.removeprefix("U+"), 16): index for index, symbol in symbols if symbol.startswith("U+")}


BASE_FORMS = _classes("hand_shape_base_form")
THUMBS = _classes("hand_shape_thumb_position")
BENDINGS = _classes("hand_shape_bending")
DIRECTIONS = _classes("hand_position_finger_direction")
PALMS = _classes("hand_position_palm_orientation")
PLACES = _classes("hand_location_y")
CHEST = PLACES[CODE["hamchest"]]

MIRRORED, PARALLEL = CODE["hamsymmlr"], CODE["hamsymmpar"]
IN_OUT, UP_DOWN = CODE["hamfingerstraightmod"], CODE["hamlargemod"]
SYMMETRIES = {
    (MIRRORED, frozenset({IN_OUT, UP_DOWN})): 1,
    (PARALLEL, frozenset({IN_OUT, UP_DOWN})): 2,
    (MIRRORED, frozenset({IN_OUT})): 3,
    (PARALLEL, frozenset({IN_OUT})): 4,
    (MIRRORED, frozenset({UP_DOWN})): 5,
    (PARALLEL, frozenset({UP_DOWN})): 6,
    (MIRRORED, frozenset[int]()): 7,
    (PARALLEL, frozenset[int]()): 8,
}
"""{(operator, its modifiers): class}."""

ALTERNATING = CODE["hamalternatingmotion"]
NON_DOMINANT, NON_IPSI, MIME = CODE["hamnondominant"], CODE["hamnonipsi"], CODE["hammime"]
BETWEEN, PLUS, RELATIVE = CODE["hambetween"], CODE["hamplus"], CODE["hamorirelative"]
BESIDE, AT = CODE["hamlrbeside"], CODE["hamlrat"]
OPENING = {CODE["hamparbegin"], CODE["hamseqbegin"], CODE["hamfusionbegin"]}
CLOSING = {CODE["hamparend"], CODE["hamseqend"], CODE["hamfusionend"]}
FINGERS = _codes("hamthumb", "hampinky")
FINGER_PARTS = _codes("hamfingertip", "hamfingerside")
SIZES = {CODE["hamsmallmod"], CODE["hamlargemod"]}
CONTACTS = _codes("hamclose", "hambrushing")
MOVEMENTS = {*_codes("hammoveu", "hamzigzag"), *_codes("hamrepeatfromstart", "hamrepeatreverse")}
MOVEMENTS |= OPENING - {CODE["hamparbegin"]}
"""What begins the movement; a place may be in parentheses, too."""
ALL_PLACES = (_codes("hamhead", "hambelowstomach") | _codes("hamneutralspace", "hampinkyside")) | FINGERS | FINGER_PARTS
HAND_SHAPE = {*THUMBS, *BENDINGS, *FINGERS, *FINGER_PARTS, *SIZES, *CONTACTS, BESIDE, AT, BETWEEN, CODE["hametc"]}
"""What may follow a base form within the shape of one hand."""
X_BEFORE, X_AFTER = {BESIDE: 1, AT: 2}, {BESIDE: 3, AT: 4}


@dataclass(frozen=True)
class Posture:
    """The initial posture of the dominant hand: one class of each head of `HEADS`; MISSING = no class for it."""

    symmetry_operator: int
    hand_shape_base_form: int
    hand_shape_thumb_position: int
    hand_shape_bending: int
    hand_position_finger_direction: int
    hand_position_palm_orientation: int
    hand_location_x: int
    hand_location_y: int

    @property
    def labels(self) -> dict[str, int]:
        """{head: class}, in the order of `HEADS`."""
        return asdict(self)


@functools.lru_cache(maxsize=10_000)
def parse(text: str) -> Posture:
    """The classes of a notation.

    Args:
        text: see `symbols.read_symbols`.

    Raises:
        NotationError: it contains something else than HamNoSys, or has no base form, finger direction or palm
            orientation; with the position and the symbol.
    """
    symbols = read_symbols(text)
    reader = _Reader(symbols)
    symmetry = _symmetry(reader)
    shape = _hand_shape(reader)
    direction = _orientation(reader, DIRECTIONS, "a finger direction, U+E020..U+E031")
    palm = _orientation(reader, PALMS, "a palm orientation, U+E038..U+E03F")
    _skip_other_hand(reader)
    _check_brackets(symbols)
    return Posture(symmetry, *shape, direction, palm, *_location(reader))


def describe(labels: Posture | Mapping[str, int]) -> str:
    """One line per head: its class, symbol and meaning.

    Args:
        labels: a posture, or {head: class}; other heads and MISSING are allowed.

    Raises:
        ValueError: a head has no such class.
    """
    classes = labels.labels if isinstance(labels, Posture) else labels
    width = max(map(len, HEADS))
    return "\n".join(f"{name:{width}}  {_describe_class(name, classes.get(name, MISSING))}" for name in HEADS)


def _describe_class(head: str, label: int) -> str:
    if label == MISSING:
        return "--  no class"
    if not 0 <= label < HEADS[head].num_class:
        raise ValueError(f"{head} has no class {label}; expected 0..{HEADS[head].num_class - 1}, or {MISSING}")
    one = HEADS[head].classes[label]
    return f"{label:2}  {one.meaning} [{one.symbol}]"


class _Reader:
    """The symbols of a notation, and how many have been read."""

    def __init__(self, symbols: list[Symbol]):
        self.symbols, self.read = symbols, 0

    def code(self, ahead: int = 0) -> int | None:
        """The code point of a coming symbol; None after the end."""
        place = self.read + ahead
        return self.symbols[place].code if 0 <= place < len(self.symbols) else None

    def take(self, codes: set[int] | Mapping[int, int]) -> int | None:
        """The coming code point, read, if it is one of `codes`."""
        code = self.code()
        if code is None or code not in codes:
            return None
        self.read += 1
        return code

    def skip(self, codes: set[int] | Mapping[int, int]) -> None:
        """Reads all coming symbols that are among `codes`."""
        while self.take(codes) is not None:
            pass

    def refuse(self, expected: str) -> NotationError:
        """The error that something else comes next."""
        found = "the end of the notation" if self.code() is None else str(self.symbols[self.read])
        where = f"after {self.read} symbols: " if self.code() is None else ""
        return NotationError(f"{where}{found}; expected {expected}")


def _symmetry(reader: _Reader) -> int:
    reader.skip({MIME, CODE["hamversion40"], NON_IPSI})
    operator = reader.take({MIRRORED, PARALLEL})
    if operator is None:
        return 0
    modifiers = set()
    while (modifier := reader.take({IN_OUT, UP_DOWN})) is not None:
        modifiers.add(modifier)
    reader.skip({ALTERNATING, NON_IPSI})  # about the movement, not about the posture
    return SYMMETRIES[operator, frozenset(modifiers)]


def _hand_shape(reader: _Reader) -> tuple[int, int, int]:
    """Base form, thumb position and bending of the first hand shape; those of single fingers are not counted."""
    reader.skip({NON_DOMINANT, NON_IPSI, CODE["hametc"], *OPENING})
    base_form = reader.take(BASE_FORMS)
    if base_form is None:
        raise reader.refuse("a base form of the hand, U+E000..U+E00B")
    thumb = bending = 0
    while (code := reader.take(HAND_SHAPE)) is not None:
        if code in FINGERS:  # `index finger, hooked`: what follows belongs to that finger alone
            reader.skip(HAND_SHAPE - {BETWEEN})
        elif code == BETWEEN and reader.code() in BASE_FORMS:  # halfway to a second shape
            reader.skip({*BASE_FORMS, *HAND_SHAPE})
        elif code in THUMBS:
            thumb = thumb or THUMBS[code]
        elif code in BENDINGS:
            bending = bending or BENDINGS[code]
    return BASE_FORMS[base_form], thumb, bending


def _orientation(reader: _Reader, classes: dict[int, int], expected: str) -> int:
    """The first of the dominant hand's directions; what stands for the other hand, or halfway to it, is skipped."""
    while True:
        if (code := reader.take(classes)) is not None:
            _skip_further(reader, classes)
            return classes[code]
        if reader.take(OPENING | CLOSING | {RELATIVE, CODE["hametc"]}) is None:
            if reader.code() != PLUS or reader.code(1) not in BASE_FORMS:
                raise reader.refuse(expected)
            reader.read += 1
            reader.skip({*BASE_FORMS, *HAND_SHAPE})


def _skip_further(reader: _Reader, classes: dict[int, int]) -> None:
    """Skips second directions: `halfway to`, `relative to the movement`, and those of the other hand."""
    joining = {BETWEEN, PLUS, RELATIVE}
    while True:
        if reader.take({*classes, RELATIVE}) is not None:
            continue
        if reader.code() in joining and reader.code(1) in classes:
            reader.read += 2
            continue
        return


def _skip_other_hand(reader: _Reader) -> None:
    """Skips the non-dominant hand where it is written after the dominant one: `plus, shape, direction, palm`."""
    if reader.code() == PLUS and reader.code(1) in BASE_FORMS:
        reader.read += 1
        reader.skip({*BASE_FORMS, *HAND_SHAPE})
        reader.skip({*DIRECTIONS, BETWEEN, RELATIVE})
        reader.skip({*PALMS, BETWEEN, RELATIVE})
    reader.skip(CLOSING)


def _location(reader: _Reader) -> tuple[int, int]:
    """x and y of the first place before the movement begins."""
    while (code := reader.code()) is not None and code not in MOVEMENTS:
        if code in ALL_PLACES:
            before = reader.code(-1)
            if code in FINGERS and reader.code(1) in FINGER_PARTS:  # `index finger, fingertip`: the part has a class
                reader.read += 1
                code = reader.symbols[reader.read].code
            x = X_BEFORE.get(before or 0) or X_AFTER.get(reader.code(1) or 0) or 0
            return x, CHEST if code == CODE["hamneutralspace"] else PLACES.get(code, MISSING)
        reader.read += 1
    return 0, CHEST


def _check_brackets(symbols: Sequence[Symbol]) -> None:
    """A bracket that is not closed is the trace of a notation that was cut off; one too many closing is harmless."""
    opened: list[Symbol] = []
    for symbol in symbols:
        if symbol.code in OPENING:
            opened.append(symbol)
        elif symbol.code in CLOSING and opened and opened[-1].code == symbol.code - 1:
            opened.pop()
    if opened:
        raise NotationError(f"{opened[-1]}, is not closed; expected {SYMBOLS[opened[-1].code + 1]}: is it complete?")
