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
from hearai.errors import DataError
from hearai.sign.skeleton import PARTS

FINGERPRINT_KINDS = ("fingerprint", "content", "renamed_copy")
"""Keys under which the fingerprints are stored; older studies and runs lack some."""
CHANGED = (
    "the dataset: rows, labels or files have changed since the search has read them; undo the change, then the same "
    "command continues, or begin another study with --name"
)
DISTINCT_SIZES = 4
"""Different sizes among the images of a clip that identify it; where there are fewer, one image is read as well."""


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
    images_N: tuple[tuple[int, Path | None], ...]
    """(digest of the sizes of its images, an image if these say too little) of each clip; empty = they are not used."""
    archives_N: tuple[Path, ...]
    """The landmark file of each clip; empty = they are not used."""

    @property
    def content(self) -> str:
        """Changes with every row, signer, size of an image and content of landmarks; the same for a copy elsewhere.

        Landmark files of equally many frames have the same size; their archives contain checksums of the arrays.
        """
        return self._landmarks[0]

    @property
    def renamed_copy(self) -> str:
        """As `content`, the same also for a copy whose folders have other names, if that leaves their order.

        Then the same clips are in each part of the split, which depends on the order of the clips alone.
        """
        return self._landmarks[1]

    @cached_property
    def clips(self) -> Mapping[str, tuple[int, int]]:
        """{key of a clip: 64-bit digests of its images and of its landmarks}; 0 = they are not used.

        Equal for a copy of a clip, whatever its name, dataset and labels. Of landmarks, hands and body count, which
        all models of landmarks read.
        """
        unused = [0] * len(self.keys_N)
        images_N = [_digest([sizes, image and image.read_bytes()]) for sizes, image in self.images_N] or unused
        return dict(zip(self.keys_N, zip(images_N, self._landmarks[2] or unused, strict=True), strict=True))

    def as_dict(self) -> dict[str, str]:
        """What to store for `is_same_dataset`."""
        return {kind: getattr(self, kind) for kind in FINGERPRINT_KINDS}

    @cached_property
    def _landmarks(self) -> tuple[str, str, tuple[int, ...]]:
        """(`content`, `renamed_copy`, digest of the landmarks of each clip).

        Read once, because every archive is opened for it (26 us each), and a search asks in several places.
        """
        content, renamed, digests_N = (
            hashlib.sha256(self.sizes.encode()),
            hashlib.sha256(self.sizes_renamed.encode()),
            [],
        )
        for archive in self.archives_N:
            checksums = _checksums(archive)
            for digest in (content, renamed):
                digest.update(repr(list(checksums.values())).encode())
            digests_N.append(_digest_of_landmarks(checksums))
        return content.hexdigest()[:16], renamed.hexdigest()[:16], tuple(digests_N)


def is_same_dataset(stored: Mapping[str, Any], current: Mapping[str, Any], *, renamed: bool = True) -> bool:
    """Whether two results of `Fingerprints.as_dict` (keys may be absent) are of one dataset or of a copy of it.

    renamed: whether the folders of the copy may have other names.
    """
    kinds = FINGERPRINT_KINDS if renamed else FINGERPRINT_KINDS[:2]
    return any(stored.get(kind) is not None and stored.get(kind) == current.get(kind) for kind in kinds)


def require_same_dataset(read: Mapping[str, str], now: Fingerprints) -> None:
    """Refuses files other than those that a search has read: its trials could not be compared.

    Args:
        read: `Fingerprints.as_dict` of the dataset when the search began.

    Raises:
        DataError: rows, labels or files have changed.
    """
    if read["fingerprint"] != now.fingerprint and not is_same_dataset(read, now.as_dict()):
        raise DataError(CHANGED)


def compute_fingerprints(clips: Iterable[Clip], *, frames: bool, landmarks: bool) -> Fingerprints:
    """frames, landmarks: which files of the clips are used."""
    clips = sorted(clips, key=lambda clip: clip.key)
    exact, sizes, renamed = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    number_of = {name: number for number, name in enumerate(dict.fromkeys(clip.dataset_name for clip in clips))}
    images_N, archives_N = [], []
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
        if frames:
            image_sizes = [stat.st_size for stat in stats]
            says_little = len(set(image_sizes)) < DISTINCT_SIZES
            middle = clip.frame_path((clip.start + clip.end) // 2) if says_little else None
            images_N.append((_digest(image_sizes), middle))
        if landmarks:
            stats.append(found[landmarks_file(clip.name)].stat())
            archives_N.append(clip.folder / clip.name / landmarks_file(clip.name))
        exact.update("".join(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats).encode())
        sizes_of_files = "".join(f"{stat.st_size} " for stat in stats).encode()
        for digest in (sizes, renamed):
            digest.update(sizes_of_files)
    keys_N, of_dataset = tuple(clip.key for clip in clips), [d.hexdigest()[:16] for d in (exact, sizes, renamed)]
    return Fingerprints(of_dataset[0], of_dataset[1], of_dataset[2], keys_N, tuple(images_N), tuple(archives_N))


def _row(clip: Clip) -> tuple:
    """What the annotations say about a clip, without its name."""
    row: tuple = (clip.start, clip.end, sorted(clip.labels.items()), clip.signer, clip.fps)
    if clip.naming != OUR_NAMING:  # other frames may lie in the same folder; fingerprints of our own names stay
        row = (*row, clip.naming.pattern)
    return row if clip.split is None else (*row, f"split {clip.split}")


def _digest_of_landmarks(checksums: Mapping[str, int]) -> int:
    """0 if the file has none."""
    read = [(name, checksums[f"{name}.npy"]) for name in PARTS if f"{name}.npy" in checksums]
    return _digest(read) if read else 0


def _digest(values: Sequence[object]) -> int:
    """A 64-bit number, never 0."""
    return int.from_bytes(hashlib.blake2b(repr(values).encode(), digest_size=8).digest(), signed=True) or 1


def _checksums(archive: Path) -> dict[str, int]:
    """{file name of an array in a .npz file: its checksum}, from its directory; none if it is broken.

    (Its reader reports that.)
    """
    try:
        with ZipFile(archive) as entries:
            return {entry.filename: entry.CRC for entry in entries.infolist()}
    except BadZipFile:
        return {}
