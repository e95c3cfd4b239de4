"""Real material for tests of MediaPipe: its models, and marks that skip tests where it or they are missing."""

import importlib.util
import os
from pathlib import Path

import av
import pytest

from hearai.data.videos import read_video

REAL = Path(os.environ.get("HEARAI_REAL_DATA", "/nonexistent"))
MODELS = REAL / "mediapipe_models"
HAS_MEDIAPIPE = importlib.util.find_spec("mediapipe") is not None
needs_mediapipe = pytest.mark.skipif(not HAS_MEDIAPIPE, reason="MediaPipe is not installed: make landmarks")
needs_models = pytest.mark.skipif(
    not MODELS.is_dir(), reason="HEARAI_REAL_DATA is not set; set it to the folder with mediapipe_models"
)


def write_waving(path: Path) -> Path:
    """Writes a video of 4 frames: the signer waves the right hand on the left of the image; the left one is hidden."""
    images = [image for number, image in enumerate(read_video(REAL / "poses" / "test_video.mp4")) if 27 <= number < 31]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30, options={"qscale": "2"})
        stream.height, stream.width = images[0].shape[:2]
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path
