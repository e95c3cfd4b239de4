"""Prints a script that makes a shell complete commands: options, search spaces, config keys, files.

    source <(python experiments/completion.py bash)      # in ~/.bashrc
    source <(python experiments/completion.py zsh)       # in ~/.zshrc
    python experiments/completion.py fish | source       # in config.fish

Exit codes: 0 done; 2 invalid input.
"""

import importlib
import sys
from pathlib import Path
from typing import get_args

from hearai.cli import DONE, ScriptParser, run_script
from hearai.cli.completion import SHELLS, Command, commands_of, completion_script

FOLDER = Path(__file__).resolve().parent


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument("shell", choices=tuple(SHELLS), metavar="SHELL", help="bash, zsh or fish")
    return parser


def parsers() -> dict[str, ScriptParser]:
    """{file name: parser} of all scripts."""
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    return {f"{name}.py": importlib.import_module(name).make_parser() for name in names if name != Path(__file__).stem}


def known_values() -> dict[str, list[str]]:
    """{option: words} that the parsers do not know, because what they name is checked later."""
    from hearai.config.config import Config, to_dict
    from hearai.config.overrides import leaves
    from hearai.config.study import SPACES
    from hearai.config.study_schema import EarlyStopping, Sampler

    keys = [f"{path}=" for path, _ in leaves(to_dict(Config()))]
    return {
        "--space": sorted(path.stem for path in SPACES.glob("*.yaml")),
        "--set": keys,
        "--space-set": keys,
        "--sampler": list(get_args(Sampler.model_fields["name"].annotation)),
        "--early-stopping": list(get_args(EarlyStopping.model_fields["name"].annotation)),
    }


def commands() -> list[Command]:
    of, values = parsers(), known_values()
    further = of["tune.py"].arguments()
    return [command for name, parser in of.items() for command in commands_of(name, parser, values, further)]


def main() -> int:
    args = make_parser().parse_args()
    sys.stdout.write(completion_script(args.shell, commands()))
    return DONE


if __name__ == "__main__":
    run_script(main)
