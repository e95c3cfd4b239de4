"""Many runs: Ray carries them out, Optuna proposes them. The only folder that imports either."""

import os

# Ray prints a screenful for each process that ends unasked; why a trial failed is said in one line, see live.py.
# It reads this when it is imported, hence here.
os.environ.setdefault(
    "RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed|Raylet is terminated|has been marked dead"
)
