"""A study's results as text, to be carried by a job's log.

`python -m hearai.search.cluster.results_bundle FOLDER` on the cluster.

The Jobs API's port is the only one that a user of a cluster needs to reach.
"""

import base64
import hashlib
import io
import sys
import tarfile
from pathlib import Path

from hearai.errors import UserError
from hearai.search.storage.layout import LOCK, OWNER, TRIALS

BEGIN, END = "-----BEGIN hearai results-----", "-----END hearai results-----"
LEFT_OUT = (TRIALS, LOCK, OWNER)
"""The rest is what a search has found; trials are left on the cluster."""


def wrap(folder: Path) -> str:
    """The folder's files, without `trials/`.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            if path.name not in LEFT_OUT and not path.name.startswith("."):
                archive.add(path, arcname=path.name)
    content = buffer.getvalue()
    return "\n".join([BEGIN, hashlib.sha256(content).hexdigest(), base64.b64encode(content).decode(), END])


def unwrap(text: str, folder: Path) -> None:
    """Puts what `wrap` has wrapped somewhere in a text into the folder; nothing outside of it is touched.

    Raises:
        UserError: it is not whole, or would write elsewhere.
    """
    inner = text.partition(BEGIN)[2].partition(END)[0].split()
    try:
        content = base64.b64decode(inner[1], validate=True) if len(inner) == 2 else b""
    except ValueError:  # letters that base64 does not have
        content = b""
    if not content or hashlib.sha256(content).hexdigest() != inner[0]:
        raise UserError("the results did not arrive whole; fetch them again")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:  # all of them before any is written
                tarfile.data_filter(member, str(folder))
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise UserError(f"the results were not unpacked: {error}; who has made them?") from None


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{wrap(Path(sys.argv[1]))}\n")
    except UserError as error:
        sys.exit(f"error: {error}")
