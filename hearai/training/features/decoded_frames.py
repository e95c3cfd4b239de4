"""Decoded frames: images of one size in a memory-mapped file, decoded once, shared by all runs on a machine.

They lie in `$HEARAI_CACHE` under a fingerprint of the files (size, time of the last change) and of the resizing, which
comes before all random augmentation. Each image is compared with its checksum when a process first reads it. Where
they cannot be stored, frames are decoded in every epoch, and the log says why. F frames, T frames of a clip,
N frames of a pass, C/H/W image.
"""

import functools
import hashlib
import itertools
import logging
import os
import time
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from torch import Tensor

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.frames import build_reader
from hearai.errors import DiskFull
from hearai.files import atomic_write, cache_folder, lock_cache, require_free_space
from hearai.threads import file_lock

log = logging.getLogger(__name__)

FRAMES_FORMAT = 1
"""To be raised when images of the same fingerprint would come out differently."""

FRAMES_PER_PASS = 64
IMAGES, CHECKSUMS = "images.npy", "checksums.npy"

_prepared: list["DecodedFrames"] = []
"""Frames that this process has decoded for others, protected from deletion as long as it lives."""


class DecodedFrames:
    """Images (F, C, H, W) in a file, and where each clip's begin; the `frames` of a dataset."""

    def __init__(self, folder: Path, config: Config, clips: Sequence[Clip]):
        self._folder, self._read = folder, build_reader(config)
        lengths = [clip.end - clip.start + 1 for clip in clips]
        firsts = itertools.accumulate(lengths, initial=0)
        self._offsets = {clip.key: first - clip.start for clip, first in zip(clips, firsts, strict=False)}
        self._open()

    def __call__(self, clip: Clip, frames: list[int]) -> Tensor:
        """Images (T, C, H, W) uint8 of the given frame numbers of a clip."""
        rows = [self._offsets[clip.key] + frame for frame in frames]
        images_TCHW = torch.from_numpy(self._images_FCHW[rows])
        for position, row in enumerate(rows):
            if self._is_checked_F[row]:
                continue
            if zlib.crc32(images_TCHW[position].numpy()) == self._checksums_F[row]:
                self._is_checked_F[row] = True
            else:
                _tell_damage(self._folder)
                images_TCHW[position] = self._read(clip.frame_path(frames[position]))
        return images_TCHW

    def __getstate__(self) -> dict[str, Any]:
        """Without the images: a loader process that is not forked maps the file itself."""
        return {name: value for name, value in self.__dict__.items() if not name.endswith(("_F", "_FCHW"))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        self._images_FCHW = np.load(self._folder / IMAGES, mmap_mode="r", allow_pickle=False)
        self._checksums_F = np.load(self._folder / CHECKSUMS, allow_pickle=False)
        self._is_checked_F = np.zeros(len(self._checksums_F), bool)


def ensure_frames(config: Config, clips: Iterable[Clip]) -> None:
    """Decodes the frames that runs of this config need, with all threads, before many runs start at once."""
    if frames := load_frames(config, clips):
        _prepared.append(frames)


def load_frames(config: Config, clips: Iterable[Clip], *, reads: float = float("inf")) -> DecodedFrames | None:
    """Every frame of `clips`, decoded and resized. One process decodes them; the others wait and read.

    Args:
        reads: how many frames the run is going to read; fewer than there are, and they are not decoded for it.

    Returns:
        None where frames are better decoded one by one, or have to be; why is in the log, once for each reason.

    Raises:
        DataError: an image is broken.
    """
    clips = sorted({clip.key: clip for clip in clips}.values(), key=lambda clip: clip.key)
    parameters = config.augmentations_parameters
    if not clips or not config.general_parameters.frame_cache_gb:
        return None
    if not parameters.apply_center_crop:
        return _explained("without augmentations_parameters.apply_center_crop their sizes may differ")
    with suppress(OSError):  # a file that is missing is reported by its reader
        name = fingerprint(config, clips)
        return _load_or_decode(cache_folder() / f"frames-{name}", config, clips, name, reads)
    return None


def fingerprint(config: Config, clips: Iterable[Clip]) -> str:
    """Changes with each file (its size, its time), which ones are used, and their resizing; not with their folder.

    Raises:
        OSError: a file is missing.
    """
    parts = (FRAMES_FORMAT, PIL.__version__, sorted(build_reader(config).keywords.items()))
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8)
    for clip in clips:
        digest.update(f"{clip.key} {clip.start} {clip.end} {clip.naming.pattern}\n".encode())
        folder = os.path.join(clip.folder, clip.name)
        for frame in range(clip.start, clip.end + 1):
            status = os.stat(f"{folder}/{clip.frame_file(frame)}")
            digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _load_or_decode(
    folder: Path, config: Config, clips: Sequence[Clip], name: str, reads: float
) -> DecodedFrames | None:
    height, width = config.augmentations_parameters.crop_sides
    shape = (sum(clip.end - clip.start + 1 for clip in clips), 3, height, width)
    try:
        is_there = _is_valid(folder, shape)
        if not is_there and (reads < shape[0] or not _has_room(folder, config, shape)):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        in_use = lock_cache(folder)
        if not _is_valid(folder, shape):
            folder.mkdir(parents=True, exist_ok=True)
            with _only_builder(folder):
                if not _is_valid(folder, shape) and not _decode(folder, config, clips, shape, name):
                    return None
        frames = DecodedFrames(folder, config, clips)
    except (OSError, DiskFull) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return _explained(f"{folder.parent} cannot hold them ({reason}); set HEARAI_CACHE to a folder with free space")
    if in_use:
        weakref.finalize(frames, in_use.close)
    return frames


