"""HamNoSys strings become the classes of the eight heads, or are refused with the position and the symbol."""

import importlib.resources
import json

import pytest

from hearai.sign.hamnosys import HEADS, MISSING, NotationError, Posture, describe, parse
from hearai.sign.hamnosys.symbols import SYMBOLS

CODES = {name: code for code, name in SYMBOLS.items()}
FLAT = "flathand extfingeru palmd"
"""A flat hand, fingers up, palm down: classes 1, 0, 0, 0, 4."""


def written(names: str) -> str:
    """The characters of a notation; names are given without `ham`."""
    return "".join(chr(CODES[f"ham{name}"]) for name in names.split())


def classes(names: str) -> list[int]:
    return list(parse(written(names)).labels.values())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (FLAT, [0, 1, 0, 0, 0, 4, 0, 14]),
        (f"symmlr {FLAT} shoulders", [7, 1, 0, 0, 0, 4, 0, 13]),
        (f"symmlr largemod fingerstraightmod alternatingmotion {FLAT}", [1, 1, 0, 0, 0, 4, 0, 14]),
        (f"symmpar fingerstraightmod {FLAT}", [4, 1, 0, 0, 0, 4, 0, 14]),
        (f"nondominant {FLAT} nose", [0, 1, 0, 0, 0, 4, 0, 4]),
        ("finger2 fingerhookmod thumbacrossmod extfingerul palmr cheek", [0, 2, 2, 4, 7, 2, 0, 21]),
        ("finger2 thumboutmod between finger2 fingerbendmod extfingero palml", [0, 2, 1, 0, 8, 6, 0, 14]),
        ("flathand indexfinger fingerhookmod extfingeru palmd", [0, 1, 0, 0, 0, 4, 0, 14]),
        ("flathand extfingerul between extfingeru palmr between palmdr", [0, 1, 0, 0, 7, 2, 0, 14]),
    ],
)
def test_a_notation_becomes_eight_classes(names: str, expected: list[int]) -> None:
    assert classes(names) == expected


@pytest.mark.parametrize(
    "names",
    [
        "parbegin fist extfingero palml plus flathand extfingeror palmu parend chin",
        "parbegin fist plus flathand parend parbegin extfingero plus extfingeror parend palml plus palmu chin",
        "parbegin fist extfingero orirelative palml plus flathand extfingerl palmu parend chin",
    ],
)
def test_of_two_hands_the_dominant_one_is_read(names: str) -> None:
    assert classes(names) == [0, 0, 0, 0, 8, 6, 0, 9]


@pytest.mark.parametrize(
    ("place", "x", "y"),
    [
        ("chest", 0, 14),
        ("neutralspace", 0, 14),
        ("moveu chin", 0, 14),
        ("seqbegin touch nose seqend", 0, 14),
        ("lrbeside chest", 1, 14),
        ("lrat chest", 2, 14),
        ("shoulders lrbeside close", 3, 13),
        ("parbegin shoulders lrat between chest plus chest parend", 4, 13),
        ("indexfinger fingertip", 0, 24),
        ("indexfinger moveu", 0, MISSING),
        ("elbow", 0, MISSING),
    ],
)
def test_the_location_is_the_first_before_the_movement(place: str, x: int, y: int) -> None:
    assert classes(f"{FLAT} {place}")[6:] == [x, y]


def test_every_way_to_write_a_notation_means_the_same() -> None:
    names = f"symmlr {FLAT} head"
    plain = parse(written(names))
    tags = "".join(f"<ham{name}/>" for name in names.split())
    sigml = f"""<?xml version="1.0"?><sigml><hns_sign gloss="hamfist"><!-- hamfist -->
        <hamnosys_nonmanual><hnm_eyegaze tag="UP"/></hamnosys_nonmanual>
        <hamnosys_manual>{tags}</hamnosys_manual></hns_sign></sigml>"""
    assert parse(sigml) == parse(tags) == parse(", ".join(f"HAM{name}" for name in names.split())) == plain
    assert parse(" ".join(chr(ord(letter) + 0x1000) for letter in written(names))) == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "after 0 symbols: the end of the notation; expected a base form"),
        (written("symmlr shoulders"), "symbol 2, U+E051 hamshoulders; expected a base form"),
        (written("fist thumboutmod chest"), "symbol 3, U+E052 hamchest; expected a finger direction"),
        (written("fist extfingeru moveu"), "symbol 3, U+E080 hammoveu; expected a palm orientation"),
        (written("fist extfingeru"), "after 2 symbols: the end of the notation; expected a palm orientation"),
        (written(f"{FLAT} parbegin moveu"), "symbol 4, U+E0E2 hamparbegin, is not closed; expected hamparend"),
        (written("fist") + "\ue01f", "symbol 2 is U+E01F, not a symbol of HamNoSys 4"),
        (written("fist") + "7", "symbol 2 is U+0037"),
        ("<hamfist/><hamthumb2/>", "after 1 symbols: 'hamthumb2' is not the name of a symbol"),
        ("<hamfist/><!ENTITY a 'b'>", "after 1 symbols: 'ENTITY' is not"),
        ("\ue000" * 20_001, "20,001 characters; expected the notation of one sign"),
    ],
)
def test_what_cannot_be_read_is_refused_with_position(text: str, message: str) -> None:
    with pytest.raises(NotationError) as error:
        parse(text)
    assert message in str(error.value)


@pytest.mark.heavy
@pytest.mark.parametrize("text", ["<" * 20_000, "<hamnosys_nonmanual>" * 900, "<!--" * 5_000, "ham" * 6_000])
def test_long_nonsense_is_refused(text: str) -> None:
    with pytest.raises(NotationError):
        parse(text)


def test_a_posture_is_described_with_symbols_and_words() -> None:
    lines = describe(parse(written(f"symmlr {FLAT} elbow"))).splitlines()
    assert [line.split()[0] for line in lines] == list(HEADS)
    assert lines[1].endswith("1  flat hand, 4 fingers straight and together [U+E001 hamflathand]")
    assert lines[7].endswith("--  no class")
    assert describe({"hand_location_x": 3}).splitlines()[6].split()[1] == "3"
    with pytest.raises(ValueError, match=r"hand_location_x has no class 9; expected 0..4"):
        describe({"hand_location_x": 9})


def test_postures_have_the_heads_in_order() -> None:
    assert list(Posture(*range(8)).labels) == list(HEADS)


def test_published_notations_can_be_read() -> None:
    try:
        file = importlib.resources.files("signwriting") / "hamnosys" / "parallel.json"
    except ModuleNotFoundError:
        pytest.skip("the published notations are in the package signwriting: pip install --no-deps signwriting")
    texts = [text for sign in json.loads(file.read_text(encoding="utf-8")) for text in sign.get("hamnosys", [])]
    assert len(texts) >= 1364
    refused = []
    for text in texts:
        try:
            labels = parse(text).labels
        except NotationError as error:
            refused.append(f"{text!r}: {error}")
        else:
            assert all(-1 <= label < HEADS[head].num_class for head, label in labels.items())
    assert len(refused) <= 0.03 * len(texts), refused[:5]
