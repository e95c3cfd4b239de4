"""How the image files of a clip's frames are named: `NAME_0.jpg, ...`, or by a pattern of the user."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hearai.config.field_types import FRAME_NAME, FRAME_NUMBER, check_frame_pattern
from hearai.data.annotations.text_files import is_integer

OUR_PATTERN = f"{FRAME_NAME}_{FRAME_NUMBER}.jpg"
"""Of this project's own files; their numbers have no leading zeros."""
_DIGITS = re.compile("[0-9]+")


@dataclass(frozen=True, slots=True)
class FrameNaming:
    """The file names of the frames of a clip."""

    pattern: str = OUR_PATTERN
    """With `{number}`, and `{name}` for the last part of the clip's name."""
    digits: int = 1
    """Shorter numbers are padded with zeros to this many digits."""

    def file(self, stem: str, frame: int) -> str:
        """The file name of a frame of the clip whose name ends with `stem`."""
        number = str(frame).zfill(self.digits)
        return self.pattern.replace(FRAME_NUMBER, number).replace(FRAME_NAME, stem)


OUR_NAMING = FrameNaming()


def numbered_files(pattern: str | None, stem: str, files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(digits of its number, file) of every file that fits a pattern; None = our pattern, without leading zeros."""
    before, _, after = (part.replace(FRAME_NAME, stem) for part in (pattern or OUR_PATTERN).partition(FRAME_NUMBER))
    for file in files:
        if len(file) > len(before) + len(after) and file.startswith(before) and file.endswith(after):
            digits = file[len(before) : len(file) - len(after)]
            if _DIGITS.fullmatch(digits) and is_integer(digits) and (pattern or digits == str(int(digits))):
                yield digits, file


def find_naming(pattern: str, stem: str, files: Iterable[str], start: int, end: int) -> tuple[FrameNaming, list[str]]:
    """How the frames start..end of a clip are named; and two files that are not named alike, if there are any.

    `7.png` and `08.png`, or `7.png` and `07.png`, may be two recordings in one folder.
    """
    found = [(text, file) for text, file in numbered_files(pattern, stem, files) if start <= int(text) <= end]
    padded = [text for text, _ in found if text[0] == "0" and text != "0"]
    naming = FrameNaming(pattern, max(map(len, padded), default=1))
    unlike = [file for text, file in found if naming.file(stem, int(text)) != file]
    return naming, [naming.file(stem, int(max(padded, key=len))), min(unlike)] if unlike else []


def suggest_pattern(stem: str, images: Iterable[str]) -> str | None:
    """A pattern that fits most of the images, by the last number in their names; None = none of them has a number."""
    counts: dict[str, int] = {}
    for image in images:
        body, dot, ending = image.rpartition(".")
        numbers = list(_DIGITS.finditer(body))
        if numbers:
            before, after = body[: numbers[-1].start()], body[numbers[-1].end() :]
            if before.startswith(stem):
                before = FRAME_NAME + before.removeprefix(stem)
            pattern = f"{before}{FRAME_NUMBER}{after}{dot}{ending}"
            counts[pattern] = counts.get(pattern, 0) + 1
    best = max(counts, key=counts.__getitem__, default="")
    try:
        return check_frame_pattern(best)
    except ValueError:  # no number, or braces of their own
        return None


def setting_of(pattern: str) -> str:
    """The line of a config that sets a pattern; the quotes are needed, since a brace opens a mapping in YAML."""
    quote = '"' if "'" in pattern else "'"
    return f"general_parameters.frame_pattern: {quote}{pattern}{quote} (commands without a config: --frame-pattern)"


def frames_of(pattern: str | None, stem: str, files: Iterable[str]) -> Mapping[int, str]:
    """{frame number: file} of the files that fit a pattern."""
    return {int(digits): file for digits, file in numbered_files(pattern, stem, files)}
