"""A study in an object store: the driver's copy of its folder, and what is copied when.

The driver writes the journal to its own disk and copies it to the store every few seconds. Trials send their own files
from the nodes they run on; the driver fetches those that it reads. With a shared folder there is nothing to copy.
"""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearai.cli import is_uri
from hearai.errors import ConfigError, StoreLost, UserError
from hearai.files import atomic_write_text, home_folder
from hearai.search.storage.layout import JOURNAL, LOCK, OWNER, TRIALS
from hearai.search.storage.lock import (
    STALE_S,
    JournalGone,
    describe_owner,
    raise_if_taken_over,
    read_owner,
    seconds_until_stale,
)
from hearai.search.storage.object_store import ObjectStore
from hearai.threads import background
from hearai.training.outputs.layout import BEST, LAST, STATE

COPY_INTERVAL_S = 10.0
"""Between two copies of the journal. It is also copied before each trial starts."""
NOT_PUBLISHED = (TRIALS, JOURNAL, OWNER, LOCK)
"""What `publish` does not send with the other files: these are sent separately, or never."""


def mirror_folder(uri: str) -> Path:
    """Folder on this node's disk for the studies of a store: in $HEARAI_HOME, else ~/.local/share/hearai."""
    home = home_folder("HEARAI_HOME", ".local", "share", "hearai")
    return home / "mirrors" / hashlib.sha256(uri.encode()).hexdigest()[:12]


def local_run(place: str) -> str:
    """A run, study or `best` folder to start others with: as given; of an object store, a copy of its best checkpoint.

    Raises:
        ConfigError: the store holds no checkpoint there.
        StoreLost: the store cannot be reached, or refuses.
    """
    if not is_uri(place):
        return place
    store, copy = ObjectStore(place), mirror_folder(place)
    stored = store.list()
    for name in (f"{BEST}/{STATE}", STATE):
        if name in stored:
            store.pull(copy, [name])
            return str((copy / name).parent)
    raise ConfigError(
        f"--from {store}: holds neither {STATE} nor {BEST}/{STATE}; give a study whose search has ended, or a run "
        "in it (STUDY/trials/NUMBER)"
    )


