"""Where the numbers of a run go: JSON lines, TensorBoard, Neptune, MLflow, behind one small promise.

A tracker may fail (a full disk, a service that is gone); the run goes on and says so once.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from hearai.files import write_whole
from hearai.training.outputs.confusion_image import confusion_picture
from hearai.training.outputs.layout import METRICS_FILE
from hearai.training.outputs.remote_trackers import MLflow, Neptune
from hearai.training.outputs.tracker import TrackedRun, Tracker

log = logging.getLogger(__name__)


class JsonLines:
    """`metrics.jsonl`: one line an epoch, none twice: a resumed run starts from its history, in a file of its own.

    (A process of an earlier attempt that was taken for dead may still have the old one open.)
    """

    def __init__(self, run: TrackedRun):
        path = run.folder / METRICS_FILE
        write_whole(path, "".join(map(self._line, run.history)))
        self._file = path.open("a", encoding="utf-8")

    @staticmethod
    def _line(metrics: Mapping[str, float]) -> str:
        return json.dumps(metrics, allow_nan=False) + "\n"

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        self._file.write(self._line(metrics))
        self._file.flush()

    def show(self, pictures: Mapping[str, np.ndarray], epoch: int) -> None:
        """Lines of numbers hold no pictures."""

    def close(self) -> None:
        self._file.close()


class TensorBoard:
    """Event files in `tensorboard/`; what an earlier attempt wrote from its last epoch on is marked void."""

    def __init__(self, run: TrackedRun):
        from torch.utils.tensorboard import SummaryWriter  # 1.3 s, and an optional package

        done = len(run.history)
        self._writer = SummaryWriter(run.folder / "tensorboard", purge_step=done or None)
        if done:  # once more: the earlier attempt may have died before it could
            self.log(run.history[-1], done)

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, epoch)

    def show(self, pictures: Mapping[str, np.ndarray], epoch: int) -> None:
        for name, picture in pictures.items():
            self._writer.add_image(name, picture, epoch, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class Trackers:
    """All trackers of a run. One that fails is reported once and left out from then on.

    Args:
        neptune: see `Neptune`.
        mlflow: see `MLflow`; True = its file store beside the run's folder.
    """

    def __init__(self, run: TrackedRun, *, neptune: bool = False, mlflow: bool | str = False):
        makers: dict[str, Callable[[], Tracker]] = {
            "JSON lines": lambda: JsonLines(run),
            "TensorBoard": lambda: TensorBoard(run),
        }
        if neptune:
            makers["Neptune"] = lambda: Neptune(run)
        if mlflow:
            makers["MLflow"] = lambda: MLflow(run, None if mlflow is True else mlflow)
        self._trackers: dict[str, Tracker] = {}
        for name, make in makers.items():
            with _forgiven(name):
                self._trackers[name] = make()

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Hands one epoch (1-based) to every tracker."""
        self._each(lambda tracker: tracker.log(metrics, epoch))

    def show(self, confusions: Mapping[str, Tensor], epoch: int) -> None:
        """Pictures of confusion matrices {head: (K, K)}, when the run ends after `epoch`."""
        pictures = {f"confusion/{head}": confusion_picture(matrix.numpy()) for head, matrix in confusions.items()}
        self._each(lambda tracker: tracker.show(pictures, epoch))

    def close(self) -> None:
        """Closes every tracker."""
        self._each(lambda tracker: tracker.close())
        self._trackers.clear()

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            with _forgiven(name) as outcome:
                call(tracker)
            if outcome.failed:
                del self._trackers[name]


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
        log.warning("%s failed and is left out from here on: %s", name, _reason(error))


def _reason(error: Exception) -> str:
    """The first line in words: some services send a coloured page with a headline of dashes."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()
    words = [line.strip() for line in lines if line.strip() and not line.startswith("--")]
    return words[0] if words else type(error).__name__
