"""Experiment trackers of a run behind one interface: JSON lines, TensorBoard, Neptune, MLflow.

A tracker may fail (a full disk, an unreachable service): the run continues and logs the failure once.
"""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from PIL import Image
from torch import Tensor

from hearai.files import atomic_write_text
from hearai.training.outputs.confusion import Confusion
from hearai.training.outputs.confusion_image import confusion_image
from hearai.training.outputs.layout import METRICS_FILE, TENSORBOARD
from hearai.training.outputs.remote_trackers import MLflow, Neptune
from hearai.training.outputs.tracker import TrackedRun, Tracker

log = logging.getLogger(__name__)


class JsonLines:
    """`metrics.jsonl`: one line per epoch, none twice. A resumed run writes its history to a new file.

    (A process of an earlier attempt that was considered dead may still have the old file open.)
    """

    def __init__(self, run: TrackedRun):
        path = run.folder / METRICS_FILE
        atomic_write_text(path, "".join(map(self._line, run.history)))
        self._file = path.open("a", encoding="utf-8")

    @staticmethod
    def _line(metrics: Mapping[str, float]) -> str:
        return json.dumps(metrics, allow_nan=False) + "\n"

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        self._file.write(self._line(metrics))
        self._file.flush()

    def log_images(self, images: Mapping[str, Image.Image], epoch: int) -> None:
        """Not recorded here."""

    def close(self) -> None:
        self._file.close()


class TensorBoard:
    """Event files in `tensorboard/`; events of an earlier attempt from its last epoch on are purged."""

    def __init__(self, run: TrackedRun):
        from torch.utils.tensorboard import SummaryWriter  # 1.3 s, and an optional package

        done = len(run.history)
        self._writer = SummaryWriter(run.folder / TENSORBOARD, purge_step=done or None)
        if done:  # again: the earlier attempt may have died before it could
            self.log(run.history[-1], done)

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, epoch)

    def log_images(self, images: Mapping[str, Image.Image], epoch: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        for name, image in images.items():  # `add_image` would compress the image with its colours, in 4 times the time
            png = io.BytesIO()
            image.save(png, format="PNG")
            encoded = Summary.Image(
                height=image.height, width=image.width, colorspace=3, encoded_image_string=png.getvalue()
            )
            summary = Summary(value=[Summary.Value(tag=name, image=encoded)])
            self._writer.file_writer.add_summary(summary, epoch)

    def close(self) -> None:
        self._writer.close()


class Trackers:
    """All trackers of a run. One that fails is logged once and disabled.

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
            with _failures_logged(name):
                self._trackers[name] = make()

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Passes the metrics of one epoch (1-based) to every tracker."""
        self._each(lambda tracker: tracker.log(metrics, epoch))

    def log_confusions(self, confusions: Mapping[str, Tensor], epoch: int) -> None:
        """Passes images of confusion matrices {head: (K, K)} to every tracker, when the run ends after `epoch`.

        confusions: see `RunState.best_confusions`.
        """
        images = {f"confusion/{head}": confusion_image(Confusion.of_matrix(one)) for head, one in confusions.items()}
        self._each(lambda tracker: tracker.log_images(images, epoch))

    def close(self) -> None:
        """Closes every tracker."""
        self._each(lambda tracker: tracker.close())
        self._trackers.clear()

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            with _failures_logged(name) as outcome:
                call(tracker)
            if outcome.failed:
                del self._trackers[name]


class _Outcome:
    failed = False


@contextmanager
def _failures_logged(name: str) -> Iterator[_Outcome]:
    """Logs any exception of the block instead of raising it."""
    outcome = _Outcome()
    try:
        yield outcome
    except ImportError as error:
        outcome.failed = True
        log.info("%s disabled: %s (pip install 'hearai[track]')", name, error)
    except Exception as error:  # noqa: BLE001  no failure of a tracker may end a run
        outcome.failed = True
        log.warning("%s failed and is disabled: %s", name, _reason(error))


def _reason(error: Exception) -> str:
    """The first line of text: some services send a coloured page with a headline of dashes."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()
    texts = [line.strip() for line in lines if line.strip() and not line.startswith("--")]
    return texts[0] if texts else type(error).__name__
