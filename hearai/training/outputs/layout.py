"""Names of the files in the folder of a run, and the run folders of a trial. Imports no torch: reports use it, too."""

from itertools import count
from pathlib import Path

from hearai.config.config import Config

LAST, BEST = "last", "best"
"""Folders with the checkpoint to resume from, and with the model of the best epoch."""
STATE = "state.pt"
"""The file in each of them."""
CONFIG_FILE = "config.yaml"
"""The full config of the run."""
RUN_LOCK = ".lock"
"""Locked while a single run is trained."""
CODE_FILE = "code.json"
"""Path and SHA-256 of the folder with the user's own parts, of runs that use one."""
WEIGHTS_FILE = "weights.yaml"
"""What the run took from a file of weights that it started with (`pretrained: PATH`, `--from`), and what not."""
METRICS_FILE = "metrics.jsonl"
"""One line per epoch."""
CURVE_FILE = "learning_curve.png"
"""Loss and scores by epoch, of a single run."""
TENSORBOARD, NEPTUNE = "tensorboard", "neptune"
"""Folders of the trackers with these names."""
MLFLOW_STORE = "mlflow.db"
"""MLflow's default store, beside the run folders."""
BACKBONE_FILE = "backbone.pt"
"""The pre-trained backbone of a study, in its folder; of a single run, beside its config."""

SINGLE_RUNS = Path("runs")
"""Where runs are kept that no search has made and that name no folder."""


def run_folders(trial: Path, splits: int) -> list[Path]:
    """The trial's own folder, or one subfolder for each of several splits."""
    return [trial] if splits == 1 else [trial / f"split{fold}" for fold in range(splits)]


def run_folder(config: Config, stamp: str) -> Path:
    """Of a single run: `path_to_save`; the stem of a `.pth` path; unset = `runs/train-<stamp>`, `-2` if that exists."""
    path = config.general_parameters.path_to_save
    if path is None:
        names = (f"train-{stamp}" if number == 1 else f"train-{stamp}-{number}" for number in count(1))
        return next(folder for name in names if not (folder := SINGLE_RUNS / name).exists())
    return Path(path).parent / Path(path).stem if path.endswith(".pth") else Path(path)


def holds_checkpoint(folder: Path) -> bool:
    """Whether a checkpoint was saved there. A process killed during its first save leaves a folder without one."""
    return (folder / STATE).is_file()


def backbone_file(fold: int) -> str:
    """Name of the backbone file that was pre-trained on a fold's training clips."""
    return BACKBONE_FILE if fold == 0 else BACKBONE_FILE.replace(".", f"-split{fold}.")
