"""Files: where those lie that can be made again, and writing one whole or not at all."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Folder of everything that can be computed again: $HEARAI_CACHE, else ~/.cache/hearai."""
    return Path(os.environ.get("HEARAI_CACHE") or Path.home() / ".cache" / "hearai")


def write_whole(path: Path, text: str) -> None:
    """Replaces the file in one move, so that no reader ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
