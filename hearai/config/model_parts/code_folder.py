"""The folder with a user's own code (`--code DIR`): which files count, their hash, and where each process finds it.

`use_code` names the folder once. Processes that are started afterwards learn it from the environment; on the nodes of
a cluster it is a copy that Ray has brought, see `hearai.search.cluster.code_bundle`.
"""

import hashlib
import importlib
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from hearai.errors import ConfigError

CODE_VARIABLE = "HEARAI_CODE"
"""Environment variable with the folder's path; on the nodes of a cluster `SENT_MARK` and its path on the driver."""
SENT_PACKAGE = "hearai_own_code"
"""Name of the folder's copy on a node, where Ray puts it on the path of Python's imports."""
SENT_MARK = f"{SENT_PACKAGE}="
TABLES = (".yaml", ".yml", ".json", ".csv")
"""Kinds of files that count as code if they are beside a Python file."""
VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
"""A file that marks the folder of one."""
MAX_FILES, MAX_BYTES = 1000, 20_000_000
"""Of a folder with code; a larger one is a home folder or a dataset by mistake."""

log = logging.getLogger(__name__)
_hash_when_used: dict[Path, str] = {}
_added_to_path: set[str] = set()
_set_aside: dict[str, ModuleType] = {}


def use_code(folder: str | Path | None) -> None:
    """Makes the parts in a folder available to this process, and to those that it starts; None = the one in use.

    Modules that were imported from another folder, from an earlier state of this one, or before it was used, are set
    aside: parts are imported from the files as they are now.

    Raises:
        ConfigError: it is not a folder, has no Python file, or is too large.
    """
    folder = folder or os.environ.get(CODE_VARIABLE)
    if not folder or str(folder).startswith(SENT_MARK):
        return
    path = check_code(folder)
    os.environ[CODE_VARIABLE] = str(path)
    now = hash_of(path)
    for known, before in list(_hash_when_used.items()):
        if known != path or before != now:
            _forget(known)
    if path not in _hash_when_used:
        _set_modules_aside(path)
    _hash_when_used[path] = now
    _add_to_path(path)


def put_back_modules() -> None:
    """Modules that `use_code` has set aside, and that no part has imported again, are there again with their state."""
    imported = {name.partition(".")[0] for name in sys.modules}
    for name, module in _set_aside.items():
        if name.partition(".")[0] not in imported:
            sys.modules[name] = module
    _set_aside.clear()


@contextmanager
def code_kept() -> Iterator[None]:
    """Within a with block, this process and those that it starts use the code as it is now, whatever is edited.

    They use a copy, as the nodes of a cluster do.
    """
    folder = code_folder()
    before = os.environ.get(CODE_VARIABLE, "")
    if folder is None or before.startswith(SENT_MARK):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="hearai-code-") as scratch:
        copy = Path(scratch).resolve() / SENT_PACKAGE
        copy_code(folder, copy)
        _forget(folder)
        _use_copy(copy, folder)
        try:
            yield
        finally:
            os.environ[CODE_VARIABLE] = before
            _forget(copy)
            _remove_from_path(copy.parent)


def forget_code() -> None:
    """Ends what `use_code` began in this process."""
    os.environ.pop(CODE_VARIABLE, None)
    for folder in list(_hash_when_used):
        _forget(folder)
    _set_aside.clear()


def check_code(folder: str | Path) -> Path:
    """The absolute path of a folder with code.

    Raises:
        ConfigError: it is not a folder, has no Python file, or is too large.
    """
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        hint = f"; give the folder that it is in, {path.parent}" if path.is_file() else "; give the folder of your code"
        raise ConfigError(f"--code {folder}: not a folder{hint}")
    if not any(file.suffix == ".py" for file in code_files(path)):
        raise ConfigError(f"--code {folder}: has no Python file (.py); give the folder of your code")
    return path


def code_folder() -> Path | None:
    """The folder that this process was given; None = it was given none.

    Raises:
        ConfigError: it is gone.
    """
    value = os.environ.get(CODE_VARIABLE)
    if not value:
        return None
    if value.startswith(SENT_MARK):
        spec = importlib.util.find_spec(SENT_PACKAGE)
        places = list(spec.submodule_search_locations or ()) if spec else []
        if not places:
            raise ConfigError("--code: its copy did not reach this node; run the same command again")
        path = Path(places[0])
    else:
        path = Path(value)
    if not path.is_dir():
        raise ConfigError(f"--code {path}: the folder is gone; put it back, or give another one")
    _add_to_path(path)
    return path


