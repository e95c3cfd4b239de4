"""What a trial's log says about its end."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hearai.search.storage.layout import label_of
from hearai.search.trial.log import Stopped, failure_of, log_size, trial_log
from hearai.search.trial.stack_dump import location_in


def test_the_reason_of_a_failure_is_the_last_line_of_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError), trial_log(tmp_path):
        raise ValueError("no such thing")
    assert failure_of(tmp_path) == "ValueError: no such thing"


def test_a_process_that_was_killed_is_not_blamed_on_its_last_log_line(tmp_path: Path) -> None:
    with trial_log(tmp_path):
        logging.getLogger("hearai.training").info("epoch 1: train loss 0.3")
    assert failure_of(tmp_path).startswith("the process died; its last words: ")
    assert failure_of(tmp_path).endswith("epoch 1: train loss 0.3")


def test_a_process_that_died_at_once_left_no_log(tmp_path: Path) -> None:
    assert "before the run began" in failure_of(tmp_path)


def test_folders_are_named_by_number_and_finals_by_their_source_and_seed() -> None:
    assert label_of(7, {"kind": "search"}) == "0007"
    assert label_of(31, {"source": 7, "seed": 2}) == "0007-seed2"


@pytest.mark.parametrize("code", [0, 3, "no licence"])
def test_code_that_exits_ends_its_trial_with_an_error_that_says_so(tmp_path: Path, code: int | str) -> None:
    with pytest.raises(RuntimeError, match="sys.exit"), trial_log(tmp_path):
        sys.exit(code)
    assert failure_of(tmp_path) == f"it called sys.exit({code!r})"


def test_a_trial_that_the_search_stops_has_not_failed(tmp_path: Path) -> None:
    with pytest.raises(Stopped), trial_log(tmp_path):
        raise Stopped(0)
    assert "failed" not in (tmp_path / "train.log").read_text()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory: MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out of memory: "),
    ],
)
def test_a_lack_of_memory_is_said_in_words(tmp_path: Path, error: Exception, words: str) -> None:
    with pytest.raises(type(error)), trial_log(tmp_path):
        raise error
    assert failure_of(tmp_path).startswith(words)


def test_only_the_last_attempt_counts(tmp_path: Path) -> None:
    with pytest.raises(ValueError), trial_log(tmp_path):
        raise ValueError("the first")
    start = log_size(tmp_path)
    with trial_log(tmp_path):
        logging.getLogger("hearai.training").info("epoch 2")
    assert failure_of(tmp_path, start, "killed by SIGKILL").startswith("killed by SIGKILL; its last words: ")
    assert failure_of(tmp_path, start).endswith("epoch 2")


# -- processes that cannot say why they end ---------------------------------------------------------

TRIAL = """
import os, sys, threading, time
from pathlib import Path
from hearai.data.images import read_picture
from hearai.search.trial.stack_dump import stack_dump
from hearai.search.trial.log import LOG, trial_log

def run_trial(folder, how):
    with trial_log(folder), stack_dump(folder / LOG, 0.5 if how == "hang" else 60):
        print("ready", flush=True)
        os._exit(3) if how == "exit" else read_picture(folder / "pipe")

folder, how = Path(sys.argv[1]), sys.argv[2]
thread = threading.Thread(target=run_trial, args=(folder, how))  # as in an actor
thread.start()
thread.join()
"""


def end_of(folder: Path, how: str, kill: signal.Signals | None = None) -> str:
    """The reason in the log of a trial that waits for ever for a picture, or ends by itself."""
    os.mkfifo(folder / "pipe")
    process = subprocess.Popen([sys.executable, "-c", TRIAL, str(folder), how], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    time.sleep(1.5 if how == "hang" else 0.5)
    process.send_signal(kill or signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    return failure_of(folder, 0, "killed by SIGKILL")


def test_a_crash_is_named_and_its_stacks_are_in_the_log(tmp_path: Path) -> None:
    assert end_of(tmp_path, "wait", signal.SIGSEGV).startswith("segmentation fault (SIGSEGV)")
    log = (tmp_path / "train.log").read_text()
    assert "Fatal Python error: Segmentation fault" in log and "in read_picture" in log


def test_a_process_that_hangs_writes_where(tmp_path: Path) -> None:
    reason = end_of(tmp_path, "hang")
    assert re.fullmatch(r"killed by SIGKILL in data/images\.py:\d+ \(read_picture\)", reason)


def test_a_process_that_is_gone_without_a_word_keeps_its_log(tmp_path: Path) -> None:
    assert re.fullmatch(r"killed by SIGKILL; its last words: .* process \d+ begins", end_of(tmp_path, "exit"))


def test_where_a_run_stood_is_read_from_the_thread_that_crashed() -> None:
    stacks = """
Thread 0x01 (most recent call first):
  File "/repo/hearai/search/other.py", line 1 in waits
Current thread 0x02 (most recent call first):
  File "/lib/torch/nn/functional.py", line 9 in conv
  File "/home/hearai/hearai/models/heads.py", line 42 in forward
  File "/home/hearai/hearai/training/loop.py", line 7 in fit
""".splitlines()
    assert location_in(stacks) == " in models/heads.py:42 (forward)"
    assert location_in(stacks[:2]) == "" and location_in([]) == ""
