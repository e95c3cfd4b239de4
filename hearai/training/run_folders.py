"""Where the runs of a trial lie. Knows no torch, as reports read it too."""

from pathlib import Path


def run_folders(trial: Path, splits: int) -> list[Path]:
    """The trial's own folder, or one in it for each of several splits."""
    return [trial] if splits == 1 else [trial / f"split{fold}" for fold in range(splits)]
