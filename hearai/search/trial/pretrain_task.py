"""Pre-training on a node of a cluster. Its saved epochs are in the study's storage: another node resumes there."""

import logging
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hearai.config.config import build_config
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.errors import UserError
from hearai.search.storage.layout import LINE, PRETRAINING
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.context import on_assigned_gpu
from hearai.training.optim.torch_options import use_threads
from hearai.training.outputs.checkpoint import copy_checkpoint
from hearai.training.outputs.layout import BACKBONE_FILE, LAST, holds_checkpoint
from hearai.training.setup.backbone_cache import ensure_backbone


class SavedEpochs:
    """The checkpoint of an unfinished pre-training in the storage of its study; name: of the backbone's file."""

    def __init__(self, study: StudyLocation, name: str):
        self._study, self._names = study, (PRETRAINING, Path(name).stem)
        self._store = study.store.below(*self._names) if study.store else None
        self._folder = study.folder.joinpath(*self._names)

    def fetch(self, folder: Path) -> None:
        """Copies the epochs that were saved on any node into `folder/last`, if there are any."""
        if self._store:
            self._store.pull(folder, [LAST])
        elif holds_checkpoint(self._folder / LAST):
            copy_checkpoint(self._folder / LAST, folder / LAST)

    def send(self, folder: Path) -> None:
        """Saves the epochs in `folder/last` for other nodes."""
        if self._store:
            self._store.push(folder, [LAST])
        else:
            copy_checkpoint(folder / LAST, self._folder / LAST)

    def line(self) -> str:
        """What pre-training has logged last; empty = nothing yet."""
        return self._study.read("/".join([*self._names, LINE])) or ""

    def write_line(self, text: str) -> None:
        """Shows a line to the driver."""
        if not self._store:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._study.write("/".join([*self._names, LINE]), text)

    def remove(self) -> None:
        """The backbone is trained."""
        if self._store:
            self._store.remove(LAST, LINE)
        else:
            shutil.rmtree(self._folder, ignore_errors=True)
            with suppress(OSError):  # other folds are still there, or nothing was saved
                self._folder.parent.rmdir()


def pretrain_task(
    raw: Mapping[str, Any], settings: Mapping[str, Any], study: StudyLocation, name: str, threads: int
) -> tuple[str, bytes, float]:
    """(host name, content of the backbone's file, seconds); raw: the config, name: of the backbone's file.

    Raises:
        UserError: it diverged, or the storage or this node's disk cannot be written.
    """
    started, saved, config = time.monotonic(), SavedEpochs(study, name), on_assigned_gpu(build_config(raw))
    use_threads(threads)
    with tempfile.TemporaryDirectory(prefix="hearai-") as scratch, _lines_to(saved):
        out = Path(scratch) / BACKBONE_FILE
        ensure_backbone(config, load_data(config), Pretrain(**settings), out, saved)
        return socket.gethostname(), out.read_bytes(), time.monotonic() - started


@contextmanager
def _lines_to(saved: SavedEpochs) -> Iterator[None]:
    """Shows the driver what pre-training logs."""
    logger, handler = logging.getLogger("hearai.training.setup"), _LineHandler(saved)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _LineHandler(logging.Handler):
    def __init__(self, saved: SavedEpochs):
        super().__init__()
        self._saved = saved

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._saved.write_line(record.getMessage())
        except UserError:  # the line is a courtesy; what must be saved raises when it is sent
            return
