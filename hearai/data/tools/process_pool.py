"""Work on many items in processes that never outlive the one that asked for them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from hearai.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def for_each(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int | None = None
) -> Iterator[tuple[Item, Result | DataError]]:
    """(item, `work(item)`) in the order in which they are done; a DataError of `work` is its result.

    Args:
        work, items: must survive pickling; the processes import nothing but what `work` needs.
        workers: processes; None = one per core, 1 = this process does the work.

    Raises:
        DataError: a process died (memory, a crash in a codec).
        Exception: any other that `work` raised; what is still to be done is not, and what is being done is ended.
    """
    workers = min(workers or cores(), len(items))
    if workers <= 1:
        yield from ((item, _attempt(work, item)) for item in items)
        return
    with _processes(workers) as pool:
        futures = {pool.submit(_attempt, work, item): item for item in items}
        for future in as_completed(futures):
            try:
                yield futures.pop(future), future.result()
            except BrokenProcessPool:
                raise DataError(
                    "a worker process died (out of memory?); the same command continues with what is left, "
                    "with --workers 1 one by one"
                ) from None


def _attempt(work: Callable[[Item], Result], item: Item) -> Result | DataError:
    try:
        return work(item)
    except DataError as error:
        return error


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that is ended at once where the block fails or is interrupted."""
    others = set(multiprocessing.active_children())
    # spawn: safe in a process that already has threads (torch, ray)
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_follow_parent)
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Ctrl-C is the parent's to handle; a parent that was killed takes this process along."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
