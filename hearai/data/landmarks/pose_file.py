"""`.pose` files of the library pose-format, versions 0.0 to 0.2, read and written with numpy alone. T frames, P points.

The format: a header (version, image size, components with named points), then for each frame, person and point the
coordinates and a confidence, all little-endian.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hearai.data.landmarks.points import (
    HAND_NAMES,
    POSE_NAMES,
    Landmarks,
    assemble,
    check_size,
    landmarks_of,
    to_shares,
)
from hearai.data.landmarks.skeletons import (
    LEFT_HAND,
    POSE,
    RIGHT_HAND,
    body_targets,
    face_targets,
    mesh_targets,
    unread,
)
from hearai.errors import DataError
from hearai.files import atomic_write

MAX_NAMES = 20_000
"""Points of all components together."""
SLOWEST, FASTEST = 0.1, 1000
"""Frames per second; others in a file are no rate."""
BODIES = {"POSE_LANDMARKS", "pose_keypoints_2d", "BODY", "BODY_25"}
HANDS = {
    **dict.fromkeys(("LEFT_HAND_LANDMARKS", "hand_left_keypoints_2d", "LEFT_HAND"), LEFT_HAND),
    **dict.fromkeys(("RIGHT_HAND_LANDMARKS", "hand_right_keypoints_2d", "RIGHT_HAND"), RIGHT_HAND),
}
MESH = "FACE_LANDMARKS"
FACES = {"face_keypoints_2d", "FACE"}


@dataclass(frozen=True)
class _Component:
    name: str
    channels: int
    """Coordinates and the confidence."""
    points: list[str]


class _Bytes:
    """Reads a file's bytes from the start; a file that ends early raises struct.error or ValueError."""

    def __init__(self, data: bytes):
        self.data, self.place = data, 0

    def read(self, layout: str) -> tuple:
        values = struct.unpack_from(f"<{layout}", self.data, self.place)
        self.place += struct.calcsize(f"<{layout}")
        return values

    def text(self) -> str:
        (length,) = self.read("H")
        (text,) = self.read(f"{length}s")
        return text.decode("utf-8")

    def floats(self, count: int) -> np.ndarray:
        values = np.frombuffer(self.data, "<f4", count, self.place)
        self.place += 4 * count
        return values

    @property
    def left(self) -> int:
        return len(self.data) - self.place


