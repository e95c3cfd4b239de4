"""One clip of a public dataset as its metadata describes it, before anything is extracted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Form = Literal["video", "images", "landmarks"]
"""What a clip is made from: a video file, a folder of images, or a file of landmarks."""
CUT = 0.1
"""A video that ends before its clip does, and whose length differs from the clip's by less, is the clip already."""


@dataclass(frozen=True)
class Trim:
    """The stretch of a video that a clip is: from `start` to `end`, None = the end of the video."""

    start: float = 0
    end: float | None = None
    """The last frame, inclusive; or the end in seconds, exclusive."""
    unit: Literal["frames", "seconds"] = "frames"
    fps: float | None = None
    """The rate at which frames are counted, from 0; None = that of the video."""

    def frames(self, fps: float | None, count: int) -> tuple[int, int | None]:
        """The first and the last frame (None = to the end) of a video with `fps` and about `count` frames.

        Raises:
            ValueError: the clip starts after the end of the video, or the video's unknown rate is needed.
        """
        first, last = self._scaled(fps)
        is_longer = last is not None and last >= count
        if last is not None and is_longer and abs(last - first + 1 - count) <= max(2, CUT * count):
            return 0, None  # the video was cut to the clip before
        if first >= count:
            raise ValueError(
                f"starts at frame {first}, and the video has {count}; expected a start inside it "
                "(--no-trim uses whole videos)"
            )
        return first, None if is_longer else last

    def _scaled(self, fps: float | None) -> tuple[int, int | None]:
        if self.unit == "frames":
            scale = fps / self.fps if self.fps and fps else 1
            return round(self.start * scale), None if self.end is None else round(self.end * scale)
        if not fps:
            raise ValueError("the video gives no times, and start and end are in seconds; convert it to MP4")
        first = round(self.start * fps)
        return first, None if self.end is None else max(first, round(self.end * fps) - 1)


@dataclass(frozen=True)
class Box:
    """A rectangle around the signer."""

    left: float
    top: float
    right: float
    bottom: float
    is_share: bool
    """Whether the sides are shares of the image size instead of pixels."""

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) inside an image of that size.

        Raises:
            ValueError: the rectangle lies outside the image.
        """
        x, y = (width, height) if self.is_share else (1, 1)
        left, right = (min(max(round(side * x), 0), width) for side in (self.left, self.right))
        top, bottom = (min(max(round(side * y), 0), height) for side in (self.top, self.bottom))
        if left >= right or top >= bottom:
            raise ValueError(f"its box is outside the image of {width} x {height} pixels; leave out --crop")
        return left, top, right, bottom


@dataclass(frozen=True)
class Sample:
    """A clip and its label."""

    name: str
    """The clip's name: a folder name without whitespace."""
    media: Path
    """The file or folder that it is made from; it may be missing."""
    word: str
    form: Form = "video"
    number: int | None = None
    """The dataset's own number of the word, from 0."""
    signer: str | None = None
    trim: Trim = Trim()
    box: Box | None = None
    split: str | None = None
    """The official split: "train", "val" or "test"."""
