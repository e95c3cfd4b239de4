"""Collects the samples of a dataset; checks every field and reports all problems together."""

import math
import re
from pathlib import Path
from typing import Any, Literal

from hearai.data.annotations.metadata import SPLIT_WORDS
from hearai.data.annotations.problems import Problems
from hearai.data.annotations.text_files import has_control_characters, quoted
from hearai.data.importers.sample import Box, Form, Sample, Trim
from hearai.data.importers.source import Source
from hearai.errors import DataError
from hearai.files import MAX_NAME, relative_name_problem

MAX_WORD = 200
"""Letters of a word or a signer's name."""
MAX_PATH = 1000
"""Bytes of a path inside a dataset."""
MOST = 1e7
"""Of frames, seconds and frames per second: 100 hours at 25 frames per second."""
SLOWEST = 0.1
"""Frames per second."""
WHOLE = Trim()


class Samples:
    """The samples of a dataset in the order of its metadata."""

    def __init__(self, source: Source):
        self.source = source
        self.items: list[Sample] = []
        self.problems = Problems()
        self.notes: list[str] = []
        """What was left out, and why."""
        self._first: dict[str, str] = {}
        """{clip name: where it was first}"""

    def add(
        self,
        where: str,
        *,
        name: str,
        file: str | Path,
        word: Any,
        form: Form = "video",
        number: int | None = None,
        signer: Any = None,
        trim: Trim | None = WHOLE,
        box: Box | None = None,
        split: str | None = None,
    ) -> None:
        """Adds a sample, or says what is wrong with it.

        Args:
            where: the place in the metadata, `FILE:LINE`.
            file: the name of a video, found in the source; a path is used as it is.
            trim: None = invalid, reported before.
            split: a word for one, in any case; None = the dataset has no official split.
        """
        clip, label = self._name(where, name), self._text(where, "word", word)
        who = None if signer is None or signer == "" else self._text(where, "signer", signer)
        part = None if split is None else SPLIT_WORDS.get(split.strip().lower())
        if split is not None and part is None:
            self._report(where, f"split {quoted(split)}", "expected train, val or test")
        media = file if isinstance(file, Path) else self._video(where, file)
        if media is not None and form == "video" and self.source.landmarks:
            if pose := self.source.find_pose(media):
                media, form = pose, "landmarks"
        wrong_split = split is not None and part is None
        if clip is None or label is None or media is None or trim is None or wrong_split:
            return
        if (signer not in (None, "")) and who is None:
            return
        self.items.append(Sample(clip, media, label, form, number, who, trim, box, part))

    def trim(
        self,
        where: str,
        start: Any,
        end: Any,
        *,
        unit: Literal["frames", "seconds"] = "frames",
        fps: Any = None,
        base: int = 0,
    ) -> Trim | None:
        """The trim of a clip; None if it is invalid, which is reported. Texts are numbers, empty = none.

        Args:
            end: inclusive for frames; None, empty or -1 = the end of the video.
            fps: at which frames are counted; None or empty = that of the video.
            base: the number of the first frame.
        """
        values = {"start": _number(start, base), "end": _number(end, -1), "fps": _number(fps, 0)}
        if wrong := [name for name, value in values.items() if value is None]:
            given = {"start": start, "end": end, "fps": fps}
            self._report(where, f"{wrong[0]} {quoted(str(given[wrong[0]]))}", "expected a finite number")
            return None
        first, last, rate = (value for value in values.values() if value is not None)
        is_open = last == -1
        if (
            max(first, last, rate) > MOST
            or first < base
            or (rate != 0 and rate < SLOWEST)
            or (not is_open and (last < first or (unit == "seconds" and last == first)))
        ):
            found = f"start {first:g}, end {last:g}" + (f", fps {rate:g}" if rate else "")
            self._report(where, found, f"expected {base} <= start < end <= {MOST:,.0f}, or an end of -1")
            return None
        return Trim(first - base, None if is_open else last - base, unit, rate or None)

    def box(self, where: str, sides: Any, *, is_share: bool) -> Box | None:
        """The box of [left, top, right, bottom]; None if there is none or it is unusable, which is noted."""
        if sides is None:
            return None
        values = [_number(side, math.nan) for side in sides] if isinstance(sides, list) else []
        known = [value for value in values if value is not None and math.isfinite(value)]
        if len(known) != 4 or len(values) != 4 or known[0] >= known[2] or known[1] >= known[3]:
            self._report(where, f"box {quoted(str(sides))}", "expected four sides: left < right, top < bottom")
            return None
        left, top, right, bottom = known
        return Box(left, top, right, bottom, is_share)

    def is_inside(self, where: str, path: str) -> bool:
        """Whether a path of the metadata stays inside the dataset's folder; if not, that is reported."""
        problem = "is too long" if len(path.encode()) > MAX_PATH else relative_name_problem(path)
        if problem:
            self._report(where, f"path {quoted(path)} {problem}", "expected a path inside the dataset's folder")
        return problem is None

    def finish(self) -> list[Sample]:
        """The samples.

        Raises:
            DataError: everything that is wrong with the metadata, or there are no samples.
        """
        self.problems.raise_any()
        if not self.items:
            raise DataError(f"{self.source.path}: describes no clips; expected the metadata of this kind of dataset")
        return self.items

    def _report(self, where: str, found: str, expected: str) -> None:
        self.problems.add("", f"{where}: {found}; {expected}")

    def _name(self, where: str, name: str) -> str | None:
        clip = safe_name(name)
        if clip is None:
            self._report(where, f"name {quoted(name)}", f"expected a plain file name of at most {MAX_NAME} letters")
            return None
        if (first := self._first.setdefault(clip, where)) != where:
            self._report(where, f"{quoted(name)} is already at {first}", "expected each clip once")
            return None
        return clip

    def _text(self, where: str, what: str, value: Any) -> str | None:
        text = " ".join(str(value).split()) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not text or len(text) > MAX_WORD or has_control_characters(text):
            self._report(where, f"{what} {quoted(str(value))}", f"expected a text of at most {MAX_WORD} letters")
            return None
        return text

    def _video(self, where: str, name: str) -> Path | None:
        if not self.is_inside(where, name):
            return None
        path, several = self.source.find_video(name)
        if len(several) > 1:
            shown = " and ".join(str(found) for found in several[:3])
            self._report(where, f"video {quoted(name)} may be {shown}", "expected one: give --videos FOLDER")
            return None
        return path


def safe_name(name: str) -> str | None:
    """A clip's name without whitespace, commas and other letters that separate columns; None if it is not a file name.

    A name with a slash or one that leads elsewhere is none: `join_name` makes one of a path.
    """
    clip = re.sub(r"[\s,;\"'|:*?<>]+", "_", name.strip()).strip("_")
    if not clip or "/" in clip or "\\" in clip or clip in (".", "..") or clip.startswith(".") or not clip.isprintable():
        return None
    return clip if len(clip.encode()) <= MAX_NAME else None


def join_name(*parts: str) -> str:
    """One name from the parts of a path: `Animals`, `4. Bird` -> `Animals__4. Bird`."""
    return "__".join(parts)


def _number(value: Any, default: float) -> float | None:
    """The finite number; the default where there is none; None if it is something else."""
    if value is None or value == "":
        return default
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
