"""The authentication token of a Ray cluster: see SECURITY.md."""

import os
import sys
from pathlib import Path


def token_file() -> Path:
    """Where Ray looks for the token, unless the variable RAY_AUTH_TOKEN holds it."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or os.path.expanduser("~/.ray/auth_token"))


def show_token() -> None:
    """Makes Ray send the token if there is one, unless RAY_AUTH_MODE says otherwise; open clusters ignore it.

    Call it before Ray is imported, which reads the variable once. After that nothing is changed: processes started by
    this one would require a token that this one does not send.
    """
    if "ray" in sys.modules:
        return
    if os.environ.get("RAY_AUTH_TOKEN") or token_file().is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
