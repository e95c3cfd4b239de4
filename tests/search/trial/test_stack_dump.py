"""Where a run was, read from the stacks that its process has dumped."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hearai.search.trial.stack_dump import location_in


def test_the_location_is_that_of_the_thread_that_crashed() -> None:
    stacks = """
Thread 0x01 (most recent call first):
  File "/repo/hearai/search/finals.py", line 1 in waits
Current thread 0x02 (most recent call first):
  File "/lib/torch/nn/functional.py", line 9 in conv
  File "/home/hearai/hearai/models/heads.py", line 42 in forward
  File "/home/hearai/hearai/training/fit.py", line 7 in fit
""".splitlines()
    assert location_in(stacks) == " in models/heads.py:42 (forward)"
    assert location_in(stacks[:3]) == " in search/finals.py:1 (waits)"
    assert location_in(stacks[:2]) == "" and location_in([]) == ""


DUMPS_WITH_BACKGROUND_THREADS = """
import faulthandler, sys, threading
from pathlib import Path
from unittest.mock import Mock
from hearai.data.images import read_image
from hearai.search.trial import preemption, trial_metrics
from hearai.search.storage.lock import watch_ownership

preemption.ray = Mock()
trial_metrics.Gauge = Mock()
trial = threading.Thread(target=read_image, args=(Path(sys.argv[1]),), daemon=True)
trial.start()
with preemption.watch_for_preemption(), trial_metrics.trial_metrics("study", "0000"), watch_ownership(print, print):
    trial.join(1)
    faulthandler.dump_traceback(sys.stdout)
"""


@pytest.mark.heavy
def test_background_threads_are_not_taken_for_the_trial(tmp_path: Path) -> None:
    """They started after the trial's thread, so they come before it in the dump."""
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-c", DUMPS_WITH_BACKGROUND_THREADS, str(tmp_path / "pipe")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    for file in ("preemption.py", "trial_metrics.py", "lock.py"):
        assert f"/{file}" in done.stdout
    stacks = [line.replace("Current thread", "Thread") for line in done.stdout.splitlines()]
    assert re.fullmatch(r" in data/images\.py:\d+ \(\w+\)", location_in(stacks))
