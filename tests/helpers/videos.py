"""Small encoded videos."""

from pathlib import Path

import av
import numpy as np


def write_video(path: Path, frames: int = 6, fps: int = 12) -> Path:
    """Every frame has a different grey: 20, 40, 60, ..."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width = stream.height = 32
        for i in range(frames):
            image = np.full((32, 32, 3), 20 * (i + 1), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_damaged_video(path: Path) -> Path:
    """An mp4 whose middle frames were overwritten with zeros; FFmpeg conceals that."""
    data = bytearray(write_video(path, 12).read_bytes())
    middle = (data.index(b"mdat") + data.index(b"moov")) // 2
    data[middle : middle + 20] = bytes(20)
    path.write_bytes(data)
    return path
