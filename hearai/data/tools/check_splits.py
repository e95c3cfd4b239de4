"""What `check_data` remarks on a dataset's given splits: names of no clip, and signers in several splits."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.metadata import SPLITS, read_splits
from hearai.data.annotations.problems import Problems
from hearai.data.annotations.split import PARTS
from hearai.data.annotations.text_files import quoted
from hearai.errors import DataError


def split_warnings(folders: Iterable[Path], names: set[str], clips: Iterable[Clip]) -> Iterator[tuple[str, str]]:
    """(kind, message) for what is unusual about given splits, but can be used.

    Args:
        folders: those of the annotation files, which may contain splits.csv.
        names: of the clips in any row.
        clips: with their signers and splits.
    """
    for path in sorted({folder / SPLITS for folder in folders}):
        for name in _read_names(path):
            if name not in names:
                yield f"names in {SPLITS} in no row", f"{path}: {quoted(name)} is in no annotation file"
    parts: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        if clip.signer is not None and clip.split is not None:
            parts[clip.signer][clip.split] += 1
    for signer, counts in sorted(parts.items()):
        if len(counts) > 1:
            yield "signers in several splits", f"signer {quoted(signer)} has {sizes_text(counts)}"


def split_sizes(clips: Iterable[Clip]) -> str | None:
    """`12 train, 3 val, 4 test`; None if no split is given."""
    counts = Counter(clip.split for clip in clips if clip.split is not None)
    return sizes_text(counts) if counts else None


def sizes_text(counts: Mapping[str, int]) -> str:
    """`12 train, 3 val` of {split: clips}; those without clips are left out."""
    return ", ".join(f"{counts[part]} {part}" for part in PARTS if counts.get(part))


def _read_names(path: Path) -> Iterable[str]:
    try:
        return read_splits(path, Problems()) or ()
    except DataError:  # reported by the check of the rows
        return ()
