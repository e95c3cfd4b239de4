"""Completion of commands in bash, zsh and fish: static scripts, generated from the parsers of the scripts."""

from hearai.cli.completion.shells import SHELLS, completion_script
from hearai.cli.completion.slots import Command, commands_of

__all__ = ["SHELLS", "Command", "commands_of", "completion_script"]
