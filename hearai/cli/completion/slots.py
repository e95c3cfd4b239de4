"""What can be completed in a command: its options, and the values of each."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearai.cli.parser import ScriptParser

FILE, FOLDER, TEXT = "@file", "@folder", "@text"
"""Values that are not a list of words: the path of a file or folder, of a folder, or any text."""
FOLDER_NAMES = ("DIR", "FOLDER", "OUT", "DATA", "RUN", "URI")


@dataclass(frozen=True)
class Option:
    """An option; `values` are the words that may follow, `(FILE,)`, `(FOLDER,)` or `(TEXT,)`; empty: it is a flag."""

    name: str
    values: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Command:
    """A script, or one of its subcommands."""

    script: str
    """File name, such as `tune.py`."""
    name: str
    """Name of the subcommand; empty for the script itself."""
    options: tuple[Option, ...]
    words: tuple[str, ...]
    """Values of the positional arguments, as those of an option."""
    commands: tuple[str, ...] = ()
    """Names of the script's subcommands."""

    @property
    def key(self) -> str:
        return f"{self.script} {self.name}".strip()


def commands_of(
    script: str, parser: ScriptParser, values: Mapping[str, Sequence[str]], further: Sequence[argparse.Action] = ()
) -> Iterator[Command]:
    """The commands of a script: itself, and its subcommands.

    Args:
        script: its file name.
        parser: its parser.
        values: {option: words} that a parser does not know, such as the names of the search spaces for `--space`.
        further: options of `submit.py tune`, which passes those of `tune.py` on.
    """
    subcommands = parser.commands()
    yield _command(script, "", parser.arguments(), values, tuple(subcommands))
    for name, sub in subcommands.items():
        yield _command(script, name, [*sub.arguments(), *(further if name == "tune" else ())], values)


def _command(
    script: str,
    name: str,
    actions: Sequence[argparse.Action],
    values: Mapping[str, Sequence[str]],
    commands: tuple[str, ...] = (),
) -> Command:
    help_option = Option("--help", (), "show the help")
    options = [
        Option(flag, tuple(values.get(flag, ())) or _values(action), action.help or "")
        for action in actions
        for flag in action.option_strings
    ]
    words = {word: None for action in actions if not action.option_strings for word in _values(action)}
    return Command(script, name, (help_option, *options), tuple(words), commands)


def _values(action: argparse.Action) -> tuple[str, ...]:
    if action.nargs == 0:
        return ()
    if action.choices is not None:
        return tuple(map(str, action.choices))
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    if any(name in metavar for name in FOLDER_NAMES):
        return (FOLDER,)
    is_path = action.type is Path or "FILE" in metavar or metavar in ("BASE.yml", "JOURNAL")
    return (FILE,) if is_path else (TEXT,)
