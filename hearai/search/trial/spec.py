"""What a process must know to run a trial, as one typed object. Imports neither torch nor Ray."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

TrialKind = Literal["base", "search", "final"]
"""The base config's trial, a proposal of the sampler, or the retraining of a finalist with another seed."""


class HasConfig(Protocol):
    """Tune's trial, as far as it is read here."""

    config: dict[str, Any]


@dataclass(frozen=True)
class TrialSpec:
    """A trial to run. Plain values only: it travels as the `config` of a Tune trial or of a Ray Train worker."""

    number: int
    """Number of the trial in the journal."""
    folder: str
    """Folder of the trial on the driver: in a shared study folder, or in the driver's copy of the object store."""
    config: Mapping[str, Any]
    """The full configuration, as `hearai.config.config.to_dict` gives it."""
    kind: TrialKind = "search"
    study: str | None = None
    """Name of the study; None = a single run, which belongs to no search."""
    label: str = ""
    """Name of the trial's folder, such as `0007` or `0007-seed2`."""
    title: str = ""
    """What Ray's dashboard shows for the trial."""
    threads: int = 1
    """Threads of torch in each worker."""
    folds: int = 1
    """Number of divisions of the clips on which the trial is scored."""
    workers: int = 1
    """Number of processes that train the trial together."""
    cpus: float = 1
    """CPUs of each worker."""
    gpus: float = 0
    """GPUs of each worker."""
    hang_seconds: float | None = None
    """Seconds without a report after which the trial counts as hung; None = never."""
    may_pause: bool = False
    """Whether the search may pause the trial after any report, and let another process resume it at once."""
    reported: int = 0
    """Epochs from the first one on whose reports the journal holds, of earlier attempts."""
    log_start: int = 0
    """Size of the trial's log in bytes before this attempt."""
    home: str = ""
    """The study's folder on the driver."""
    storage: str | None = None
    """Address of the object store given by `--storage`; None = `home` is in a shared folder."""
    dataset: Mapping[str, str] | None = None
    """Fingerprints of the dataset that the search has read, as `Fingerprints.as_dict`; None = whatever is there."""
    code: tuple[str, str] | None = None
    """Parts of the user's own, as `code_to_send` names them; None = there are none."""

    @classmethod
    def single_run(
        cls,
        folder: Path,
        config: Mapping[str, Any],
        *,
        threads: int = 1,
        workers: int = 1,
        code: tuple[str, str] | None = None,
    ) -> "TrialSpec":
        """A run that belongs to no search. It is never considered hung: a debugger may hold it for any time."""
        return cls(0, str(folder.absolute()), config, threads=threads, workers=workers, code=code)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "TrialSpec":
        """The spec that `to_dict` has written. Other keys are ignored: Tune adds some of its own."""
        return cls(**{field.name: raw[field.name] for field in fields(cls) if field.name in raw})

    @classmethod
    def of(cls, trial: HasConfig) -> "TrialSpec":
        """The spec of one of Tune's trials."""
        return cls.from_dict(trial.config)

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary, which any node can read."""
        return asdict(self)