def read_pose_file(path: Path, size: tuple[int, int] | None = None) -> Landmarks:
    """The landmarks of a `.pose` file; of several persons the one with the highest confidence.

    Args:
        size: width and height of the image, pixels; None = those in the file.

    Raises:
        DataError: it is not such a file, truncated, too large, or has neither a body nor hands that are known.
    """
    check_size(path)
    reader = _Bytes(path.read_bytes())
    try:
        (version,), (width, height, _) = reader.read("f"), reader.read("HHH")
        components = _read_components(reader, path, version)
        body_reader = {0.0: _read_v0_0, 0.1: _read_v0_1, 0.2: _read_v0_2}[round(version, 3)]
        fps, values, persons = body_reader(reader, components)
    except (struct.error, ValueError, KeyError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot read; expected a complete .pose file of version 0.0, 0.1 or 0.2") from None
    targets = [target for component in components for target in _targets(component)]
    points = np.where(values[..., -1:] > 0, values[..., :-1], np.nan)[..., :3]
    shares, notes = to_shares(assemble(path, points, targets), size or ((width, height) if width and height else None))
    if persons > 1:
        notes = (*notes, f"{persons} persons: the one with the highest confidence is read")
    names = ", ".join(f"{component.name} {len(component.points)}" for component in components)
    return landmarks_of(shares, f".pose: {names}", float(fps) if SLOWEST <= fps <= FASTEST else None, notes)


def _read_components(reader: _Bytes, path: Path, version: float) -> list[_Component]:
    if round(version, 3) not in (0.0, 0.1, 0.2):
        raise ValueError("an unknown version")
    components, names = [], 0
    for _ in range(reader.read("H")[0]):
        name, channels = reader.text(), len(reader.text())
        points, limbs, colors = reader.read("HHH")
        if (names := names + points) > MAX_NAMES or not 3 <= channels <= 4:
            raise ValueError("too many points, or no x, y and confidence")
        components.append(_Component(name, channels, [reader.text() for _ in range(points)]))
        reader.read(f"{2 * limbs + 3 * colors}H")
    if not any(one.name in BODIES or (one.name in HANDS and len(one.points) == 21) for one in components):
        found = ", ".join(f"{one.name} ({len(one.points)} points)" for one in components) or "none"
        raise DataError(f"{path}: components {found[:300]}; expected one of {', '.join(sorted([*BODIES, *HANDS]))}")
    return components


def _targets(component: _Component) -> list[int]:
    count = len(component.points)
    if component.name in BODIES:
        return body_targets(component.points)
    if component.name in HANDS and count == 21:
        return list(HANDS[component.name])
    if component.name == MESH:
        return mesh_targets(component.points)
    return face_targets(count) if component.name in FACES else unread(count)


def _read_v0_0(reader: _Bytes, components: list[_Component]) -> tuple[float, np.ndarray, int]:
    fps, count = reader.read("HH")
    width, most = max(one.channels for one in components), 0
    frames = []
    for _ in range(count):
        (persons,) = reader.read("H")
        most = max(most, persons)
        best = np.zeros((sum(len(one.points) for one in components), width), np.float32)
        for _ in range(persons):
            reader.read("h")  # the person's number
            parts = [reader.floats(len(one.points) * one.channels).reshape(-1, one.channels) for one in components]
            person = np.zeros_like(best)
            person[:, -1] = np.concatenate([part[:, -1] for part in parts])
            first = 0
            for part in parts:
                person[first : first + len(part), : part.shape[1] - 1] = part[:, :-1]
                first += len(part)
            best = max(best, person, key=lambda one: one[:, -1].sum())
        frames.append(best)
    return fps, np.stack(frames) if frames else np.zeros((0, 1, width), np.float32), most


def _read_v0_1(reader: _Bytes, components: list[_Component]) -> tuple[float, np.ndarray, int]:
    fps, _, persons = reader.read("HHH")  # the number of frames overflows: it follows from the size
    frame = persons * sum(len(one.points) for one in components) * max(one.channels for one in components) * 4
    return _read_block(reader, components, fps, reader.left // frame if frame else 0, persons)


def _read_v0_2(reader: _Bytes, components: list[_Component]) -> tuple[float, np.ndarray, int]:
    fps, frames, persons = reader.read("fIH")
    return _read_block(reader, components, fps, frames, persons)


def _read_block(
    reader: _Bytes, components: list[_Component], fps: float, frames: int, persons: int
) -> tuple[float, np.ndarray, int]:
    points, channels = sum(len(one.points) for one in components), max(one.channels for one in components)
    if not persons or frames * persons * points * channels * 4 != reader.left:
        raise ValueError("another size than the header says")
    data = reader.floats(frames * persons * points * (channels - 1)).reshape(frames, persons, points, channels - 1)
    confidence = reader.floats(frames * persons * points).reshape(frames, persons, points)
    best = int(np.nan_to_num(confidence, posinf=0, neginf=0).sum((0, 2), np.float64).argmax())
    return fps, np.concatenate([data[:, best], confidence[:, best, :, None]], -1), persons


def write_pose_file(path: Path, landmarks: Landmarks, size: tuple[int, int]) -> None:
    """Writes a `.pose` file, version 0.2, in pixels, with the component names of MediaPipe Holistic.

    Args:
        size: width and height of the image, pixels.
    """
    width, height = size
    parts = [("POSE_LANDMARKS", POSE_NAMES), ("LEFT_HAND_LANDMARKS", HAND_NAMES), ("RIGHT_HAND_LANDMARKS", HAND_NAMES)]
    header = [struct.pack("<fHHHH", 0.2, width, height, 0, len(parts))]
    for name, names in parts:
        header += [_packed(name), _packed("XYZC"), struct.pack("<HHH", len(names), 0, 0)]
        header += [_packed(point.upper()) for point in names]
    header.append(struct.pack("<fIH", landmarks.fps or 0.0, landmarks.frames, 1))
    points = landmarks.points[:, [*POSE, *LEFT_HAND, *RIGHT_HAND]] * np.array([width, height, width], np.float32)
    known = ~np.isnan(points[..., 0])
    with atomic_write(path) as partial:
        data = [np.nan_to_num(points).astype("<f4").tobytes(), known.astype("<f4").tobytes()]
        partial.write_bytes(b"".join([*header, *data]))


def _packed(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode()
