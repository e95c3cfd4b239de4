"""Hyperparameter search: many runs. Ray runs the trials, Optuna proposes their configs."""

import os

# Ray prints a screenful for each process that dies; the reason is printed as one line, see tune/callbacks.py.
# Ray reads this variable when it is imported, so it is set before any module of this package imports Ray.
os.environ.setdefault(
    "RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed|Raylet is terminated|has been marked dead"
)
