"""Files: where those lie that can be made again, and writing one whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Folder of everything that can be computed again: $HEARAI_CACHE, else ~/.cache/hearai."""
    return Path(os.environ.get("HEARAI_CACHE") or Path.home() / ".cache" / "hearai")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write; it takes the place of `path` in one move when the block ends well.

    So no reader ever sees half of it, and a power cut leaves the old or the new one.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Replaces a text file in one move."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
