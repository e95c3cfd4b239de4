"""Where the runs of a trial lie. Knows no torch, as reports read it too."""

from pathlib import Path


def run_folders(trial: Path, splits: int) -> list[Path]:
    """The trial's own folder, or one in it for each of several splits."""
    return [trial] if splits == 1 else [trial / f"split{fold}" for fold in range(splits)]


LAST, BEST = "last", "best"
"""Folders inside a run: where to go on, and the model of the best epoch."""


STATE = "state.pt"
"""The file in each of them."""


def holds_checkpoint(folder: Path) -> bool:
    """Whether a state was saved there. A process that is killed before its first was whole leaves a folder without."""
    return (folder / STATE).is_file()


METRICS_FILE = "metrics.jsonl"
"""One line an epoch, in the folder of the run."""


BACKBONE_FILE = "backbone.pt"
"""Name of a pre-trained backbone's file, beside `study.yaml` and `best.yaml`."""


def backbone_file(fold: int) -> str:
    """Name of the backbone that was pre-trained on a fold's training clips."""
    return BACKBONE_FILE if fold == 0 else BACKBONE_FILE.replace(".", f"-split{fold}.")
