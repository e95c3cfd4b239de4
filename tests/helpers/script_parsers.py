"""The parsers of the scripts in `experiments/`."""

import functools
import importlib
import sys

from hearai.cli import ScriptParser
from tests.helpers import ROOT

EXPERIMENTS = ROOT / "experiments"
SCRIPTS = sorted(path.stem for path in EXPERIMENTS.glob("*.py"))


@functools.cache
def parser_of(script: str) -> ScriptParser:
    """The parser of `experiments/SCRIPT.py`; `submit` imports `tune`, as it does when it is started."""
    if str(EXPERIMENTS) not in sys.path:
        sys.path.append(str(EXPERIMENTS))
    return importlib.import_module(script).make_parser()
