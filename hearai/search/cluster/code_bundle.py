"""What goes to a cluster with a search: the code, and the files that its command names."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CODE = ("hearai", "experiments", "search_spaces")
GIVEN = ("--space", "--config", "--warm-start")
"""Options of `tune.py` that may name a file of this machine."""


@contextmanager
def packed(arguments: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    """A folder with the code and the files that options of `tune.py` name, and the arguments as they are right in it.

    A path that is no file here stays as it is: it may be one there.
    """
    root = Path(__file__).parents[3]
    with tempfile.TemporaryDirectory(prefix="hearai-job-") as scratch:
        for name in CODE:
            shutil.copytree(root / name, Path(scratch) / name, ignore=shutil.ignore_patterns("__pycache__"))
        there, option = [], ""
        for argument in arguments:
            name, sign, value = argument.partition("=")
            if option in GIVEN:  # the word before was an option, this is its value
                there.append(_sent(option, argument, Path(scratch)))
            elif sign and name in GIVEN:
                there.append(f"{name}={_sent(name, value, Path(scratch))}")
            else:
                there.append(argument)
            option = "" if option in GIVEN else argument
        yield Path(scratch), there


def _sent(option: str, value: str, folder: Path) -> str:
    """The value as it is right there, with its file in the folder."""
    if not Path(value).is_file() or (option == "--space" and not Path(value).suffix):  # `hamnosys` is a shipped one
        return value
    place = Path("given") / option.strip("-") / Path(value).name
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(value, folder / place)
    return place.as_posix()
