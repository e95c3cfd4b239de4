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
from hearai.sign.skeleton import BODY, LEFT, POINTS, RIGHT

LEFT_WRIST, RIGHT_WRIST = BODY + 15, BODY + 16
FACE_POINTS = 478
UNKNOWN_FPS = 25.0
"""Frames per second assumed for tracking where the file does not say."""
MISSING = (
    "MediaPipe is not installed; it finds the points in images: pip install 'hearai[landmarks]', or make landmarks"
)


@dataclass(frozen=True)
class Extracted:
    """The landmarks of a clip, and its images' size."""

    landmarks: Landmarks
    face: np.ndarray | None
    """(T, FACE_POINTS, 3), NaN where no face was detected; None if not asked for."""
    size: tuple[int, int]
    """Width and height of the images, pixels."""


def require_mediapipe() -> None:
    """Raises a DataError with the remedy if MediaPipe is not installed."""
    try:
        import mediapipe.tasks.python.vision  # noqa: F401
    except ImportError as error:
        raise DataError(f"{MISSING} ({error})") from None


def extract(images: Iterable[np.ndarray], fps: float | None, models: Mapping[str, Path]) -> Extracted:
    """The landmarks of consecutive uint8 (H, W, 3) RGB images of one recording.

    Args:
        fps: frames per second; None = unknown.
        models: of `mediapipe_models.find_models`; the face is extracted if its model is there.

    Raises:
        DataError: MediaPipe is missing, there are no images, or no point was found in any.
    """
    require_mediapipe()
    rows: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    size = (0, 0)
    with _landmarkers(models) as detect:
        for number, image in enumerate(images):
            size = (image.shape[1], image.shape[0])
            # Timestamps must grow, in whole milliseconds.
            points, face = detect(image, int(number * max(1000 / (fps or UNKNOWN_FPS), 1)))
            rows.append(points)
            faces.append(face)
    if not rows:
        raise DataError("contains no images; expected at least one")
    if np.isnan(points_T := np.stack(rows))[..., 0].all():
        raise DataError("no hands and no body were found in any frame; expected a clip that shows a signer")
    landmarks = Landmarks(points_T, "MediaPipe: hands and pose", fps)
    return Extracted(landmarks, np.stack(faces) if FACE in models else None, size)


@contextmanager
def _landmarkers(models: Mapping[str, Path]) -> Iterator[Any]:
    """A function (image, milliseconds) -> our points and the face; new for each clip, since it tracks."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    def options(name: str) -> dict[str, Any]:
        # As bytes: MediaPipe opens paths relative to its own package on some systems.
        base = BaseOptions(model_asset_buffer=models[name].read_bytes())
        return {"base_options": base, "running_mode": vision.RunningMode.VIDEO}

    with _silent_stderr(), ExitStack() as stack:
        hands = stack.enter_context(
            vision.HandLandmarker.create_from_options(vision.HandLandmarkerOptions(**options(HAND), num_hands=2))
        )
        pose = stack.enter_context(
            vision.PoseLandmarker.create_from_options(vision.PoseLandmarkerOptions(**options(POSE)))
        )
        face = None
        if FACE in models:
            face = stack.enter_context(
                vision.FaceLandmarker.create_from_options(vision.FaceLandmarkerOptions(**options(FACE)))
            )

        def detect(image_HWC: np.ndarray, milliseconds: int) -> tuple[np.ndarray, np.ndarray]:
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image_HWC))
            bodies = pose.detect_for_video(image, milliseconds).pose_landmarks
            found = hands.detect_for_video(image, milliseconds)
            faces = face.detect_for_video(image, milliseconds).face_landmarks if face else []
            body = _coordinates(bodies[0]) if bodies else None
            labels = [categories[0].category_name for categories in found.handedness]
            points = arrange(body, [_coordinates(hand) for hand in found.hand_landmarks], labels)
            return points, _coordinates(faces[0]) if faces else np.full((FACE_POINTS, 3), np.nan, np.float32)

        yield detect


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
