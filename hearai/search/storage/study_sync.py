"""A study that is kept in an object store: its folder on the driver's disk, and the copy that outlives the machine.

The journal is written here and copied there every few seconds; trials send their own files, from whatever node they
run on, and the driver fetches what it reads of them. With a shared folder as storage there is nothing to do.
"""

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hearai.errors import StoreLost, UserError
from hearai.files import write_whole
from hearai.search.storage.layout import JOURNAL, LOCK, OWNER, TRIALS
from hearai.search.storage.lock import FRESH_S, describe, owner_of, refuse_overtaken
from hearai.search.storage.object_store import Store
from hearai.threads import background
from hearai.training.outputs.layout import BEST, LAST

COPY_S = 10.0
"""How often the journal's copy is brought up to date while trials run; it knows each of them before it starts."""
STAYS_HERE = (TRIALS, JOURNAL, OWNER, LOCK)


def mirror_folder(uri: str) -> Path:
    """Folder on this node's disk for the studies of a store: in $HEARAI_HOME, else ~/.local/share/hearai."""
    home = Path(os.environ.get("HEARAI_HOME") or Path.home() / ".local" / "share" / "hearai")
    return home / "mirrors" / hashlib.sha256(uri.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class StudyLocation:
    """A study's folder as other nodes find it: shared, or a prefix in a store. Pickles as plain values."""

    folder: Path
    """In the driver."""
    storage: str | None = None
    """The store's address that was asked for; None = `folder` is on a shared disk."""

    def __str__(self) -> str:
        return str(self.store or self.folder)

    @property
    def store(self) -> Store | None:
        """The study's prefix."""
        return Store(self.storage).below(self.folder.name) if self.storage else None

    def local(self) -> Path:
        """The study's folder on this node."""
        return mirror_folder(self.storage) / self.folder.name if self.storage else self.folder

    def fetch(self, names: Sequence[str]) -> None:
        """Brings files of the study to this node, where it has a disk of its own."""
        if self.store:
            self.store.pull(self.local(), names)

    def read(self, name: str) -> str | None:
        """A small file; None where there is none.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        if self.store:
            content = self.store.read(name)
            return None if content is None else content.decode()
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def write(self, name: str, text: str) -> None:
        """A small file, whole.

        Raises:
            UserError: it cannot be written.
        """
        if self.store:
            return self.store.write(name, text.encode())
        try:
            write_whole(self.folder / name, text)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written ({error.strerror or error})") from None

    def remove(self, name: str) -> None:
        if self.store:
            self.store.remove(name)
        else:
            (self.folder / name).unlink(missing_ok=True)


class StudySync:
    """What the driver does about the store; without one, nothing.

    folder: the study's, on this disk. storage: the store's address that was asked for; None = `folder` is the storage.
    """

    def __init__(self, folder: Path, storage: str | None = None):
        self.folder, self.storage = folder, storage
        self.study = StudyLocation(folder.absolute(), storage)
        self.store = self.study.store

    def __str__(self) -> str:
        return str(self.study)

    def __getstate__(self) -> dict:
        """Nothing: Tune pickles its callbacks, and the journal is the state."""
        return {}

    @property
    def address(self) -> dict[str, str | None]:
        """What a trial is told, see `hearai.search.trial.one_worker`."""
        return {"home": str(self.study.folder), "storage": self.storage}

    @contextmanager
    def synced(self) -> Iterator[None]:
        """The study as the store has it; while the context lasts, the journal is copied there.

        Raises:
            UserError: another machine is searching there, or has come to do so in between, or its journal and ours have
                gone separate ways.
            StoreLost: the store cannot be reached, or refuses.
        """
        if self.store is None:
            yield
            return
        self._refuse_company()
        self._catch_up()
        self._sign()
        with background(self._keep_copying):
            yield
        self.publish()
        self.store.remove(OWNER)

    @contextmanager
    def marked(self, name: str, token: str) -> Iterator[Callable[[tuple[str, str]], bool]]:
        """A file in the storage for other nodes to find; yields what tells whether (name, content) of theirs is there.

        Raises:
            UserError: the storage cannot be written.
        """
        self.study.write(name, token)
        found: list[str] = []

        def is_there(marker: tuple[str, str]) -> bool:
            found.append(marker[0])
            return self.study.read(marker[0]) == marker[1]

        try:
            yield is_there
        finally:
            for file in (name, *found):
                self.study.remove(file)

    def publish(self) -> None:
        """Sends everything but the trials, which send themselves; the journal last.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        if self.store is not None:
            self.store.push(self.folder, skip=STAYS_HERE)
            self.copy_journal()

    def fetch(self, label: str, *, checkpoints: bool = False) -> None:
        """Brings a trial's folder here: its log and metrics, or its checkpoints as well."""
        if self.store is not None:
            skip = () if checkpoints else (LAST, BEST)
            self.store.below(TRIALS, label).pull(self.folder / TRIALS / label, skip=skip)

    def fetch_best(self) -> None:
        """Brings the checkpoints of the best epochs here: those of trials that may win, as the others are swept."""
        if self.store is not None:
            self.store.below(TRIALS).pull(self.folder / TRIALS, skip=(LAST,))

    def fetch_run(self, name: str) -> None:
        """Brings a run of the study's folder here that was made elsewhere."""
        if self.store is not None:
            self.store.below(name).pull(self.folder / name)

    def drop(self, label: str, *names: str) -> None:
        """Removes files or folders of a trial from the store."""
        if self.store is not None:
            self.store.below(TRIALS, label).remove(*names)

    def _refuse_company(self) -> None:
        known = self.store.read(OWNER)
        other = json.loads(known) if known else None
        if other and other["host"] != socket.gethostname() and time.time() - other["seen"] < FRESH_S:
            raise UserError(
                f"{self.store}: is being searched by {describe(other)}, last seen {time.time() - other['seen']:.0f} s "
                f"ago; wait for it, or {FRESH_S:g} s if it is dead, or give another --name"
            )

    def _catch_up(self) -> None:
        """Our journal if it knows all that the store's does, else the store's study."""
        theirs = self.store.read(JOURNAL) or b""
        path = self.folder / JOURNAL
        ours = path.read_bytes() if path.exists() else b""
        if ours.startswith(theirs):
            return
        if not theirs.startswith(ours[: ours.rfind(b"\n") + 1]):
            raise UserError(
                f"{path}: it and the one in {self.store} have gone separate ways; move the folder {self.folder} "
                "away to go on with the store's, or give another --name"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store.pull(self.folder, skip=(LAST, BEST, OWNER))
        path.write_bytes(theirs)  # also where the file here is newer by the clock

    def _keep_copying(self, done: threading.Event) -> None:
        while not done.wait(COPY_S):
            try:
                self.copy_journal()
            except StoreLost:
                continue  # the next attempt may get through; the last one, after all trials, is told
            except UserError:
                return  # whoever watches our ownership tells

    def check_owner(self) -> None:
        """To be called while the study is ours.

        Raises:
            UserError: another process has taken it over.
            StoreLost: the store cannot be reached, or refuses.
        """
        refuse_overtaken(self.folder, owner_of(self.folder))
        if self.store is not None:
            known = self.store.read(OWNER)
            refuse_overtaken(self.store, json.loads(known) if known else None)

    def _sign(self) -> None:
        owner = owner_of(self.folder)
        if owner:
            self.store.write(OWNER, json.dumps({**owner, "seen": time.time()}).encode())

    def copy_journal(self) -> None:
        """Whole lines only: the driver may be writing the last one.

        Raises:
            UserError: another process has taken the study over; nothing was written.
            StoreLost: the store cannot be reached, or refuses.
        """
        if self.store is None:
            return
        self.check_owner()
        self._sign()
        path = self.folder / JOURNAL
        if path.exists():
            text = path.read_bytes()
            self.store.write(JOURNAL, text[: text.rfind(b"\n") + 1])
