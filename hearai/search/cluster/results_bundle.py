"""A study's results as text that a job prints: how they get from a cluster's shared folder to the user's machine.

`python -m hearai.search.cluster.results_bundle FOLDER` runs on the cluster; `unpack` reads its output here.

Why through a job's log: the port of Ray's Jobs API is often the only one that users can reach (a tunnel, a Kubernetes
Service), and a log is the only content that this API returns. SSH or a mounted share would need a second way in, with
credentials of its own. Studies in an object store do not go this way: they are fetched from the store.
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
EXCLUDED = (TRIALS, LOCK, OWNER)
"""Names that stay on the cluster; everything else is a result."""


def pack(folder: Path) -> str:
    """The folder's files without `EXCLUDED` and hidden ones: a gzipped tar as base64, with its SHA-256.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            if path.name not in EXCLUDED and not path.name.startswith("."):
                archive.add(path, arcname=path.name)
    content = buffer.getvalue()
    return "\n".join([BEGIN, hashlib.sha256(content).hexdigest(), base64.b64encode(content).decode(), END])


def unpack(text: str, folder: Path) -> None:
    """Extracts what `pack` made, from anywhere within a text, into the folder; nothing outside of it is written.

    Raises:
        UserError: the text is damaged or incomplete, or the archive would write outside the folder.
    """
    body = text.partition(BEGIN)[2].partition(END)[0].split()
    try:
        content = base64.b64decode(body[1], validate=True) if len(body) == 2 else b""
    except ValueError:  # not base64
        content = b""
    if not content or hashlib.sha256(content).hexdigest() != body[0]:
        raise UserError("the results arrived incomplete or damaged; fetch them again")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:  # check all members before extracting any
                tarfile.data_filter(member, str(folder))
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise UserError(f"the results were not unpacked: {error}; do you trust the cluster they come from?") from None


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{pack(Path(sys.argv[1]))}\n")
    except UserError as error:
        sys.exit(f"error: {error}")
