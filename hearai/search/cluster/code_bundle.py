"""The files that a submitted search needs on the cluster: our code, and local files that its command names.

Ray could upload the working directory itself, but that may hold datasets and runs, and files outside of it
(`--space ~/mine.yaml`) would be missing. What lies in the code's folders without being code (`.env`, keys, data, links
to other folders) stays here: the files of a job can be read by everyone who has the cluster's token.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearai.config.model_parts.code_folder import CODE_VARIABLE, SENT_MARK, code_kept, code_to_send, copy_code
from hearai.config.model_parts.code_folder import code_files as own_files
from hearai.search.storage.layout import CLASS_NAMES, STUDY_FILE

ROOT = Path(__file__).parents[3]
CODE_FOLDERS = ("hearai", "experiments", "search_spaces")
CODE_SUFFIXES = (".py", ".yaml", ".yml", ".json", ".csv", ".j2", ".html", ".css", ".js")
"""Kinds of files that code consists of: modules, spaces, tables, templates."""
CODE_OPTION = "--code"
"""Option of `tune.py` whose value is a folder of this machine."""
FILE_OPTIONS = ("--space", "--config", "--warm-start", CODE_OPTION)
"""Options of `tune.py` whose value may be a file of this machine, and that."""
COMPANIONS = {"--warm-start": (STUDY_FILE, CLASS_NAMES)}
"""Files beside the one that an option names that are read with it, where they exist."""


@dataclass(frozen=True)
class CodeFiles:
    """The files of the code's folders, relative to the checkout."""

    sent: tuple[Path, ...]
    left_out: tuple[Path, ...]
    """Code as it seems, but git does not track it, or it is a link; files of other kinds are not listed."""


def code_files(root: Path) -> CodeFiles:
    """What is sent of a checkout: files that git tracks, of the kinds that code consists of.

    Without git (an unpacked archive) all files of these kinds are sent. Hidden files and folders, and whatever is
    reached through a link, never are.
    """
    tracked = _tracked_files(root)
    sent: list[Path] = []
    left_out: list[Path] = []
    for path in sorted(path for name in CODE_FOLDERS for path in (root / name).rglob("*")):
        relative = path.relative_to(root)
        is_hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        if is_hidden or path.suffix not in CODE_SUFFIXES or not path.is_file():
            continue
        is_link = path.resolve() != root.resolve() / relative
        is_known = tracked is None or relative in tracked
        (left_out if is_link or not is_known else sent).append(relative)
    return CodeFiles(tuple(sent), tuple(left_out))


def _tracked_files(root: Path) -> set[Path] | None:
    """The files of the code's folders that git tracks; None outside of a checkout, or without git."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--", *CODE_FOLDERS]
    try:
        git = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return None
    names = git.stdout.decode("utf-8", "surrogateescape").split("\0")
    return {Path(name) for name in names if name} or None if git.returncode == 0 else None


def bundle_lines(arguments: Sequence[str]) -> list[str]:
    """What `bundle_code` sends and leaves out, one file a line, for `submit.py tune --dry-run`."""
    files, given = code_files(ROOT), _given_files(arguments)
    sent = [*map(str, files.sent), *(f"{value} (given by {option})" for option, value in given)]
    size = sum((ROOT / path).stat().st_size for path in files.sent) + sum(Path(v).stat().st_size for _, v in given)
    return [
        f"{len(sent)} files would be sent, {size / 1e3:,.0f} kB:",
        *(f"  {name}" for name in sent),
        *_left_out_lines(files),
    ]


def left_out_lines() -> list[str]:
    """What `bundle_code` does not send although it seems to be code, one file a line; nothing if there is none."""
    return _left_out_lines(code_files(ROOT))


def _left_out_lines(files: CodeFiles) -> list[str]:
    title = ["not sent, because git does not track it or it is a link:"] if files.left_out else []
    return [*title, *(f"  {path}" for path in files.left_out)]


@contextmanager
def bundle_code(arguments: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    """(temporary folder with the code and the files that options of `tune.py` name, the arguments with paths in it).

    A value that is not a file of this machine stays as it is: it may be one on the cluster.
    """
    with tempfile.TemporaryDirectory(prefix="hearai-job-") as scratch:
        folder = Path(scratch)
        for path in code_files(ROOT).sent:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)
        bundled = [
            before + (_bundle_file(option, value, folder) if option else value)
            for option, before, value in _file_options(arguments)
        ]
        yield folder, bundled


@contextmanager
def own_code_for_nodes() -> Iterator[dict[str, Any]]:
    """What Ray's runtime environment needs so that the nodes get the folder of `--code`; {} without one.

    It is a copy (that of the search, if there is one), which must exist until Ray has sent it.
    """
    with code_kept():
        if (code := code_to_send()) is None:
            yield {}
            return
        copy, given = code
        yield {"py_modules": [copy], "env_vars": {CODE_VARIABLE: f"{SENT_MARK}{given}"}}


def _bundle_file(option: str, value: str, folder: Path) -> str:
    """Copies the file that `value` names, if any, into the folder; the value to use there."""
    if not _is_given_file(option, value):
        return value
    given = Path("given") / option.strip("-")
    target = given / str(len(list((folder / given).glob("*"))))  # an option may be repeated with files of one name
    (folder / target).mkdir(parents=True)
    if option == CODE_OPTION:
        name = _own_folder(value).name
        copy_code(_own_folder(value), folder / target / name)
        return (target / name).as_posix()
    for path in _files_of(option, value):
        shutil.copyfile(path, folder / target / path.name)
    return (target / Path(value).name).as_posix()


def _given_files(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """(option, path) of the local files that options name."""
    return [
        (option, str(path))
        for option, _, value in _file_options(arguments)
        if option and _is_given_file(option, value)
        for path in _files_of(option, value)
    ]


def _files_of(option: str, value: str) -> list[Path]:
    """The local file that an option names, and those that are read with it; the files of a folder with code."""
    if option == CODE_OPTION:
        return [_own_folder(value) / name for name in own_files(_own_folder(value))]
    beside = [Path(value).with_name(name) for name in COMPANIONS.get(option, ())]
    return [Path(value), *(path for path in beside if path.is_file())]


def _file_options(arguments: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(the option of FILE_OPTIONS whose value it is, else "", what precedes the value, the value) of each argument."""
    option = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if option in FILE_OPTIONS:  # the previous argument was an option, this is its value
            yield option, "", argument
        elif equals and name in FILE_OPTIONS:
            yield name, f"{name}=", value
        else:
            yield "", "", argument
        option = "" if option in FILE_OPTIONS else argument


def _is_given_file(option: str, value: str) -> bool:
    """Whether the value of an option is a file of this machine; `--space hamnosys` is a shipped one."""
    if option == CODE_OPTION:
        return _own_folder(value).is_dir()
    return Path(value).is_file() and not (option == "--space" and not Path(value).suffix)


def _own_folder(value: str) -> Path:
    return Path(value).expanduser().resolve()