def _is_valid(folder: Path, shape: tuple[int, ...]) -> bool:
    """Whether a folder holds images of this shape (F, C, H, W) and their checksums; their content is checked later."""
    try:
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        checksums = np.load(folder / CHECKSUMS, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return False
    except (OSError, ValueError, EOFError):
        log.warning("%s: damaged; its frames are decoded again", folder)
        return False
    if _is_array(images, shape, np.uint8) and _is_array(checksums, shape[:1], np.uint32):
        return True
    log.warning("%s: holds other frames than its name says; they are decoded again", folder)
    return False


def _is_array(found: object, shape: tuple[int, ...], kind: type) -> bool:
    return isinstance(found, np.ndarray) and (found.shape, found.dtype) == (shape, np.dtype(kind))


def _has_room(folder: Path, config: Config, shape: tuple[int, ...]) -> bool:
    """Whether the frames fit into the budget, with those of other datasets and sizes, and on the disk."""
    size, budget = np.prod(shape, dtype=float) / 1e9, config.general_parameters.frame_cache_gb
    others = (path for path in folder.parent.glob(f"frames-*/{IMAGES}") if path.parent != folder)
    used = sum(path.stat().st_size for path in others) / 1e9
    if size + used > budget:
        _explained(
            f"they need {size:.1f} GB, and {used:.1f} of general_parameters.frame_cache_gb, {budget:g}, are in use; "
            "raise it, or delete caches with experiments/studies.py"
        )
        return False
    require_free_space(folder, 1.1 * size * 1e9, "decoded frames")
    return True


@contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    """Lets one process decode at a time; the kernel ends the lock of one that is killed."""

    def on_wait() -> None:
        log.info("waiting for another process, which decodes the same frames")

    with file_lock(folder / "lock", on_wait=on_wait) as is_locked:
        for left_over in folder.glob(f".{IMAGES}.*") if is_locked else ():  # by a builder that was killed
            left_over.unlink(missing_ok=True)
        yield


def _decode(folder: Path, config: Config, clips: Sequence[Clip], shape: tuple[int, ...], name: str) -> bool:
    """Writes the images, all or none, then their checksums. False: a file has changed meanwhile."""
    started, checksums, is_unchanged = time.monotonic(), [], False
    log.info("decoding %d frames once for all runs (%.1f GB)", shape[0], np.prod(shape, dtype=float) / 1e9)
    with suppress(_Changed), atomic_write(folder / IMAGES) as temporary:
        with temporary.open("wb") as file:  # written, not mapped: a full disk is an error, not a signal
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for image_CHW in _read_all(config, clips):
                content = image_CHW.numpy().tobytes()
                checksums.append(zlib.crc32(content))
                file.write(content)
        _require_unchanged(config, clips, name)
        # A process killed from here on leaves images without checksums, not with wrong ones.
        (folder / CHECKSUMS).unlink(missing_ok=True)
        is_unchanged = True
    if not is_unchanged:
        _explained("some were changed while they were read; the next run decodes them once")
        return False
    with atomic_write(folder / CHECKSUMS) as temporary, temporary.open("wb") as file:
        np.save(file, np.array(checksums, np.uint32))
    log.info("frames ready after %.1f s", time.monotonic() - started)
    return True


def _require_unchanged(config: Config, clips: Sequence[Clip], name: str) -> None:
    """Raises _Changed if the files are not those of the fingerprint `name`."""
    try:
        is_same = fingerprint(config, clips) == name
    except OSError:  # one was removed
        is_same = False
    if not is_same:
        raise _Changed


class _Changed(Exception):
    """A file is not the one that was to be decoded."""


def _read_all(config: Config, clips: Sequence[Clip]) -> Iterator[Tensor]:
    """All frames of `clips`, each (C, H, W) uint8; a pass is decoded while the previous one is written."""
    read = build_reader(config)
    paths = [clip.frame_path(frame) for clip in clips for frame in range(clip.start, clip.end + 1)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        ahead: Iterable[Tensor] = ()
        for first in range(0, len(paths) + FRAMES_PER_PASS, FRAMES_PER_PASS):
            ready, ahead = ahead, pool.map(read, paths[first : first + FRAMES_PER_PASS])
            yield from ready


@functools.cache
def _explained(reason: str) -> None:
    """Logs once for each reason why frames are decoded in every epoch."""
    log.warning("frames are decoded in every epoch, which is slower than once for all runs: %s", reason)


@functools.cache
def _tell_damage(folder: Path) -> None:
    """Once: that images of a folder are damaged; without their checksums, the next run decodes all of them again."""
    log.warning("%s: damaged (a checksum has changed); what is damaged is read from the dataset", folder)
    with suppress(OSError):
        (folder / CHECKSUMS).unlink(missing_ok=True)
