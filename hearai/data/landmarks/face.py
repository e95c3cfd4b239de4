"""Which clips have the face mesh that a model is to read."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from hearai.data.annotations.clip import Clip
from hearai.data.landmarks.clip_points import MESHES, UNREADABLE
from hearai.data.media.array_header import read_array_header
from hearai.sign.skeleton import FACE


def missing_face_notes(clips: Iterable[Clip]) -> list[str]:
    """What to say if clips lack the mesh: nothing, or one line."""
    paths = [clip.landmarks_path for clip in clips]
    lacking = [path for path in paths if not has_face_mesh(path)]
    if not lacking:
        return []
    return [
        f"feature_extractor.points: {len(lacking):,} of {len(paths):,} clips have no face mesh (array {FACE!r} of "
        f"{' or '.join(map(str, MESHES))} points), such as {lacking[0]}: their points of the face count as unknown; "
        "extract, convert or import the landmarks with --face, or leave out face_lips, face_nose and face_eyes"
    ]


def has_face_mesh(path: Path) -> bool:
    """Whether a landmark file has MediaPipe's face mesh, by the header of its array; false if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as file:
            if f"{FACE}.npy" not in file.namelist():
                return False
            with file.open(f"{FACE}.npy") as stream:
                shape, _ = read_array_header(stream)
    except UNREADABLE:
        return False
    return len(shape) == 3 and shape[1] in MESHES
