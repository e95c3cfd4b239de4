"""Folders of small text files."""

from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes a file; creates its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read_texts(folder: Path) -> dict[str, str]:
    """{relative path: text} of all files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
