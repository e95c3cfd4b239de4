"""The token that a Ray cluster asks for: see SECURITY.md."""

import os
import sys
from pathlib import Path


def token_file() -> Path:
    """Where Ray looks for it, after the variable RAY_AUTH_TOKEN."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def show_token() -> None:
    """Has Ray show the token if there is one, unless RAY_AUTH_MODE says otherwise; who asks for none does not mind.

    To be called before Ray is imported, which looks at the variable once. After that nothing is changed: the processes
    that it starts would ask for what it does not show.
    """
    if "ray" in sys.modules:
        return
    if os.environ.get("RAY_AUTH_TOKEN") or token_file().is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
