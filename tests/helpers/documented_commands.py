"""The commands in the pages: lines `python experiments/NAME.py ...` and `make TARGET` in blocks and in inline code."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "cluster").rglob("*.md"))]
COMMAND = re.compile(r"\bpython (?:experiments/)?([a-z_]+)\.py\b([^`\n]*)")
MAKE = re.compile(r"^(?:    |.*`)make ([a-z][a-z-]*)", re.MULTILINE)
END = re.compile(r"\s+(?:#|\||>|&&)(?:\s.*)?$|\).*$")
"""What follows a command on its line: a comment, a pipe, a redirection, or the bracket around it."""
ALTERNATIVES = re.compile(r"(?<= )([a-z]+(?:\|[a-z]+)+)(?= |$)")
OPTIONAL = re.compile(r" \[[A-Z][^]]*\]")


@dataclass(frozen=True)
class Documented:
    """One command of a page; of alternatives such as `list|show|delete`, one of them."""

    page: str
    """Path in the repository."""
    script: str
    """Name of the script, without `.py`."""
    arguments: tuple[str, ...]

    @property
    def text(self) -> str:
        return shlex.join([self.script, *self.arguments])


def documented_commands() -> list[Documented]:
    """Every command once, in the order of the pages."""
    found: dict[str, Documented] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for script, rest in COMMAND.findall(text):
            if (ROOT / "experiments" / f"{script}.py").exists():
                for line in _expanded(OPTIONAL.sub("", END.sub("", rest).rstrip())):
                    command = Documented(str(page.relative_to(ROOT)), script, tuple(shlex.split(line)))
                    found.setdefault(command.text, command)
    return list(found.values())


def _expanded(arguments: str) -> Iterator[str]:
    """One line for each of the alternatives."""
    match = ALTERNATIVES.search(arguments)
    for choice in match[1].split("|") if match else [""]:
        yield arguments[: match.start()] + choice + arguments[match.end() :] if match else arguments


def documented_targets() -> list[str]:
    """The targets of `make` that the pages name."""
    return sorted({target for page in PAGES for target in MAKE.findall(page.read_text(encoding="utf-8"))})


def is_listed(command: Documented, table: dict[str, str]) -> str:
    """The reason that a table has for a command, else an empty text. Keys are words that the command contains."""
    words = [command.script, *command.arguments]
    return next((reason for key, reason in table.items() if all(word in words for word in key.split())), "")


def paths_below(folder: Path, arguments: tuple[str, ...]) -> list[str]:
    """The arguments with `~/` replaced by the folder, as a shell replaces it by the home folder."""
    return [argument.replace("~/", f"{folder}/") for argument in arguments]
