"""PopSign: folders train, val and test with a folder for each word; videos, or .pose files."""

from hearai.data.annotations.metadata import SPLIT_WORDS
from hearai.data.importers.kinds import folder_per_class
from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source
from hearai.errors import DataError


def read(source: Source) -> Samples:
    """SPLIT/WORD/CLIP.mp4 or CLIP.pose."""
    found = sorted(path.name for path in source.media.iterdir() if path.is_dir())
    if not any(name.lower() in SPLIT_WORDS for name in found):
        shown = ", ".join(found[:5]) or "no folders"
        raise DataError(f"{source.media}: contains {shown}; expected the folders train, val and test of PopSign")
    return folder_per_class.read(source)
