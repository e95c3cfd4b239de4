"""The files that a submitted search needs on the cluster: our code, and local files that its command names.

Ray could upload the working directory itself, but that may hold datasets and runs, and files outside of it
(`--space ~/mine.yaml`) would be missing.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CODE_FOLDERS = ("hearai", "experiments", "search_spaces")
FILE_OPTIONS = ("--space", "--config", "--warm-start")
"""Options of `tune.py` whose value may be a file of this machine."""


@contextmanager
def bundle_code(arguments: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    """(temporary folder with the code and the files that options of `tune.py` name, the arguments with paths in it).

    A value that is not a file of this machine stays as it is: it may be one on the cluster.
    """
    root = Path(__file__).parents[3]
    with tempfile.TemporaryDirectory(prefix="hearai-job-") as scratch:
        folder = Path(scratch)
        for name in CODE_FOLDERS:
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        bundled, option = [], ""
        for argument in arguments:
            name, equals, value = argument.partition("=")
            if option in FILE_OPTIONS:  # the previous argument was an option, this is its value
                bundled.append(_bundle_file(option, argument, folder))
            elif equals and name in FILE_OPTIONS:
                bundled.append(f"{name}={_bundle_file(name, value, folder)}")
            else:
                bundled.append(argument)
            option = "" if option in FILE_OPTIONS else argument
        yield folder, bundled


def _bundle_file(option: str, value: str, folder: Path) -> str:
    """Copies the file that `value` names, if any, into the folder; the value to use there."""
    if not Path(value).is_file() or (option == "--space" and not Path(value).suffix):  # `hamnosys` is a shipped space
        return value
    relative = Path("given") / option.strip("-") / Path(value).name
    (folder / relative).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(value, folder / relative)
    return relative.as_posix()
