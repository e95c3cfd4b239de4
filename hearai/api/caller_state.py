"""What a call of the API uses of the process that it does not own, and leaves as it was.

Scripts own their process; a notebook has random numbers, settings and threads of its own.
"""

import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hearai.config.model_parts.code_folder import put_back_modules
from hearai.errors import ConfigError
from hearai.threads import interrupts_held, is_main_thread

_one_call = threading.Lock()
_names: list[str] = []


@contextmanager
def only_call(name: str) -> Iterator[None]:
    """Refuses a call while another one trains or builds a model: both would draw from torch's random numbers.

    Raises:
        ConfigError: names the other one.
    """
    if not _one_call.acquire(blocking=False):
        other = next(iter(_names), "another call")
        raise ConfigError(
            f"hearai.{name}: {other} is running in another thread of this process, and both draw from torch's random "
            "numbers, so that neither could be repeated; wait for its end, or use another process"
        )
    _names[:] = [f"hearai.{name}"]
    try:
        with _caller_state_kept():
            yield
    finally:
        _names.clear()
        _one_call.release()


@contextmanager
def torch_defaults() -> Iterator[None]:
    """torch computes as in a new process: with gradients, in float32, whatever the caller has set."""
    with interrupts_held():  # after an interrupted import, torch cannot be imported again
        import torch

    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)


@contextmanager
def _caller_state_kept() -> Iterator[None]:
    """Random numbers, environment and handlers are afterwards as before; Ray and Tune change the latter two."""
    with interrupts_held():
        import numpy as np
        import torch

    draws, numpy_draws = random.getstate(), np.random.get_state()
    environment, hook = dict(os.environ), sys.excepthook
    handler = signal.getsignal(signal.SIGUSR1) if is_main_thread() else None
    # Asking a GPU for its state would reserve memory on it, and forked processes could not use it.
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(gpus), torch_defaults():
            yield
    finally:
        put_back_modules()
        random.setstate(draws)
        np.random.set_state(numpy_draws)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        sys.excepthook = hook
        if handler is not None:
            signal.signal(signal.SIGUSR1, handler)
