"""Where a thread spends its time: its stack is looked at every few milliseconds, from another thread.

Nothing of the measured code has to be changed, or to know of it.
"""

import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from hearai.threads import background

Rule = tuple[str, str, str]
"""(label, part of a file's path, name of a function in it or "" for all)."""
OTHER = "other"

TRAINING_RULES: Sequence[Rule] = (
    ("evaluation", "training/evaluation.py", ""),
    ("checkpoint", "training/run_writer.py", ""),
    ("batches", "training/batches.py", "train"),
    ("batches", "training/features/", ""),
    ("batches", "hearai/data/", ""),
    ("forward", "torch/nn/modules/module.py", "_wrapped_call_impl"),
    ("forward", "training/optim/loss.py", ""),
    ("backward", "torch/_tensor.py", "backward"),
    ("backward", "training/optim/divergence.py", "backward"),
    ("optimizer", "torch/optim/", ""),
    ("optimizer", "training/optim/", ""),
)
"""The parts of an epoch in `hearai.training`."""
ARITHMETIC = ("forward", "backward", "optimizer")


class Profile:
    """Counts of samples by label, and the CPU seconds that the thread has used between them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.cpu: defaultdict[str, float] = defaultdict(float)
        """Of the sampled thread alone; empty where the system has no clock for a thread (macOS)."""

    def shares(self) -> dict[str, float]:
        """{label: share of the samples}, the largest first; empty without samples."""
        total = sum(self.counts.values())
        return {label: count / total for label, count in self.counts.most_common()}


def arithmetic_share(shares: Mapping[str, float]) -> float:
    """Share of an epoch in forward pass, backward pass and optimizer."""
    return sum(shares.get(label, 0.0) for label in ARITHMETIC)


@contextmanager
def sampled(rules: Sequence[Rule], *, interval_s: float = 0.002) -> Iterator[Profile]:
    """Samples the stack of the calling thread for the duration of the block.

    A sample has the label of the outermost frame that a rule names, so that a forward pass within an evaluation is
    evaluation.
    """
    profile, thread = Profile(), threading.get_ident()
    clock = time.pthread_getcpuclockid(thread) if hasattr(time, "pthread_getcpuclockid") else None

    def sample(stop: threading.Event) -> None:
        before = time.clock_gettime(clock) if clock is not None else 0.0
        while not stop.wait(interval_s):
            label = label_of(sys._current_frames()[thread], rules)
            profile.counts[label] += 1
            if clock is not None:
                used = time.clock_gettime(clock)
                profile.cpu[label] += used - before
                before = used

    switch = sys.getswitchinterval()
    sys.setswitchinterval(interval_s / 4)  # or Python code would be interrupted only where it calls C
    try:
        with background(sample):
            yield profile
    finally:
        sys.setswitchinterval(switch)


def label_of(frame: FrameType | None, rules: Sequence[Rule]) -> str:
    """The label of the outermost of a stack's frames that a rule names. frame: the innermost."""
    label = OTHER
    while frame is not None:
        code = frame.f_code
        for name, file, function in rules:
            if file in code.co_filename and function in ("", code.co_name):
                label = name
                break
        frame = frame.f_back
    return label
