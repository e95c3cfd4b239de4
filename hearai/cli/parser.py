"""The argument parser of every script: its help text fits on a screen and has examples to copy.

A script describes itself in one text, its docstring: the first paragraph says what it does, indented lines are
examples, and the rest are notes and exit codes.
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

HELP_POSITION = 25
"""Column of the help texts: an option and its value fit before it, and 53 characters of help after it at 80."""
MIN_POSITION = 12
"""Least width of the column of options and commands."""
EXAMPLES = "examples:"
OPTIONS = "[options]"


class ScriptParser(argparse.ArgumentParser):
    """A parser with `--help`, and `--help-all` if some options are rarely needed.

    `--help` lists the rare options by name only; `--help-all` explains all. Abbreviated options are not accepted.
    """

    def __init__(self, text: str | None = "", *, rare: Collection[str] = (), **options: Any) -> None:
        """
        Args:
            text: description, examples (indented) and notes, in paragraphs.
            rare: options that `--help` does not explain, such as `--seed`.
            options: those of `argparse.ArgumentParser`.
        """
        description, _, rest = (text or "").strip("\n").partition("\n\n")
        super().__init__(
            description=description or None,
            epilog=with_heading(rest) or None,
            formatter_class=options.pop("formatter_class", _HelpFormatter),
            allow_abbrev=False,
            add_help=False,
            **options,
        )
        self.rare = frozenset(rare)
        self.add_argument("-h", "--help", action="help", help="show this help")
        if self.rare:
            self.add_argument(
                "--help-all",
                action=_HelpAll,
                nargs=0,
                dest=argparse.SUPPRESS,
                default=argparse.SUPPRESS,
                help="explain all options",
            )

    def format_help(self, *, all_options: bool = False) -> str:
        """The help text; with `all_options` also the help of the rare ones."""
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, [])
        formatter.add_text(self.description)
        hidden = frozenset() if all_options else self.rare
        for group in self._action_groups:
            shown = [action for action in group._group_actions if _is_shown(action, hidden)]
            formatter.start_section(group.title)
            formatter.add_arguments(shown)
            formatter.end_section()
        if hidden:
            formatter.add_text(f"--help-all explains also: {', '.join(self.rare_options())}.")
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def error(self, message: str) -> NoReturn:
        """Exits with the message; of an unknown option it names the one that is spelled most similarly."""
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        parsers = (self, *self.commands().values())
        known = [option for parser in parsers for action in parser._actions for option in action.option_strings]
        if unknown and (similar := get_close_matches(unknown[1], known, n=1)):
            message = f"{message} (did you mean {similar[0]}?)"
        super().error(message)

    def rare_options(self) -> list[str]:
        """Rare options in the order in which they were added."""
        return [option for action in self._actions for option in action.option_strings if option in self.rare]

    def commands(self) -> dict[str, "ScriptParser"]:
        """{name: parser} of the subcommands; empty without any."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    def arguments(self) -> list[argparse.Action]:
        """Options and positional arguments, without `--help` and subcommands."""
        left_out = (argparse._HelpAction, argparse._SubParsersAction, _HelpAll)
        return [action for action in self._actions if not isinstance(action, left_out)]


def _is_shown(action: argparse.Action, hidden: Collection[str]) -> bool:
    is_help = isinstance(action, argparse._HelpAction | _HelpAll)
    return not is_help and not any(option in hidden for option in action.option_strings)


class _HelpAll(argparse.Action):
    """Prints the help of all options and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, ScriptParser)
        parser._print_message(parser.format_help(all_options=True), sys.stdout)
        parser.exit()


class _HelpFormatter(argparse.HelpFormatter):
    """A usage line with what is required; paragraphs are wrapped, and indented ones are printed as they are."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"max_help_position": HELP_POSITION, **options})
        self._action_max_length = MIN_POSITION

    def add_usage(
        self, usage: str | None, actions: Iterable[argparse.Action], groups: Iterable[Any], prefix: str | None = None
    ) -> None:
        actions = list(actions)
        required = [action for action in actions if action.required and action.option_strings]
        positional = [action for action in actions if not action.option_strings]
        if any(action.option_strings and not isinstance(action, argparse._HelpAction) for action in actions):
            positional.insert(0, argparse.Action([], "options", metavar=OPTIONS))
        super().add_usage(usage, [*required, *positional], [], prefix)

    def _format_action(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._SubParsersAction):  # the commands, without a line for their group
            return "".join(map(self._format_action, action._get_subactions()))
        return super()._format_action(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(_filled(paragraph, width) for paragraph in text.split("\n\n"))


def _filled(paragraph: str, width: int) -> str:
    lines = paragraph.splitlines()
    if lines[0] == EXAMPLES:
        return paragraph
    return textwrap.fill(" ".join(line.strip() for line in lines), width, break_on_hyphens=False)


def with_heading(text: str) -> str:
    """The text with a heading before its examples, the indented paragraphs."""
    return "\n\n".join(
        f"{EXAMPLES}\n{textwrap.indent(textwrap.dedent(part), '  ')}" if part.startswith("    ") else part
        for part in text.strip("\n").split("\n\n")
    )


def examples_of(parser: ScriptParser) -> Sequence[str]:
    """The commands among the examples in the help text of a parser; a comment after `#` is left out."""
    blocks = [block for block in (parser.epilog or "").split("\n\n") if block.startswith(EXAMPLES)]
    joined = "\n".join(blocks).replace("\\\n", " ")
    commands = [line.split("  #")[0].split() for line in joined.splitlines() if line.startswith("  ")]
    return [" ".join(words) for words in commands]
