"""Something that goes on in a thread while something else lasts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def background(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs `work` in a thread until the context ends, which the event tells it; it is waited for."""
    done = threading.Event()
    thread = threading.Thread(target=work, args=(done,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
