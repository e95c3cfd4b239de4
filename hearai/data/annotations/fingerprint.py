"""What a dataset is known by: its files as they lie there, and what any copy of them has in common."""

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from hearai.data.annotations.clip import Clip, frame_file, landmarks_file

KINDS = ("fingerprint", "content")
"""What a note of a dataset holds; an older one has the first alone."""


@dataclass(frozen=True)
class Fingerprints:
    """Two fingerprints of one dataset, from one look at its files."""

    fingerprint: str
    """Changes when a row, a signer or a file that is used (picture, landmarks) changes; stays when folders move."""
    sizes: str
    """The same, but for the times of the files."""
    archives: tuple[Path, ...]
    """Landmarks that are used."""

    @property
    def content(self) -> str:
        """Changes when a row, a signer, the size of a picture or the landmarks change; the same for a copy elsewhere.

        Landmarks of as many frames have the same size, whatever they are: their archives know sums of what is in them.
        """
        return _content(self)

    def known(self) -> dict[str, str]:
        """What to write down so that `is_same` knows the dataset again."""
        return {kind: getattr(self, kind) for kind in KINDS}


def is_same(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Whether two notes are of the same dataset, or of a copy of it. Each: `Prints.known()`, or what is left of it."""
    return any(theirs.get(kind) is not None and theirs.get(kind) == ours.get(kind) for kind in KINDS)


def prints_of(clips: Iterable[Clip], *, frames: bool, landmarks: bool) -> Fingerprints:
    """frames, landmarks: which files of the clips are used."""
    exact, sizes, archives = hashlib.sha256(), hashlib.sha256(), []
    for clip in sorted(clips, key=lambda clip: clip.key):
        row = (clip.key, clip.start, clip.end, sorted(clip.labels.items()), clip.signer, clip.fps)
        for digest in (exact, sizes):
            digest.update(repr(row).encode())
        with os.scandir(clip.folder / clip.name) as entries:
            found = {entry.name: entry for entry in entries}
        files = [frame_file(clip.name, frame) for frame in range(clip.start, clip.end + 1)] if frames else []
        if landmarks:
            files.append(landmarks_file(clip.name))
            archives.append(clip.folder / clip.name / landmarks_file(clip.name))
        for stat in (found[file].stat() for file in files):
            exact.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            sizes.update(f"{stat.st_size} ".encode())
    return Fingerprints(exact.hexdigest()[:16], sizes.hexdigest()[:16], tuple(archives))


@functools.lru_cache(maxsize=4)  # it opens every archive, 26 us each; a search asks at several places
def _content(prints: Fingerprints) -> str:
    digest = hashlib.sha256(prints.sizes.encode())
    for archive in prints.archives:
        digest.update(repr(_sums(archive)).encode())
    return digest.hexdigest()[:16]


def _sums(archive: Path) -> list[int]:
    """The checksum of each array in a .npz file, from its directory; none if it is broken, as its reader will say."""
    try:
        with ZipFile(archive) as entries:
            return [entry.CRC for entry in entries.infolist()]
    except BadZipFile:
        return []
