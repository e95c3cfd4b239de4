"""Parallel work on many items in processes that never outlive their parent."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Protocol, TypeVar

from hearai.errors import DataError
from hearai.threads import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


class Progress(Protocol):
    """Passes items through while showing how many of `total` are done, such as `hearai.cli.progress_bar`."""

    def __call__(self, items: Iterable[Item], total: int, /) -> Iterable[Item]:
        """The same items."""


def no_progress(items: Iterable[Item], _: int) -> Iterable[Item]:
    """Shows nothing."""
    return items


def for_each(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int | None = None
) -> Generator[tuple[Item, Result | DataError], None, None]:
    """Yields (item, `work(item)`) in order of completion; a DataError that `work` raises is its result.

    Args:
        work, items: must be picklable; the processes import only what `work` needs.
        workers: processes; None = one per core, 1 = this process.

    Raises:
        DataError: a process died (out of memory, a crash in a codec).
        Exception: any other that `work` raised; the items that are not done are cancelled.
    """
    workers = min(workers or usable_cores(), len(items))
    if workers <= 1:
        yield from ((item, _result_or_error(work, item)) for item in items)
        return
    with _pool(workers) as pool:
        with _main_hidden():
            futures = {pool.submit(_result_or_error, work, item): item for item in items}
        for future in as_completed(futures):
            try:
                yield futures.pop(future), future.result()
            except BrokenProcessPool:
                raise DataError(
                    "a worker process died (out of memory?); run the same command again to continue, "
                    "with --workers 1 to use a single process"
                ) from None


def _result_or_error(work: Callable[[Item], Result], item: Item) -> Result | DataError:
    try:
        return work(item)
    except DataError as error:
        return error


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that is terminated at once if the block fails or is interrupted."""
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


@contextmanager
def _main_hidden() -> Iterator[None]:
    """For the start of processes: they would run the main module, and so begin the user's script once more."""
    main = sys.modules["__main__"]
    places = {name: getattr(main, name) for name in ("__spec__", "__file__") if getattr(main, name, None)}
    for name in places:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, place in places.items():
            setattr(main, name, place)


def _follow_parent() -> None:
    """Leaves Ctrl-C to the parent, and exits when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
