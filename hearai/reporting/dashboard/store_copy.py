"""A copy of what the page needs of the studies in an object store, refreshed while it is shown."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hearai.errors import UserError
from hearai.reporting.live.terminal_view import LIBRARY_WARNINGS
from hearai.reporting.text import age_text
from hearai.search.storage.layout import (
    COMMANDS,
    JOURNAL,
    OUTPUT_LOG,
    OWNER,
    REPORT,
    STUDY_FILE,
    TEST_SCORES,
    TUNE_LOG,
)
from hearai.search.storage.object_store import ObjectStore
from hearai.threads import background

FILES = (STUDY_FILE, JOURNAL, TEST_SCORES, OWNER, REPORT, COMMANDS, OUTPUT_LOG, TUNE_LOG, LIBRARY_WARNINGS)
"""Copied of each study; folders of trials and models stay in the store."""
REFRESH_INTERVAL_S = 30.0


class StoreCopy:
    """The copy: a local folder with a folder per study."""

    def __init__(self, uri: str, folder: Path):
        self.folder = folder
        self._store = ObjectStore(uri)
        self.problem = ""
        """Why the last refresh failed; empty if it did not."""
        self.refreshed = 0.0
        """When the copy was last made, in seconds since 1970."""

    def refresh(self) -> None:
        """Copies what has changed in the store.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
            DataError: the store lists a name that would lead out of the folder.
        """
        for name in self._store.folders():
            study = self._store.below(name)
            if study.pull(self.folder / name, FILES) and not study.list(OWNER):
                (self.folder / name / OWNER).unlink(missing_ok=True)  # its search has ended
        self.refreshed = time.time()

    def note(self) -> str:
        """How old the copy is, and why, if it could not be refreshed."""
        note = f"A copy of the object store, made {age_text(self.refreshed)} and then every {REFRESH_INTERVAL_S:g} s."
        return f"{note} {self.problem}" if self.problem else note

    def keep_fresh(self, done: threading.Event) -> None:
        """Refreshes at intervals; a failure is kept in `problem`, and the next attempt may succeed."""
        while not done.wait(REFRESH_INTERVAL_S):
            try:
                self.refresh()
                self.problem = ""
            except UserError as error:
                self.problem = str(error)


@contextmanager
def store_copy(uri: str) -> Iterator[StoreCopy]:
    """A copy that is refreshed in the background, and removed at the end of the with block.

    Raises:
        UserError: the store cannot be read.
    """
    with TemporaryDirectory(prefix="hearai-dashboard-") as temporary:
        copy = StoreCopy(uri, Path(temporary))
        copy.refresh()
        with background(copy.keep_fresh):
            yield copy
