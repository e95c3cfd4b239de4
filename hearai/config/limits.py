"""Upper bounds of options, far above any use: beyond them a run would exhaust the machine or end in an overflow."""

MAX_SEED = 2**63
"""Seeds of runs; torch's generators take no larger one."""
MAX_SAMPLER_SEED = 2**32 - 1_000_001
"""Seeds of searches: numpy's generators take 32 bits, and continued searches count up from the seed."""
MAX_GPU = 1023
MAX_THREADS = 1024
MAX_PROCESSES = 1024
"""Loader processes, decoding processes, workers of a group."""
MAX_EPOCHS = 1_000_000
MAX_BATCH = 2**40
"""Clips or frames of a batch: a batch has no more than there are."""
MAX_SEGMENTS = 10_000
"""Frames of a clip."""
MAX_WIDTH = 65_536
"""Width of a layer."""
MAX_KERNEL = 255
"""Frames of a convolution: a clip has up to 64."""
MAX_CLASSES = 1_000_000
"""Classes of a head."""
MAX_FOLDS = 1_000
MAX_TRIALS = 1_000_000
MAX_RETRAINING = 10_000
"""Finalists, and seeds of each."""
MAX_SECONDS = 1e9
"""32 years."""
MAX_WEIGHT = 1e300
"""Factors in a step; what is too large for training diverges in its first steps."""
MAX_LR = 10
MAX_GIGABYTES = 1_000_000
"""Of a cache: a thousand terabytes."""
MAX_SIDE = 16_384
"""Pixels of an image's side."""
