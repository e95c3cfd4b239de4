"""The help texts of all scripts: short, grouped, with examples, and printed without heavy imports."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from hearai.cli import ScriptParser
from hearai.cli.parser import EXAMPLES
from tests.helpers import ROOT
from tests.helpers.script_parsers import SCRIPTS, parser_of

COLUMNS, SCREEN = 80, 24
LONGER = {"tune": 43, "import_dataset": 28, "benchmark models": 28, "benchmark search": 30}
"""{command: lines of its help}, of those with so many options that a screen of 24 lines is not enough."""
HEAVY = ("torch", "ray", "optuna", "matplotlib", "av", "pandas")


def _commands() -> Iterator[tuple[str, ScriptParser]]:
    for script in SCRIPTS:
        parser = parser_of(script)
        yield script, parser
        for name, sub in parser.commands().items():
            yield f"{script} {name}", sub


COMMANDS = list(_commands())


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


@pytest.mark.parametrize(("name", "parser"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_the_help_fits_on_a_screen_and_has_an_example(name: str, parser: ScriptParser) -> None:
    lines = parser.format_help().splitlines()
    assert len(lines) <= LONGER.get(name, SCREEN)
    assert not [line for line in lines if len(line) > COLUMNS]
    assert EXAMPLES in lines and parser.description


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_help_says_the_exit_codes(script: str) -> None:
    assert "Exit codes: 0 " in " ".join(parser_of(script).format_help().split())


@pytest.mark.parametrize(("name", "parser"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_option_is_explained_or_named(name: str, parser: ScriptParser) -> None:
    short, full = parser.format_help(), parser.format_help(all_options=True)
    for action in parser.arguments():
        assert action.help, f"{name}: {action.dest} has no help text"
        for option in action.option_strings:
            assert option in short and f"{option} " in full
    assert set(parser.rare_options()) == parser.rare


@pytest.mark.heavy
def test_help_imports_nothing_heavy() -> None:
    """Each help text costs about 0.2 s of CPU time; these imports would multiply that."""
    code = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(ROOT / 'experiments')!r})\n"
        f"for script in {SCRIPTS}:\n"
        f"    runpy.run_path({str(ROOT / 'experiments')!r} + f'/{{script}}.py')['make_parser']().format_help()\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []
