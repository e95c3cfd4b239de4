"""What a trial's log shows about its end."""

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


def test_the_reason_is_the_last_line_of_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError), trial_log(tmp_path):
        raise ValueError("no such thing")
    assert failure_of(tmp_path) == "ValueError: no such thing"


def test_a_killed_process_is_reported_with_its_last_log_line(tmp_path: Path) -> None:
    with trial_log(tmp_path):
        logging.getLogger("hearai.training").info("epoch 1: train loss 0.3")
    assert failure_of(tmp_path).startswith("the process died; last line of its log: ")
    assert failure_of(tmp_path).endswith("epoch 1: train loss 0.3")


def test_a_process_that_died_at_once_has_no_log(tmp_path: Path) -> None:
    assert "before the run started" in failure_of(tmp_path)


def test_folders_are_named_by_number_finals_by_source_and_seed() -> None:
    assert label_of(7, {"kind": "search"}) == "0007"
    assert label_of(31, {"source": 7, "seed": 2}) == "0007-seed2"


@pytest.mark.parametrize("code", [0, 3, "no license"])
def test_code_that_calls_sys_exit_fails_its_trial(tmp_path: Path, code: int | str) -> None:
    with pytest.raises(RuntimeError, match="sys.exit"), trial_log(tmp_path):
        sys.exit(code)
    assert failure_of(tmp_path) == f"it called sys.exit({code!r})"


def test_a_trial_that_the_search_stops_has_not_failed(tmp_path: Path) -> None:
    with pytest.raises(Stopped), trial_log(tmp_path):
        raise Stopped(0)
    assert "failed" not in (tmp_path / "train.log").read_text()


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (MemoryError(), "out of memory: MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out of memory: "),
    ],
)
def test_a_lack_of_memory_is_named(tmp_path: Path, error: Exception, start: str) -> None:
    with pytest.raises(type(error)), trial_log(tmp_path):
        raise error
    assert failure_of(tmp_path).startswith(start)


def test_only_the_last_attempt_counts(tmp_path: Path) -> None:
    with pytest.raises(ValueError), trial_log(tmp_path):
        raise ValueError("the first")
    start = log_size(tmp_path)
    with trial_log(tmp_path):
        logging.getLogger("hearai.training").info("epoch 2")
    assert failure_of(tmp_path, start, "killed by SIGKILL").startswith("killed by SIGKILL; last line of its log: ")
    assert failure_of(tmp_path, start).endswith("epoch 2")


# -- processes that cannot log why they end --------------------------------------------------------

TRIAL = """
import os, sys, threading, time
from pathlib import Path
from hearai.data.images import read_image
from hearai.search.trial.stack_dump import stack_dump
from hearai.search.trial.log import LOG, trial_log

def run_trial(folder, how):
    with trial_log(folder), stack_dump(folder / LOG, 0.5 if how == "hang" else 60):
        print("ready", flush=True)
        os._exit(3) if how == "exit" else read_image(folder / "pipe")

folder, how = Path(sys.argv[1]), sys.argv[2]
thread = threading.Thread(target=run_trial, args=(folder, how))  # as in an actor
thread.start()
thread.join()
"""


def end_of(folder: Path, how: str, kill: signal.Signals | None = None) -> str:
    """The reason in the log of a trial that blocks on reading an image, or exits by itself."""
    os.mkfifo(folder / "pipe")
    process = subprocess.Popen([sys.executable, "-c", TRIAL, str(folder), how], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    time.sleep(1.5 if how == "hang" else 0.5)
    process.send_signal(kill or signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    return failure_of(folder, 0, "killed by SIGKILL")


@pytest.mark.heavy
def test_a_crash_is_named_and_its_stacks_are_logged(tmp_path: Path) -> None:
    assert end_of(tmp_path, "wait", signal.SIGSEGV).startswith("segmentation fault (SIGSEGV)")
    log = (tmp_path / "train.log").read_text()
    assert "Fatal Python error: Segmentation fault" in log and "in read_image" in log


@pytest.mark.heavy
def test_a_process_that_hangs_logs_where(tmp_path: Path) -> None:
    reason = end_of(tmp_path, "hang")
    assert re.fullmatch(r"killed by SIGKILL in data/images\.py:\d+ \(read_image\)", reason)


@pytest.mark.heavy
def test_a_process_that_exits_without_a_reason_keeps_its_log(tmp_path: Path) -> None:
    assert re.fullmatch(r"killed by SIGKILL; last line of its log: .* process \d+ started", end_of(tmp_path, "exit"))
