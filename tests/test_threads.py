"""No more threads than the cores that affinity and control groups allow; one function at a time beside a thread."""

import logging
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from hearai.threads import ENVIRONMENT, SideThread, interrupts_held, usable_cores
from hearai.training.optim.torch_options import use_threads
from tests.helpers import ROOT

MANY = set(range(16))


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.fixture
def cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """cores(line of /proc/self/cgroup) -> usable cores of a process with affinity to 16 of them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: MANY, raising=False)

    def count(line: str) -> int:
        (tmp_path / "own").write_text(f"{line}\n")
        return usable_cores(groups=tmp_path / "groups", own=tmp_path / "own")

    return count


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max 100000\n", 16), ("400000 100000\n", 4), ("250000 100000\n", 2), ("50000 100000\n", 1), ("damaged", 16)],
)
def test_the_quota_of_a_group_of_version_2(cores, tmp_path: Path, content: str, expected: int):
    write(tmp_path / "groups" / "a" / "b", cpu__max=content)
    assert cores("0::/a/b") == expected


def test_groups_above_count_too(cores, tmp_path: Path):
    write(tmp_path / "groups" / "a", cpu__max="300000 100000")
    write(tmp_path / "groups" / "a" / "b", cpu__max="800000 100000")
    assert cores("0::/a/b") == 3
    write(tmp_path / "groups", cpu__max="200000 100000")
    assert cores("0::/not/seen/in/the/container") == 2


@pytest.mark.parametrize(("quota", "expected"), [("-1", 16), ("600000", 6)])
@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_the_quota_of_a_group_of_version_1(cores, tmp_path: Path, mount: str, quota: str, expected: int):
    write(tmp_path / "groups" / mount / "a", cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000")
    assert cores("4:cpu,cpuacct:/a" if "," in mount else "4:cpu:/a") == expected


def test_without_control_groups_the_affinity_counts(cores, tmp_path: Path):
    assert cores("0::/") == usable_cores(own=tmp_path / "missing") == 16


def test_more_threads_than_cores_are_not_used(caplog: pytest.LogCaptureFixture):
    before = torch.get_num_threads()
    caplog.set_level(logging.INFO, "hearai")
    try:
        assert use_threads(10_000) == torch.get_num_threads() == usable_cores()
        assert caplog.messages[0].startswith("10000 threads: this process may use ")
        assert use_threads(1) == use_threads() == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("variable", "ours", "users"),
    [
        ("OMP_WAIT_POLICY", "PASSIVE", "ACTIVE"),
        ("GOMP_SPINCOUNT", "2000", "0"),
        ("KMP_BLOCKTIME", "0", "200"),
        ("OPENBLAS_NUM_THREADS", "1", "2"),
    ],
)
def test_threads_hardly_spin_unless_the_user_lets_them(variable: str, ours: str, users: str):
    assert value_after_import(variable) == ours and value_after_import(variable, **{variable: users}) == users


def test_a_policy_of_the_user_has_its_own_count_of_spins():
    assert value_after_import("GOMP_SPINCOUNT", OMP_WAIT_POLICY="PASSIVE") == "None"
    assert value_after_import("GOMP_SPINCOUNT", OMP_WAIT_POLICY="sleep") == "2000", "GNU's OpenMP would spin for long"


def value_after_import(variable: str, **changes: str) -> str:
    """Of an environment variable once hearai is imported, `changes` being all that the user has set."""
    clean = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    code = f"import hearai, os; print(os.environ.get('{variable}'))"
    process = subprocess.run(
        [sys.executable, "-c", code], env=clean | changes, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return process.stdout.strip()


def test_a_side_thread_runs_one_function_after_another():
    side, may_end, done = SideThread(), threading.Event(), []
    side.start(lambda: (may_end.wait(10), done.append(1)))
    assert not done, "it runs beside this thread"
    may_end.set()
    side.start(lambda: done.append(len(done) + 1))
    side.close()
    assert done == [1, 2]


@pytest.mark.parametrize("call", ["start", "wait", "close"])
def test_what_a_side_thread_raises_is_raised_once(call: str):
    side, done = SideThread(), []
    side.start(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        side.start(lambda: done.append(1)) if call == "start" else getattr(side, call)()
    side.close()
    assert not done


def test_an_interrupt_takes_effect_at_the_end_of_the_block() -> None:
    handler, done = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt):
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")
        done.append("not reached")
    assert done == ["all of it"] and signal.getsignal(signal.SIGINT) is handler
    with interrupts_held(), ThreadPoolExecutor(1) as pool:
        pool.submit(interrupts_held().__enter__).result()  # in a thread, which receives no signals
