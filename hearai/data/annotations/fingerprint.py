"""Fingerprints that identify a dataset: one of its files in their place, one that a copy elsewhere has too."""

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from hearai.data.annotations.clip import Clip, landmarks_file
from hearai.data.annotations.frame_naming import OUR_NAMING

FINGERPRINT_KINDS = ("fingerprint", "content")
"""Keys under which the fingerprints are stored; older studies and runs have only the first."""


@dataclass(frozen=True)
class Fingerprints:
    """Two fingerprints of a dataset, computed together."""

    fingerprint: str
    """Changes with every row, signer, given split and used file (image, landmarks); the same where it is moved."""
    sizes: str
    """The same without the modification times of the files."""
    archives: tuple[Path, ...]
    """The landmark files that are used."""

    @property
    def content(self) -> str:
        """Changes with every row, signer, size of an image and content of landmarks; the same for a copy elsewhere.

        Landmark files of equally many frames have the same size; their archives contain checksums of the arrays.
        """
        return _content(self)

    def as_dict(self) -> dict[str, str]:
        """What to store for `is_same_dataset`."""
        return {kind: getattr(self, kind) for kind in FINGERPRINT_KINDS}


def is_same_dataset(stored: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether two results of `Fingerprints.as_dict` (keys may be absent) are of one dataset or of a copy of it."""
    return any(stored.get(kind) is not None and stored.get(kind) == current.get(kind) for kind in FINGERPRINT_KINDS)


def compute_fingerprints(clips: Iterable[Clip], *, frames: bool, landmarks: bool) -> Fingerprints:
    """frames, landmarks: which files of the clips are used."""
    exact, sizes, archives = hashlib.sha256(), hashlib.sha256(), []
    for clip in sorted(clips, key=lambda clip: clip.key):
        row: tuple = (clip.key, clip.start, clip.end, sorted(clip.labels.items()), clip.signer, clip.fps)
        if clip.naming != OUR_NAMING:  # other frames may lie in the same folder; fingerprints of our own names stay
            row = (*row, clip.naming.pattern)
        if clip.split is not None:
            row = (*row, f"split {clip.split}")
        for digest in (exact, sizes):
            digest.update(repr(row).encode())
        with os.scandir(clip.folder / clip.name) as entries:
            found = {entry.name: entry for entry in entries}
        files = [clip.frame_file(frame) for frame in range(clip.start, clip.end + 1)] if frames else []
        if landmarks:
            files.append(landmarks_file(clip.name))
            archives.append(clip.folder / clip.name / landmarks_file(clip.name))
        for stat in (found[file].stat() for file in files):
            exact.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            sizes.update(f"{stat.st_size} ".encode())
    return Fingerprints(exact.hexdigest()[:16], sizes.hexdigest()[:16], tuple(archives))


@functools.lru_cache(maxsize=4)  # it opens every archive, 26 us each; a search asks in several places
def _content(fingerprints: Fingerprints) -> str:
    digest = hashlib.sha256(fingerprints.sizes.encode())
    for archive in fingerprints.archives:
        digest.update(repr(_checksums(archive)).encode())
    return digest.hexdigest()[:16]


def _checksums(archive: Path) -> list[int]:
    """The checksum of each array in a .npz file, from its directory; none if it is broken: its reader reports that."""
    try:
        with ZipFile(archive) as entries:
            return [entry.CRC for entry in entries.infolist()]
    except BadZipFile:
        return []
