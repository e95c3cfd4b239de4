"""The demo dataset: clips of drawn signers showing HamNoSys labels, in the layout that docs/data.md describes.

    root = demo_dataset()          # built once, on all cores, into a cache folder

Needs numpy and Pillow only, so that worker processes start quickly. `labels` plans which signer shows what, `body`
(with `hand` and `places`) computes all joints, `render` (with `camera`, `head` and `arms`) paints them, and
`landmarks` makes the landmark arrays, to which `detector` can add errors.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from hearai.data.demo.detector import detected
from hearai.data.demo.labels import PlannedClip, plan_clips
from hearai.data.demo.render import render_clip
from hearai.data.demo.signer import Signer, make_signers
from hearai.data.tools.process_pool import for_each
from hearai.files import cache_folder
from hearai.sign.hamnosys import HEADS
from hearai.threads import file_lock

SIGNERS = 32
DEMO_CLIPS = 1600
FPS = 25
JPEG_QUALITY = 90

RENDERING = 1
"""To be raised, and SHIPPED_FINGERPRINTS emptied, by every change of the rendered bytes (a test compares them).

The folder's name is part of `Clip.key`, and so of random draws and of studies: it must not change otherwise.
"""
DETECTION = 1
"""To be raised by every change of `hearai.data.demo.detector` that changes its output."""
SHIPPED = {"clips": 0, "frames": 8, "size": 128, "seed": 0}
SHIPPED_FINGERPRINTS = {1600: "19600ccd237f", 400: "94b8232c475b", 96: "17db39184b50"}
"""{clips: fingerprint} of the datasets of the shipped search spaces, from when it was a hash of the source files."""


def demo_dataset(
    root: Path | None = None,
    *,
    clips: int = DEMO_CLIPS,
    frames: int = 8,
    size: int = 128,
    seed: int = 0,
    workers: int | None = None,
    landmarks: Literal["exact", "detected"] = "exact",
) -> Path:
    """A folder of `clips` clips with `frames` images of `size` x `size` pixels; built if it does not exist yet.

    `root` is the cache folder (default: $HEARAI_CACHE, else ~/.cache/hearai). `workers` processes render
    (default: one per core; 1: this process); their number does not change a byte of the result. `landmarks` are those
    of the renderer, or have the errors of a detector (`hearai.data.demo.detector`); the images are the same.

    Raises:
        ValueError: `clips`, `frames` or `size` is less than 1.
    """
    for name, value in {"clips": clips, "frames": frames, "size": size}.items():
        if value < 1:
            raise ValueError(f"{name}: {value}; expected 1 or more")
    root = root or cache_folder()
    folder = root / f"demo-{_fingerprint(clips=clips, frames=frames, size=size, seed=seed)}"
    if landmarks == "detected":
        folder = folder.with_name(f"{folder.name}-detected-{DETECTION}")
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with file_lock(root / f".{folder.name}.lock"):
        if folder.is_dir():  # another process has built it in the meantime
            return folder
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=root))
        try:
            detector = landmarks == "detected"
            _build(building, clips=clips, frames=frames, size=size, seed=seed, workers=workers, detector=detector)
            building.chmod(0o755)  # mkdtemp gives access to this user only
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return folder


def _fingerprint(**arguments: int) -> str:
    """Changes with every argument, the label tables and RENDERING."""
    if arguments | {"clips": 0} == SHIPPED and arguments["clips"] in SHIPPED_FINGERPRINTS:
        return SHIPPED_FINGERPRINTS[arguments["clips"]]
    digest = hashlib.sha256(json.dumps(arguments | {"rendering": RENDERING}, sort_keys=True).encode())
    digest.update((Path(__file__).parents[2] / "sign" / "hamnosys_tables.json").read_bytes())
    return digest.hexdigest()[:12]


def _build(folder: Path, *, clips: int, frames: int, size: int, seed: int, workers: int | None, detector: bool) -> None:
    """Write a whole dataset."""
    signers = make_signers(SIGNERS, seed)
    plan = plan_clips(clips, SIGNERS, seed=seed)
    _write_tables(folder, plan, signers=signers, frames=frames)
    render = partial(_render, folder=folder, signers=signers, frames=frames, size=size, seed=seed, detector=detector)
    for _ in for_each(render, plan, workers=workers):
        pass


def _render(
    clip: PlannedClip, *, folder: Path, signers: list[Signer], frames: int, size: int, seed: int, detector: bool
) -> None:
    """Render and write one clip. Its random numbers depend on the seed and its name alone."""
    number = int.from_bytes(hashlib.sha256(clip.name.encode()).digest()[:8], "big")
    rng = np.random.default_rng([seed, 3, number])
    images, landmarks = render_clip(clip.labels, signers[clip.signer], frames=frames, size=size, rng=rng)
    if detector:  # with a generator of its own: the images stay the same
        landmarks = detected(landmarks, np.random.default_rng([seed, 4, number]))
    clip_folder = folder / clip.name
    clip_folder.mkdir()
    for i, image in enumerate(images):
        image.save(clip_folder / f"{clip.name}_{i}.jpg", quality=JPEG_QUALITY)
    (clip_folder / f"{clip.name}_properties.json").write_text(json.dumps({"FPS": FPS}))
    np.savez(clip_folder / f"{clip.name}.npz", **landmarks)  # type: ignore[arg-type]  # no name is allow_pickle


def _write_tables(folder: Path, plan: list[PlannedClip], *, signers: list[Signer], frames: int) -> None:
    """Write the annotations of both modes, the gloss names and the signers."""
    last = frames - 1
    _write(
        folder / "test_hamnosys.txt",
        " ".join(["name", "start", "end", *HEADS]),
        rows=(f"{c.name} 0 {last} {' '.join(str(c.labels[h]) for h in HEADS)}" for c in plan),
    )
    _write(folder / "test_gloss.txt", "name start end gloss_id", rows=(f"{c.name} 0 {last} {c.entry}" for c in plan))
    entries = range(max(c.entry for c in plan) + 1)
    _write(folder / "glosses.csv", "gloss_id,name", rows=(f"{i},SIGN{i:03d}" for i in entries))
    _write(folder / "signers.csv", "name,signer", rows=(f"{c.name},{signers[c.signer].name}" for c in plan))


def _write(path: Path, header: str, *, rows: Iterable[str]) -> None:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", newline="\n")
