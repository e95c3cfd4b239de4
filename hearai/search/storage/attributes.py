"""Names of the user attributes that a search keeps in its journal: on trials, and on Optuna studies as a whole.

The values are stored on disk, so they never change. This module must not import Optuna or Ray.
"""

# -- attributes of a trial ------------------------------------------------------------------------

KIND = "kind"
"""What the trial is for: one of the four kinds below; a trial without this attribute is of kind SEARCH_KIND."""
BASE_KIND = "base"
"""Kind of the base config's trial."""
SEARCH_KIND = "search"
"""Kind of a trial that the sampler proposed."""
FINAL_KIND = "final"
"""Kind of a finalist's (or the base config's) retraining with another seed."""
WARM_KIND = "warm"
"""Kind of a trial taken over from another search, see `hearai.search.sampling.warm_start`."""

TUNE_ID = "tune_id"
"""Ray Tune's id of the trial's latest attempt."""
EPOCHS = "epochs"
"""Epochs that the trial has trained."""
BEST_EPOCH = "best_epoch"
"""Epoch with the best objective, from 1; 0 if there was none."""
SECONDS = "seconds"
"""Seconds spent in training."""
DIVERGED = "diverged"
"""Whether the loss became NaN or infinite."""
COSTS = "costs"
"""{metric: value}: what the model costs, see `hearai.metrics`."""
CUT = "cut"
"""The budget whose end stopped the trial; absent if it was not stopped by a budget."""
REASON = "reason"
"""Why the trial failed, one line for the user."""
LOST = "lost"
"""How often the node of the trial has died."""
MOVED = "moved"
"""How often the trial was preempted and resumed elsewhere."""

PAUSED = "paused"
"""The last epoch of a trial that is paused and may be trained on; 0 while it trains, absent if it never paused. In
Optuna's terms a paused trial is RUNNING."""

DUPLICATE_OF = "duplicate_of"
"""Number of the earlier trial with the same parameters; a proposal with this attribute was rejected."""
BREAKS_RULE = "breaks_rule"
"""The rule of the space that the parameters break; a proposal with this attribute was rejected."""

SOURCE = "source"
"""Of a final: number of the search's trial whose parameters it uses."""
SEED = "seed"
"""Of a final: its seed."""

FROM = "from"
"""Of a warm start: the journal that the trial or point comes from."""
POINT = "point"
"""Of a warm start: the parameters as text, by which a point is recognised and queued once."""

# -- attributes of an Optuna study ----------------------------------------------------------------

CODE_VERSIONS = "code_versions"
"""Versions of the code that have run the search, the oldest first."""
PRETRAINING_SECONDS = "pretraining_seconds"
"""Seconds of pre-training and of computing shared features before the first trial."""
THREADS = "threads"
"""torch's threads per worker."""
WARM_START = "warm_start"
"""The journal whose warm start was applied."""
ENDED_BY = "ended_by"
"""Why the search proposes no more trials, one line for the user."""
WALL_SECONDS = "wall_seconds"
"""Wall time of this study's trials, over all calls."""
SLOT_SECONDS = "slot_seconds"
"""Wall time multiplied by the number of slots."""
TOTAL_SECONDS = "total_seconds"
"""Wall time of all calls from start to end."""
MEMORY_PSS_GB = "memory_pss_gb"
"""Peak memory of the driver and everything it started, in GB (PSS)."""
