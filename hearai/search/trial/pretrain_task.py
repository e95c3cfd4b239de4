"""Pre-training on a node of a cluster. Its saved epochs are in the study's storage: another node resumes there."""

import logging
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hearai.config.config import Config, build_config
from hearai.config.model_parts.code_folder import use_sent_code
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.errors import UserError
from hearai.search.storage.layout import LINE, PRETRAINING
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.context import on_assigned_gpu
from hearai.training.optim.torch_options import use_threads
from hearai.training.outputs.checkpoint import copy_checkpoint
from hearai.training.outputs.layout import BACKBONE_FILE, LAST, holds_checkpoint
from hearai.training.setup.backbone_cache import TrainBackbone, ensure_backbone, train_here


@dataclass(frozen=True)
class PretrainSpec:
    """A pre-training to run. Plain values only: it is the argument of a task, and of the workers of a group."""

    config: Mapping[str, Any]
    """The full configuration, as `hearai.config.config.to_dict` gives it."""
    settings: Mapping[str, Any]
    """Of `Pretrain`."""
    home: str
    """The study's folder on the driver."""
    storage: str | None
    """Address of the object store given by `--storage`; None = `home` is in a shared folder."""
    name: str
    """Name of the backbone's file in the study."""
    threads: int = 1
    """Threads of torch in each worker."""
    workers: int = 1
    """Number of processes that pre-train together."""
    cpus: float = 1
    """CPUs of each worker."""
    gpus: float = 0
    """GPUs of each worker."""
    code: tuple[str, str] | None = None
    """Parts of the user's own, as `code_to_send` names them; None = there are none."""
    key: str = ""
    """For the workers of a group; see `pretrain`."""

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary; `PretrainSpec(**spec.to_dict())` is the same."""
        return asdict(self)

    @property
    def study(self) -> StudyLocation:
        """Where the study is stored."""
        return StudyLocation(Path(self.home), self.storage)

    @property
    def saved(self) -> "SavedEpochs":
        """The epochs that are saved in the study."""
        return SavedEpochs(self.study, self.name)


class SavedEpochs:
    """The checkpoint of an unfinished pre-training in the storage of its study; name: of the backbone's file."""

    def __init__(self, study: StudyLocation, name: str):
        self._study, self._names = study, (PRETRAINING, Path(name).stem)
        self._store = study.store.below(*self._names) if study.store else None
        self._folder = study.folder.joinpath(*self._names)

    def __str__(self) -> str:
        return "/".join([str(self._study), *self._names])

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


def pretrain_task(spec: PretrainSpec) -> tuple[str, bytes, float]:
    """Pre-trains in this process: (host name, content of the backbone's file, seconds).

    Raises:
        UserError: it diverged, or the storage or this node's disk cannot be written.
    """
    use_sent_code(spec.code)
    return trained_backbone(spec, on_assigned_gpu(build_config(spec.config)), train_here)


def trained_backbone(spec: PretrainSpec, config: Config, train: TrainBackbone) -> tuple[str, bytes, float]:
    """The result of a task, from this node's cache or by `train`: (host name, content of the file, seconds)."""
    started = time.monotonic()
    use_threads(spec.threads)
    with tempfile.TemporaryDirectory(prefix="hearai-") as scratch, lines_to(spec.saved):
        out = Path(scratch) / BACKBONE_FILE
        ensure_backbone(config, load_data(config), Pretrain(**spec.settings), out, spec.saved, train=train)
        return socket.gethostname(), out.read_bytes(), time.monotonic() - started


@contextmanager
def lines_to(saved: SavedEpochs) -> Iterator[None]:
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
