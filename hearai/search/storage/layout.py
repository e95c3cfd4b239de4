"""Names of the files in a study folder. Those in the folder of a run are in `hearai.training.outputs.layout`."""

from collections.abc import Mapping
from typing import Any

from hearai.search.storage.attributes import SEED, SOURCE

JOB = "HEARAI_JOB"
"""Environment variable with the name of the cluster job in which a search runs."""

JOURNAL, LOCK, OWNER = "journal.log", "owner.lock", "owner.json"
"""The Optuna journal; the lock of the process that searches here, and who that is."""
STUDY_FILE, SPLIT_FILE, COMMANDS = "study.yaml", "split.csv", "command.txt"
"""The resolved study; the split of its clips; every command that was run here, with its code version."""
CLASS_NAMES = "class_names.csv"
"""The names of the classes of its dataset, in the format of the dataset's own `classes.csv`."""
DATASET_FACTS = "data.json"
"""Clips, signers, classes and split of its dataset, see `hearai.data.tools.dataset_facts`."""
BEST_CONFIG, BEST_MODEL = "best.yaml", "best"
"""The winner's config, and a folder with its checkpoint: of which run, says `seed_of_best`."""
PARETO = "pareto"
"""Folder with the configs of the Pareto front."""
TEST_SCORES = "test.json"
"""Test scores of the winner and of the base config."""
CONFUSION, EXAMPLES = "test_confusion.json", "test_examples.json"
"""Which classes the winner confuses on the test clips; and frames of such clips, see `confusion_record`. The report
shows them; without the second file it has no frames of the dataset."""
FINAL_CONFIG, FINAL_RUN = "final.yaml", "final"
"""Config and run folder of the winner's last training, on training and validation clips."""
SUMMARY, REPORT, SHORT_REPORT, TRIALS_TABLE = "summary.json", "report.html", "report.md", "trials.csv"
"""Written by `hearai.reporting.study_report`."""
TUNE_LOG, OUTPUT_LOG = "tune.log", "output.log"
"""Messages of Ray Tune; what the search has printed, whether or not it was read."""

PRETRAINING, LINE = "pretraining", "line.txt"
"""Folder with the saved epochs of each backbone until it is trained on a node; the line that was logged last."""

TRIALS = "trials"
"""Folder of the trials, see `label_of`."""
LOG, ATTEMPT = "train.log", "attempt"
"""In the folder of a trial: its log, and the process that currently writes there."""


def label_of(number: int, user_attrs: Mapping[str, Any]) -> str:
    """Name of a trial's folder: `0007`, or `0007-seed2` for a finalist's retraining."""
    return f"{user_attrs[SOURCE]:04d}-seed{user_attrs[SEED]}" if SOURCE in user_attrs else f"{number:04d}"


def seed_of_best(is_complete: bool, scores: Mapping[int, float]) -> int | None:
    """The seed of the winner's run whose checkpoint `best` holds; None = its run in the search.

    The base config may win although its run in the search failed or was ended early: then it is its best run of the
    finals.

    Args:
        is_complete: whether its run in the search is.
        scores: {seed: validation score} of its complete runs in the finals.
    """
    return None if is_complete or not scores else max(scores, key=lambda seed: (scores[seed], -seed))
