"""Images -> landmarks, with MediaPipe's landmarkers for hands, body and face. T frames, H height, W width, C channels.

MediaPipe is an optional dependency (`pip install hearai[landmarks]`). It reads models from files and needs no network.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hearai.data.landmarks.mediapipe_models import FACE, HAND, POSE
from hearai.data.landmarks.points import Landmarks
from hearai.errors import DataError
from hearai.sign.skeleton import BODY, LARGE_MESH, LEFT, POINTS, RIGHT

LEFT_WRIST, RIGHT_WRIST = BODY + 15, BODY + 16
UNKNOWN_FPS = 25.0
"""Frames per second assumed for tracking where the file does not say."""
NO_SIGNER = "no hands and no body were found in any frame; expected a clip that shows a signer"
MISSING = (
    "MediaPipe is not installed; it finds the points in images: pip install 'hearai[landmarks]', or make landmarks"
)


@dataclass(frozen=True)
class Extracted:
    """The landmarks of a clip, with the face if its model was given, and its images' size."""

    landmarks: Landmarks
    size: tuple[int, int]
    """Width and height of the images, pixels."""


def require_mediapipe() -> None:
    """Raises a DataError with the remedy if MediaPipe is not installed."""
    try:
        import mediapipe.tasks.python.vision  # noqa: F401
    except ImportError as error:
        raise DataError(f"{MISSING} ({error})") from None


class Tracker:
    """Finds the landmarks of consecutive images of one recording; a context manager, which releases the models.

    Several may be open at once, for clips that overlap.

    Args:
        fps: frames per second; None = unknown.
        models: of `mediapipe_models.find_models`; the face is extracted if its model is there.
    """

    def __init__(self, fps: float | None, models: Mapping[str, Path]):
        require_mediapipe()
        self.fps, self.models = fps, models
        self._rows: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._size = (0, 0)
        self._stack = ExitStack()

    def __enter__(self) -> "Tracker":
        with _silent_stderr():
            self._hands, self._pose, self._face = _landmarkers(self.models, self._stack)
        return self

    def __exit__(self, *_: object) -> None:
        with _silent_stderr():
            self._stack.close()

    def add(self, image_HWC: np.ndarray) -> None:
        """Adds the next uint8 RGB image."""
        import mediapipe as mp

        self._size = (image_HWC.shape[1], image_HWC.shape[0])
        # Timestamps must grow, in whole milliseconds.
        milliseconds = int(len(self._rows) * max(1000 / (self.fps or UNKNOWN_FPS), 1))
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image_HWC))
        with _silent_stderr():
            bodies = self._pose.detect_for_video(image, milliseconds).pose_landmarks
            found = self._hands.detect_for_video(image, milliseconds)
            faces = self._face.detect_for_video(image, milliseconds).face_landmarks if self._face else []
        labels = [categories[0].category_name for categories in found.handedness]
        hands = [_coordinates(hand) for hand in found.hand_landmarks]
        self._rows.append(arrange(_coordinates(bodies[0]) if bodies else None, hands, labels))
        self._faces.append(_coordinates(faces[0]) if faces else np.full((LARGE_MESH, 3), np.nan, np.float32))

    def result(self) -> Extracted:
        """The landmarks of all images.

        Raises:
            DataError: there were no images, or no point was found in any.
        """
        if not self._rows:
            raise DataError("contains no images; expected at least one")
        if np.isnan(points_T := np.stack(self._rows))[..., 0].all():
            raise DataError(NO_SIGNER)
        face = np.stack(self._faces) if FACE in self.models else None
        return Extracted(Landmarks(points_T, "MediaPipe: hands and pose", self.fps, face=face), self._size)


def extract(images: Iterable[np.ndarray], fps: float | None, models: Mapping[str, Path]) -> Extracted:
    """The landmarks of consecutive uint8 (H, W, 3) RGB images of one recording; see `Tracker`.

    Raises:
        DataError: MediaPipe is missing, there are no images, or no point was found in any.
    """
    with Tracker(fps, models) as tracker:
        for image in images:
            tracker.add(image)
        return tracker.result()


def _landmarkers(models: Mapping[str, Path], stack: ExitStack) -> tuple[Any, Any, Any]:
    """Landmarkers for hands, body and face (None without its model); new for each clip, since they track."""
    from mediapipe.tasks.python import BaseOptions, vision

    class QuietOptions(BaseOptions):
        """MediaPipe reports each use to Google, and has no switch: with no authority trusted, it sends nothing."""

        def to_ctypes(self) -> Any:
            options = super().to_ctypes()
            options.ca_bundle_path = os.devnull.encode()
            return options

    def options(name: str) -> dict[str, Any]:
        # As bytes: MediaPipe opens paths relative to its own package on some systems.
        base = QuietOptions(model_asset_buffer=models[name].read_bytes())
        return {"base_options": base, "running_mode": vision.RunningMode.VIDEO}

    hands = vision.HandLandmarker.create_from_options(vision.HandLandmarkerOptions(**options(HAND), num_hands=2))
    stack.enter_context(hands)
    pose = vision.PoseLandmarker.create_from_options(vision.PoseLandmarkerOptions(**options(POSE)))
    stack.enter_context(pose)
    if FACE not in models:
        return hands, pose, None
    face = vision.FaceLandmarker.create_from_options(vision.FaceLandmarkerOptions(**options(FACE)))
    return hands, pose, stack.enter_context(face)


def arrange(body: np.ndarray | None, hands: list[np.ndarray], labels: list[str]) -> np.ndarray:
    """(POINTS, 3): the body and each hand at its place; NaN where nothing was detected.

    A hand is the one whose wrist of the body is nearer, since the detector's own labels confuse hands that cross.
    Without a body its label is used.

    Args:
        body: (33, 3) or None; hands: up to two of (21, 3); labels: Left or Right for each hand, the signer's.
    """
    points = np.full((POINTS, 3), np.nan, np.float32)
    if body is not None:
        points[BODY:] = body
    sides = [LEFT if label == "Left" else RIGHT for label in labels]
    if body is not None and hands:
        to_left, to_right = (
            [float(np.linalg.norm(hand[0, :2] - points[wrist, :2])) for hand in hands]
            for wrist in (LEFT_WRIST, RIGHT_WRIST)
        )
        nearer = [left - right for left, right in zip(to_left, to_right, strict=True)]
        sides = [LEFT if difference < 0 else RIGHT for difference in nearer]
        if len(hands) == 2:
            sides = [LEFT, RIGHT] if nearer[0] < nearer[1] else [RIGHT, LEFT]
    for side, hand in zip(sides, hands, strict=True):
        points[side : side + len(hand)] = hand
    return points


def _coordinates(landmarks: Any) -> np.ndarray:
    return np.array([(point.x, point.y, point.z) for point in landmarks], np.float32)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """MediaPipe's libraries write dozens of lines about themselves for each clip; its errors are exceptions."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
