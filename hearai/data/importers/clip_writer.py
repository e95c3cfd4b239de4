"""Writes the folder of one clip, image by image: frames, landmarks found by MediaPipe, or both. H height, W width."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hearai.data.annotations.clip import frame_file, landmarks_file, properties_file
from hearai.data.importers.sample import Box, Trim
from hearai.data.landmarks.extraction import Tracker
from hearai.data.tools.extract_frames import encode_jpeg, resize_image
from hearai.errors import DataError


@dataclass(frozen=True)
class Output:
    """What is written of each clip."""

    size: int | None = None
    """Shorter side of the frames, pixels; None = unchanged."""
    quality: int = 90
    """Of the JPEGs, 1..100."""
    frames: bool = True
    face: bool = False
    """Whether the face is kept of landmarks that the dataset has; MediaPipe finds it if its model is among `models`."""
    models: Mapping[str, Path] = field(default_factory=dict)
    """MediaPipe's, of `mediapipe_models.find_models`; none = no landmarks are extracted from images."""


@dataclass(frozen=True)
class Clip:
    """A clip to extract."""

    name: str
    target: Path
    trim: Trim
    box: Box | None
    record: dict[str, Any]
    """The source and the options; stored in the clip's properties and compared by the next command."""


class ClipWriter:
    """Fills a new folder with the images that belong to the clip.

    Args:
        folder: must not exist.
        fps: of the images; None = unknown.
    """

    def __init__(self, clip: Clip, folder: Path, fps: float | None, output: Output):
        self.clip, self.folder, self.output = clip, folder, output
        self.frames = 0
        self.problem: str | None = None
        """Why the clip cannot be used."""
        self._about: dict[str, Any] = {}
        self._stack = ExitStack()
        self._tracker = self._stack.enter_context(Tracker(fps, output.models)) if output.models else None
        folder.mkdir()

    def add(self, image_HWC: np.ndarray) -> None:
        """Adds the next image.

        Raises:
            DataError: the clip's box is outside the image.
        """
        try:
            image_HWC = _crop(image_HWC, self.clip.box)
        except ValueError as error:
            raise DataError(f"clip {self.clip.name}: {error}") from None
        if self._tracker:
            self._tracker.add(image_HWC)
        height, width = image_HWC.shape[:2]
        if self.output.frames:
            image = resize_image(image_HWC, self.output.size)
            path = self.folder / frame_file(self.clip.name, self.frames)
            path.write_bytes(encode_jpeg(image, self.output.quality))
            width, height = image.size
        if not self._about:
            self._about = {"width": width, "height": height}
        self.frames += 1

    def finish(self) -> None:
        """Writes the landmarks, or says in `problem` why there are none; a second call does nothing."""
        tracker, self._tracker = self._tracker, None
        if tracker:
            try:
                tracker.result().landmarks.save(self.folder / landmarks_file(self.clip.name))
            except DataError as error:
                self.problem = str(error)
        self._stack.close()

    def write_properties(self, about: Mapping[str, Any]) -> None:
        """Writes what is known about the source, and how many frames there are."""
        write_properties(self.clip, self.folder, {**about, "frames": self.frames, **self._about})

    def close(self) -> None:
        """Releases MediaPipe's models."""
        self._stack.close()


def write_properties(clip: Clip, folder: Path, about: Mapping[str, Any]) -> None:
    """Writes the properties of a clip, by which the next command sees that it is complete."""
    text = json.dumps({**about, **clip.record}, indent=1)
    (folder / properties_file(clip.name)).write_text(text + "\n", encoding="utf-8")


def _crop(image_HWC: np.ndarray, box: Box | None) -> np.ndarray:
    if box is None:
        return image_HWC
    height, width = image_HWC.shape[:2]
    left, top, right, bottom = box.pixels(width, height)
    return np.ascontiguousarray(image_HWC[top:bottom, left:right])