@dataclass(frozen=True)
class StudyLocation:
    """Where a study is stored: a shared folder, or a prefix of an object store. Pickles as plain values."""

    folder: Path
    """The study folder on the driver."""
    storage: str | None = None
    """URI of the object store given by `--storage`; None = `folder` is shared."""

    def __str__(self) -> str:
        return str(self.store or self.folder)

    @property
    def store(self) -> ObjectStore | None:
        """The study's prefix of the object store."""
        return ObjectStore(self.storage).below(self.folder.name) if self.storage else None

    def local(self) -> Path:
        """The study folder on this node."""
        return mirror_folder(self.storage) / self.folder.name if self.storage else self.folder

    def fetch(self, names: Sequence[str]) -> None:
        """Downloads files of the study to this node, if it has its own copy."""
        if self.store:
            self.store.pull(self.local(), names)

    def read(self, name: str) -> str | None:
        """The text of a small file; None if it does not exist.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        if self.store:
            content = self.store.read(name)
            return None if content is None else content.decode()
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def write(self, name: str, text: str) -> None:
        """Writes a small file atomically.

        Raises:
            UserError: it cannot be written.
        """
        if self.store:
            return self.store.write(name, text.encode())
        try:
            atomic_write_text(self.folder / name, text)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written ({error.strerror or error})") from None

    def remove(self, name: str) -> None:
        """Removes a file, if it exists."""
        if self.store:
            self.store.remove(name)
        else:
            (self.folder / name).unlink(missing_ok=True)


class StudySync:
    """Synchronises the driver's study folder with the object store; without a store, its methods do nothing.

    folder: the study folder on this disk. storage: URI of the object store; None = `folder` is the storage.
    """

    def __init__(self, folder: Path, storage: str | None = None):
        self.folder, self.storage = folder, storage
        self.study = StudyLocation(folder.absolute(), storage)
        self.store = self.study.store

    def __str__(self) -> str:
        return str(self.study)

    def __getstate__(self) -> dict:
        """Nothing: Tune pickles its callbacks, and the state is in the journal."""
        return {}

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """Updates this folder from the store, then copies the journal there for the duration of a with block.

        Raises:
            UserError: another machine is searching there, or has taken the study over, or the two journals have
                diverged.
            StoreLost: the store cannot be reached, or refuses.
        """
        if self.store is None:
            yield
            return
        self._refuse_second_driver(self.store)
        self._update_from(self.store)
        self._write_owner(self.store)
        with background(self._keep_copying):
            yield
        self.publish()
        self.store.remove(OWNER)

    @contextmanager
    def marker(self, name: str, content: str) -> Iterator[Callable[[tuple[str, str]], bool]]:
        """A file in the storage, for other nodes to find, for the duration of a with block.

        Yields a function that returns whether the driver can read a node's marker (name, content).

        Raises:
            UserError: the storage cannot be written.
        """
        self.study.write(name, content)
        found: list[str] = []

        def is_readable(marker: tuple[str, str]) -> bool:
            found.append(marker[0])
            return self.study.read(marker[0]) == marker[1]

        try:
            yield is_readable
        finally:
            for file in (name, *found):
                self.study.remove(file)

    def publish(self) -> None:
        """Sends everything but the trials, which send themselves; the journal last.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        if self.store is not None:
            self.store.push(self.folder, skip=NOT_PUBLISHED)
            self.copy_journal()

    def fetch_trial(self, label: str, *, checkpoints: bool = False) -> None:
        """Downloads a trial's folder; by default without its checkpoints."""
        if self.store is not None:
            skip = () if checkpoints else (LAST, BEST)
            self.store.below(TRIALS, label).pull(self.folder / TRIALS / label, skip=skip)

    def fetch_best_checkpoints(self) -> None:
        """Downloads the best checkpoints in the store, which are those of possible winners; others were removed."""
        if self.store is not None:
            self.store.below(TRIALS).pull(self.folder / TRIALS, skip=(LAST,))

    def fetch_run(self, name: str) -> None:
        """Downloads a run of the study folder that another node has trained."""
        if self.store is not None:
            self.store.below(name).pull(self.folder / name)

    def remove(self, label: str, *names: str) -> None:
        """Removes files or folders of a trial from the store."""
        if self.store is not None:
            self.store.below(TRIALS, label).remove(*names)

    def check_owner(self) -> None:
        """Checks that this process still owns the study.

        Raises:
            UserError: another process has taken it over, or the folder was moved or deleted.
            StoreLost: the store cannot be reached, or refuses.
        """
        if not (self.folder / OWNER).exists() and not (self.folder / JOURNAL).exists():
            raise JournalGone(self.folder / JOURNAL)
        raise_if_taken_over(self.folder, read_owner(self.folder))
        if self.store is not None:
            raise_if_taken_over(self.store, _stored_owner(self.store))

    def copy_journal(self) -> None:
        """Copies the journal's complete lines to the store; the driver may be writing the last one.

        Raises:
            UserError: another process has taken the study over; nothing was written.
            StoreLost: the store cannot be reached, or refuses.
        """
        if self.store is None:
            return
        self.check_owner()
        self._write_owner(self.store)
        path = self.folder / JOURNAL
        if path.exists():
            self.store.write(JOURNAL, _complete_lines(path.read_bytes()))

    def _refuse_second_driver(self, store: ObjectStore) -> None:
        other = _stored_owner(store)
        if other is None or other["host"] == socket.gethostname():
            return
        if (wait := seconds_until_stale(lambda: (_stored_owner(store) or {"seen": 0.0})["seen"], store)) > 0:
            raise UserError(
                f"{store}: is being searched by {describe_owner(other)}, last seen {STALE_S - wait:.0f} s "
                f"ago; wait until it ends (or {STALE_S:g} s if it is dead), or give another --name"
            )

    def _update_from(self, store: ObjectStore) -> None:
        """Downloads the study unless the local journal contains everything that the stored one does."""
        path = self.folder / JOURNAL
        stored, local = store.read(JOURNAL) or b"", path.read_bytes() if path.exists() else b""
        if local.startswith(stored):
            return
        if not stored.startswith(_complete_lines(local)):
            raise UserError(
                f"{path}: the local journal and the one in {store} have diverged; to continue the stored one, move the "
                f"folder {self.folder} away; or give another --name"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        store.pull(self.folder, skip=(LAST, BEST, OWNER))
        path.write_bytes(stored)  # even if the local file has a later modification time

    def _keep_copying(self, done: threading.Event) -> None:
        while not done.wait(COPY_INTERVAL_S):
            try:
                self.copy_journal()
            except StoreLost:
                continue  # the next attempt may succeed; a failure of the last one is reported
            except UserError:
                return  # reported by `watch_ownership`

    def _write_owner(self, store: ObjectStore) -> None:
        if owner := read_owner(self.folder):
            store.write(OWNER, json.dumps({**owner, "seen": int(time.time())}).encode())


def _stored_owner(store: ObjectStore) -> dict[str, Any] | None:
    """The owner recorded in the store, with the time at which it was last `seen`."""
    content = store.read(OWNER)
    if not content:
        return None
    try:
        owner = json.loads(content)
        times = {key: float(owner[key]) for key in ("since", "seen")}
        return {**owner, **times, "pid": int(owner["pid"]), "host": str(owner["host"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        if store.read(OWNER) != content:  # it was replaced while it was read, which gave the beginning of a longer one
            return _stored_owner(store)
        raise UserError(
            f"{store}: {OWNER} is not the record of a search ({content[:40]!r}); "
            "if no search is running there, remove it"
        ) from None


def _complete_lines(text: bytes) -> bytes:
    return text[: text.rfind(b"\n") + 1]
