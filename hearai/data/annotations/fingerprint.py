"""Fingerprints that identify a dataset: one of its files in their place, and those that copies of it have too."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from hearai.data.annotations.clip import Clip, landmarks_file
from hearai.data.annotations.frame_naming import OUR_NAMING

FINGERPRINT_KINDS = ("fingerprint", "content", "renamed_copy")
"""Keys under which the fingerprints are stored; older studies and runs lack some."""
DISTINCT_SIZES = 4
"""Different sizes among the images of a clip from which they identify it; images without compression have one size."""


@dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of a dataset and of its clips, computed together. N clips, sorted by their keys."""

    fingerprint: str
    """Changes with every row, signer, given split and used file (image, landmarks); the same where it is moved."""
    sizes: str
    """The same without the modification times of the files."""
    sizes_renamed: str
    """`sizes` without the names of the dataset folders, of which only the order counts."""
    keys_N: tuple[str, ...]
    frames_N: tuple[int, ...]
    """64-bit digest of the images of each clip; 0 = they are not used."""
    archives_N: tuple[Path, ...]
    """The landmark file of each clip; empty = they are not used."""

    @cached_property
    def content(self) -> str:
        """Changes with every row, signer, size of an image and content of landmarks; the same for a copy elsewhere.

        Landmark files of equally many frames have the same size; their archives contain checksums of the arrays.
        """
        return self._with_landmarks(self.sizes)

    @cached_property
    def renamed_copy(self) -> str:
        """As `content`, the same also for a copy whose folders have other names, if that leaves their order.

        Then the same clips are in each part of the split, which depends on the order of the clips alone.
        """
        return self._with_landmarks(self.sizes_renamed)

    @cached_property
    def clips(self) -> Mapping[str, tuple[int, int]]:
        """{key of a clip: digests of its images and of its landmarks}; 0 = they are not used.

        Equal for a copy of a clip, whatever its dataset and labels; whatever its name, too, if it is read from
        landmarks, or from images of at least `DISTINCT_SIZES` different sizes.
        """
        landmarks_N = [_digest(sums) if sums else 0 for sums in self._checksums_N] or [0] * len(self.keys_N)
        return dict(zip(self.keys_N, zip(self.frames_N, landmarks_N, strict=True), strict=True))

    def as_dict(self) -> dict[str, str]:
        """What to store for `is_same_dataset`."""
        return {kind: getattr(self, kind) for kind in FINGERPRINT_KINDS}

    def _with_landmarks(self, sizes: str) -> str:
        digest = hashlib.sha256(sizes.encode())
        for checksums in self._checksums_N:
            digest.update(repr(checksums).encode())
        return digest.hexdigest()[:16]

    @cached_property
    def _checksums_N(self) -> list[list[int]]:
        """Read once, because every archive is opened for it (26 us each), and a search asks in several places."""
        return [_checksums(archive) for archive in self.archives_N]


def is_same_dataset(stored: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether two results of `Fingerprints.as_dict` (keys may be absent) are of one dataset or of a copy of it."""
    return any(stored.get(kind) is not None and stored.get(kind) == current.get(kind) for kind in FINGERPRINT_KINDS)


def compute_fingerprints(clips: Iterable[Clip], *, frames: bool, landmarks: bool) -> Fingerprints:
    """frames, landmarks: which files of the clips are used."""
    clips = sorted(clips, key=lambda clip: clip.key)
    exact, sizes, renamed = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    number_of = {name: number for number, name in enumerate(dict.fromkeys(clip.dataset_name for clip in clips))}
    frames_N, archives_N = [], []
    for clip in clips:
        row = _row(clip)
        for digest, name in (
            (exact, clip.key),
            (sizes, clip.key),
            (renamed, (number_of[clip.dataset_name], clip.name)),
        ):
            digest.update(repr((name, *row)).encode())
        with os.scandir(clip.folder / clip.name) as entries:
            found = {entry.name: entry for entry in entries}
        stats = [found[clip.frame_file(frame)].stat() for frame in range(clip.start, clip.end + 1)] if frames else []
        frames_N.append(_digest_of_images(clip, [stat.st_size for stat in stats]) if frames else 0)
        if landmarks:
            stats.append(found[landmarks_file(clip.name)].stat())
            archives_N.append(clip.folder / clip.name / landmarks_file(clip.name))
        for stat in stats:
            exact.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            for digest in (sizes, renamed):
                digest.update(f"{stat.st_size} ".encode())
    keys_N, of_dataset = tuple(clip.key for clip in clips), [d.hexdigest()[:16] for d in (exact, sizes, renamed)]
    return Fingerprints(of_dataset[0], of_dataset[1], of_dataset[2], keys_N, tuple(frames_N), tuple(archives_N))


def _row(clip: Clip) -> tuple:
    """What the annotations say about a clip, without its name."""
    row: tuple = (clip.start, clip.end, sorted(clip.labels.items()), clip.signer, clip.fps)
    if clip.naming != OUR_NAMING:  # other frames may lie in the same folder; fingerprints of our own names stay
        row = (*row, clip.naming.pattern)
    return row if clip.split is None else (*row, f"split {clip.split}")


def _digest_of_images(clip: Clip, sizes: Sequence[int]) -> int:
    """The name counts only where the sizes say too little."""
    return _digest(sizes if len(set(sizes)) >= DISTINCT_SIZES else [clip.name, *sizes])


def _digest(values: Sequence[object]) -> int:
    """A 64-bit number, never 0."""
    return int.from_bytes(hashlib.blake2b(repr(values).encode(), digest_size=8).digest(), signed=True) or 1


def _checksums(archive: Path) -> list[int]:
    """The checksum of each array in a .npz file, from its directory; none if it is broken: its reader reports that."""
    try:
        with ZipFile(archive) as entries:
            return [entry.CRC for entry in entries.infolist()]
    except BadZipFile:
        return []