def code_files(folder: Path) -> list[Path]:
    """The files that count as code, sorted, relative to the folder: Python files, and tables beside them.

    Nothing hidden, no links, and no virtual environments; these files are hashed, and sent to other nodes.

    Raises:
        ConfigError: too many, or too large.
    """
    found: list[Path] = []
    size = 0
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        if VIRTUAL_ENVIRONMENT in names:
            folders.clear()
            continue
        suffixes = (".py", *TABLES) if any(name.endswith(".py") for name in names) else ()
        for name in names:
            path = Path(root, name)
            if name.startswith(".") or path.suffix not in suffixes or path.is_symlink() or not path.is_file():
                continue
            found.append(path.relative_to(folder))
            size += path.stat().st_size
            if len(found) > MAX_FILES or size > MAX_BYTES:
                raise ConfigError(
                    f"--code {folder}: has more than {MAX_FILES:,} files or {MAX_BYTES // 10**6} MB of code and tables "
                    f"(.py, {', '.join(TABLES)}); give a smaller folder, with your parts alone"
                )
    return sorted(found)


def hash_of(folder: Path) -> str:
    """SHA-256 of the names and contents of its code, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name in code_files(folder):
        content = (folder / name).read_bytes()
        digest.update(f"{name.as_posix()}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()


def code_record() -> dict[str, str] | None:
    """{"path", "sha256"} of the folder that this process was given, as runs record it; None without one."""
    if (code := code_to_send()) is None:
        return None
    folder, given = code
    return {"path": given, "sha256": hash_of(Path(folder))}


def note_code(recorded: Mapping[str, str], run: str | Path) -> None:
    """Logs that the present code differs from that of a run, if so.

    Args:
        recorded: the run's `code_record`.
    """
    now = code_record()
    if now is not None and now["sha256"] != recorded["sha256"]:
        log.warning(
            "%s: made with other code of your own (%s, SHA-256 %s) than that in %s (%s); results may differ",
            run,
            recorded["path"],
            recorded["sha256"][:10],
            now["path"],
            now["sha256"][:10],
        )


def code_to_send() -> tuple[str, str] | None:
    """(folder with the code, the path that the user gave) for `use_sent_code`; None without one."""
    folder = code_folder()
    return (str(folder), os.environ[CODE_VARIABLE].removeprefix(SENT_MARK)) if folder else None


def use_sent_code(code: Sequence[str] | None) -> None:
    """In a process of a trial: uses what `code_to_send` was in the driver.

    On a node where the driver's folder is not, Ray has brought a copy.
    """
    if not code:
        return
    folder, given = Path(code[0]), Path(code[1])
    if folder.name == SENT_PACKAGE and folder.is_dir():
        _use_copy(folder, given)
    elif not os.environ.get(CODE_VARIABLE, "").startswith(SENT_MARK):
        use_code(folder)


def copy_code(folder: Path, to: Path) -> None:
    """Copies the files that count as code, and nothing else, into the folder `to`."""
    for name in code_files(folder):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, to / name)


def _use_copy(copy: Path, given: Path) -> None:
    """copy: a folder of the name `SENT_PACKAGE`; given: what runs record as its path."""
    os.environ[CODE_VARIABLE] = f"{SENT_MARK}{given}"
    _add_to_path(copy.parent)
    _add_to_path(copy)


def _add_to_path(folder: Path) -> None:
    """At the end: a file of the user must not replace a module of a library."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        _added_to_path.add(str(folder))
        importlib.invalidate_caches()


def _remove_from_path(folder: Path) -> None:
    """An entry that the user has made stays."""
    if str(folder) in _added_to_path:
        _added_to_path.discard(str(folder))
        sys.path[:] = [entry for entry in sys.path if entry != str(folder)]
        importlib.invalidate_caches()


def _forget(folder: Path) -> None:
    _set_modules_aside(folder)
    _remove_from_path(folder)
    _hash_when_used.pop(folder, None)


def _set_modules_aside(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if name == "__main__" or not isinstance(spec, ModuleSpec):  # such as torch.classes, which has any attribute
            continue
        places = [spec.origin, *(spec.submodule_search_locations or ())]
        if any(place and Path(place).is_relative_to(folder) for place in places):
            _set_aside[name] = sys.modules.pop(name)
    importlib.invalidate_caches()
