"""What is checked before a script starts: its working directory exists, and its code is that of one checkout."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from hearai.errors import UserError
from hearai.files import PACKAGE


def require_working_directory() -> None:
    """A deleted one ends the process in libraries of torch, with a message about one of their files.

    Raises:
        UserError: it was deleted.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the working directory was deleted; change to one that exists: cd DIR") from None


def require_own_package(main: Callable[[], int]) -> None:
    """Checks that the script of `main` runs with the package of its checkout, if it is in one.

    Python finds the package in the checkout that its environment was made for, even if the script is in a copy of it or
    in a second clone. An installed package of the same content is accepted.

    Raises:
        UserError: it runs with another one.
    """
    file = getattr(main, "__globals__", {}).get("__file__")
    if file is None:  # python -c
        return
    script = Path(file).resolve()
    checkout = script.parent.parent
    expected = checkout / PACKAGE.name
    if not (expected / "__init__.py").is_file() or expected.samefile(PACKAGE):
        return
    is_installed = not (PACKAGE.parent / script.parent.name / script.name).is_file()
    if is_installed and _code_of(expected) == _code_of(PACKAGE):
        return
    raise UserError(
        f"{script}: runs with the package in {PACKAGE}, which is not the one beside it, {expected}; set "
        f"PYTHONPATH={shlex.quote(str(checkout))}, or use the environment that `make venv` makes in {checkout}"
    )


def _code_of(package: Path) -> dict[Path, bytes]:
    return {path.relative_to(package): path.read_bytes() for path in package.rglob("*.py")}
