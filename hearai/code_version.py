"""Which code is running: its release, its commit where there is one, and a hash of its own files."""

import functools
import hashlib
import subprocess
from importlib.metadata import version
from pathlib import Path

CODE = Path(__file__).parent


@functools.cache
def code_version() -> str:
    """`hearai 0.1.0, commit 1a2b3c4d5e, code 9f8e7d6c5b`; the last part changes with uncommitted edits, too."""
    digest = hashlib.blake2b(digest_size=5)
    for path in sorted(CODE.rglob("*.py")):
        digest.update(f"{path.relative_to(CODE)}\n".encode() + path.read_bytes())
    parts = [f"hearai {version('hearai')}"]
    if commit := _commit():
        parts.append(f"commit {commit[:10]}")
    return ", ".join([*parts, f"code {digest.hexdigest()}"])


def _commit() -> str | None:
    """None outside of a checkout, or where there is no git."""
    try:
        git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=CODE, check=False)
    except OSError:
        return None
    return git.stdout.strip() if git.returncode == 0 else None
