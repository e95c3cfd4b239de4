"""Where the numbers of a run go: JSON lines, TensorBoard, Neptune, behind one small promise.

A tracker may fail (a full disk, a service that is gone); the run goes on and says so once.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"


class Tracker(Protocol):
    """Takes the metrics of one epoch after another."""

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Records one epoch (1-based)."""

    def close(self) -> None:
        """Writes out what is still held."""


class JsonLines:
    """`metrics.jsonl`: one line an epoch, none twice: a resumed run starts from its history."""

    def __init__(self, folder: Path, history: Sequence[Mapping[str, float]] = ()):
        self._file = (folder / METRICS_FILE).open("w", encoding="utf-8")
        for metrics in history:
            self._write(metrics)

    def _write(self, metrics: Mapping[str, float]) -> None:
        self._file.write(json.dumps(metrics, allow_nan=False) + "\n")
        self._file.flush()

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        self._write(metrics)

    def close(self) -> None:
        self._file.close()


class TensorBoard:
    """Event files in `tensorboard/`; later epochs of an earlier attempt are marked void."""

    def __init__(self, folder: Path, done: int = 0):
        from torch.utils.tensorboard import SummaryWriter  # 1.3 s, and an optional package

        self._writer = SummaryWriter(folder / "tensorboard", purge_step=done + 1 if done else None)

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        self._writer.close()


class Neptune:
    """neptune.ai: online where NEPTUNE_API_TOKEN is set (a self-hosted server), else files in the run."""

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        import neptune  # 3 s, an optional package, and its cloud has closed: never imported unless asked for

        online = bool(os.environ.get("NEPTUNE_API_TOKEN"))
        with _environment("NEPTUNE_DATA_DIRECTORY", str(folder / "neptune")):
            self._run = neptune.init_run(
                mode="async" if online else "offline",
                name=folder.name,
                capture_stdout=False,
                capture_stderr=False,
                capture_traceback=False,
                capture_hardware_metrics=False,
                git_ref=False,
                source_files=[],
            )
        self._run["config"] = config

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        for name, value in metrics.items():
            self._run[name].append(value, step=epoch)

    def close(self) -> None:
        self._run.stop()


class Trackers:
    """All trackers of a run. One that fails is reported once and left out from then on."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        history: Sequence[Mapping[str, float]] = (),
        neptune: bool = False,
    ):
        makers = {
            "JSON lines": lambda: JsonLines(folder, history),
            "TensorBoard": lambda: TensorBoard(folder, len(history)),
        }
        if neptune:
            makers["Neptune"] = lambda: Neptune(folder, config)
        self._trackers: dict[str, Tracker] = {}
        for name, make in makers.items():
            with _forgiven(name):
                self._trackers[name] = make()

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Hands one epoch (1-based) to every tracker."""
        for name, tracker in list(self._trackers.items()):
            with _forgiven(name) as outcome:
                tracker.log(metrics, epoch)
            if outcome.failed:
                del self._trackers[name]

    def close(self) -> None:
        """Closes every tracker."""
        for name, tracker in self._trackers.items():
            with _forgiven(name):
                tracker.close()
        self._trackers.clear()


class _Outcome:
    failed = False


@contextmanager
def _forgiven(name: str) -> Iterator[_Outcome]:
    outcome = _Outcome()
    try:
        yield outcome
    except ImportError as error:
        outcome.failed = True
        log.info("%s is left out: %s (pip install 'hearai[track]')", name, error)
    except Exception as error:  # noqa: BLE001  a tracker is never worth a run; whatever it is, it is said here
        outcome.failed = True
        log.warning("%s failed and is left out from here on: %s", name, error)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """An environment variable for the time of the block; one that the user has set stays."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
