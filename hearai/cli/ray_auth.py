"""The authentication token of a Ray cluster: see SECURITY.md."""

import errno
import logging
import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path

from hearai.errors import UserError
from hearai.files import NO_HOME

TOKEN_BYTES = 32
OTHERS = stat.S_IRWXG | stat.S_IRWXO

log = logging.getLogger(__name__)


def token_file() -> Path:
    """Where Ray looks for the token, unless the variable RAY_AUTH_TOKEN holds it.

    Raises:
        RuntimeError: no variable names the file, and the user has no home folder.
    """
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path("~/.ray/auth_token").expanduser())


def show_token() -> None:
    """Makes Ray send the token if there is one, unless RAY_AUTH_MODE says otherwise; open clusters ignore it.

    Call it before Ray is imported, which reads the variable once. After that nothing is changed: processes started by
    this one would require a token that this one does not send.
    """
    if "ray" in sys.modules:
        return
    with suppress(RuntimeError, OSError):  # no home folder, or one that cannot be read: no token
        if os.environ.get("RAY_AUTH_TOKEN") or token_file().is_file():
            os.environ.setdefault("RAY_AUTH_MODE", "token")


def ensure_token() -> None:
    """Makes a token for a Ray that this process starts, unless there is one or RAY_AUTH_MODE switches it off.

    Ray would make it itself, but readable for everyone as far as the umask allows.

    Raises:
        UserError: the token file cannot be written, or others can read it and this cannot be changed.
    """
    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    if mode != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = _known_token_file()
    try:
        if not path.exists() or not path.stat().st_size:
            _write_token(path)
    except OSError as error:
        raise UserError(
            f"{path}: Ray's token cannot be written ({error.strerror or error}); make the folder writable, or set "
            "RAY_AUTH_TOKEN_PATH to a file in a folder of your own"
        ) from None
    protect_token()


def protect_token() -> None:
    """Makes an existing token file readable for its owner only.

    Raises:
        UserError: it is not a file, cannot be read, or others can read it and this cannot be changed.
    """
    if os.environ.get("RAY_AUTH_TOKEN"):  # takes precedence over a file; KubeRay sets it
        return
    path = _known_token_file()
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path}: Ray's token cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(mode) or not os.access(path, os.R_OK):
        raise UserError(f"{path}: expected a file with Ray's token, readable for you; got mode {stat.filemode(mode)}")
    if mode & OTHERS:
        _restrict_to_owner(path, mode)


def _restrict_to_owner(path: Path, mode: int) -> None:
    try:
        path.chmod(0o600)
    except OSError as error:
        if error.errno == errno.EROFS:  # a secret of Docker or Kubernetes is mounted read-only
            return
        raise UserError(
            f"{path}: other users of this machine can use Ray's token (mode {stat.filemode(mode)}), and so run code as "
            "you; make it a file of your own with chmod 600, or set RAY_AUTH_TOKEN_PATH to one"
        ) from None
    log.warning(
        "%s: its mode was %s, so other users could read Ray's token; it is 0600 now. If others use this machine, "
        "change the token (SECURITY.md)",
        *(path, stat.filemode(mode)),
    )


def _write_token(path: Path) -> None:
    """Writes a new token, complete and with its final mode from the start; of two processes, the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():  # empty, which Ray takes for none
        path.unlink()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(TOKEN_BYTES))
        try:
            os.link(temporary, path)
        except FileExistsError:
            path.stat()  # raises for a broken link
        except OSError:  # a file system without hard links
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _known_token_file() -> Path:
    try:
        return token_file()
    except RuntimeError:
        raise UserError(NO_HOME) from None
