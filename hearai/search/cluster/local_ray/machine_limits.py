"""Limits of this machine that are too low for Ray's processes: disk, open files, processes, memory."""

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hearai.files import free_space
from hearai.threads import control_groups

LEAST_DISK = 50_000_000
"""Bytes of free space. The logs and sockets of a short search are 2 MB; logs of a long one grow, and objects spill."""
LEAST_FILES = 256
"""Open files of a process."""
LEAST_PROCESSES = 1000
"""Processes and threads of a user or a container. Ray starts some 15 processes, each with dozens of threads."""


def low_limits(folder: Path, groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[str]:
    """What there is too little of, one entry for each: an amount, and the command or file that says so.

    Args:
        folder: where Ray keeps its sockets and logs; it need not exist.
        groups, own: see `hearai.threads.control_groups`.
    """
    return [*_low_disk(folder), *_low_resources(), *_low_groups(groups, own)]


def _low_disk(folder: Path) -> Iterator[str]:
    with suppress(OSError):
        free, _ = free_space(folder)
        if free < LEAST_DISK:
            yield f"{free / 1e6:.1f} MB of free space in {folder}"


def _low_resources() -> Iterator[str]:
    files, processes = _limit(resource.RLIMIT_NOFILE), _limit(resource.RLIMIT_NPROC)
    if files is not None and files < LEAST_FILES:
        yield f"at most {files} open files (ulimit -n)"
    if processes is not None and processes < LEAST_PROCESSES:
        yield f"at most {processes} processes and threads (ulimit -u)"
    if (size := _limit(resource.RLIMIT_FSIZE)) is not None:
        yield f"files of at most {size / 1e6:,.1f} MB (ulimit -f)"
    if (space := _limit(resource.RLIMIT_AS)) is not None:
        yield f"at most {space / 1e9:,.1f} GB of address space (ulimit -v)"


def _limit(name: int) -> int | None:
    """The limit that applies; None = there is none."""
    soft, _ = resource.getrlimit(name)
    return None if soft == resource.RLIM_INFINITY else soft


def _low_groups(groups: Path, own: Path) -> Iterator[str]:
    """At most one: the lowest limit on processes of the control groups of this process, and those above it."""
    limits = {}
    for folder in control_groups("pids", groups=groups, own=own):
        with suppress(OSError, ValueError):  # no such controller; "max"
            limits[int((folder / "pids.max").read_text())] = folder / "pids.max"
    if limits and min(limits) < LEAST_PROCESSES:
        yield f"at most {min(limits)} processes and threads ({limits[min(limits)]})"
