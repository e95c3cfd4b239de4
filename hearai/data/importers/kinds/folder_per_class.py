"""A folder for each word, with videos, images or landmark files in it; a level train/val/test above is the split."""

import os
from pathlib import Path

from hearai.config.field_types import IMAGE_ENDINGS
from hearai.data.annotations.metadata import SPLIT_WORDS
from hearai.data.importers.samples import Samples, join_name
from hearai.data.importers.source import Source
from hearai.data.landmarks.foreign import is_foreign
from hearai.data.videos import SUFFIXES
from hearai.errors import DataError


def read(source: Source) -> Samples:
    """[SPLIT/]WORD/CLIP.mp4, [SPLIT/]WORD/CLIP/IMAGES, or landmarks of another tool, such as CLIP.pose.

    Landmarks beside the video of the same clip are read only if they are asked for. Other files are counted.
    """
    samples = Samples(source)
    top = _folders(source.media)
    splits = [folder for folder in top if folder.name.lower() in SPLIT_WORDS]
    if splits and len(splits) < len(top):
        others = ", ".join(folder.name for folder in top if folder not in splits)
        raise DataError(f"{source.media}: has {', '.join(f.name for f in splits)} beside {others}; expected either")
    if not splits:
        for word in top:
            _add_word(samples, word, None)
    for split in splits:
        for word in _folders(split):
            _add_word(samples, word, split.name)
    return samples


def _add_word(samples: Samples, folder: Path, split: str | None) -> None:
    images = left_out = 0
    paths = sorted(folder.iterdir())
    videos = {path.stem for path in paths if path.suffix.lower() in SUFFIXES}
    for path in paths:
        stem = path.name if path.is_dir() else path.stem
        prefix = (split, folder.name) if split else (folder.name,)
        about = {"name": join_name(*prefix, stem), "file": path, "word": folder.name, "split": split}
        if path.name.startswith("."):
            continue
        if path.is_dir() and any(name.lower().endswith(IMAGE_ENDINGS) for name in os.listdir(path)):
            samples.add(str(path), form="images", **about)  # type: ignore[arg-type]
        elif path.suffix.lower() in SUFFIXES:
            samples.add(str(path), **about)  # type: ignore[arg-type]
        elif is_foreign(path):
            if stem not in videos:
                samples.add(str(path), form="landmarks", **about)  # type: ignore[arg-type]
        else:
            images += path.suffix.lower() in IMAGE_ENDINGS
            left_out += 1
    if images:
        found = f"{folder}: contains {images} images rather than folders of them"
        samples.problems.add("", f"{found}; expected a video or a folder of images for each clip")
    elif left_out:
        samples.notes.append(f"{folder}: {left_out} entries are neither videos, images nor landmarks, and left out")


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: not a directory; expected a folder with a folder for each word")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
