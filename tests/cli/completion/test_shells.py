"""Completion in real shells: bash, and zsh and fish where they are installed."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hearai.cli.completion import Command, commands_of, completion_script
from hearai.cli.parser import ScriptParser
from hearai.errors import ConfigError
from tests.helpers import ROOT

SHELL_SCRIPT = ROOT / "experiments" / "completion.py"
CASES = [
    ("python experiments/tune.py --sp", "--space --space-set --splits"),
    ("python experiments/tune.py --space ham", "hamnosys hamnosys_finetune"),
    (
        ".venv/bin/python3 experiments/tune.py --set train_parameters.lr",
        "train_parameters.lr= train_parameters.lr_schedule=",
    ),
    ("python experiments/tune.py --sampler = f", "freeze_thaw"),
    ("python -X dev /somewhere/experiments/submit.py ", "tune status logs stop fetch"),
    ("python experiments/submit.py tune --early-stopping h", "hyperband"),
    ("python experiments/submit.py fetch --t", "--to"),
    ("python experiments/studies.py --yes d", "delete"),
    ("python experiments/check_data.py doc", "docs"),
    ("python experiments/train.py --config pyproj", "pyproject.toml"),
    ("python experiments/tune.py --trials 1", ""),
    ("python other.py --sp", ""),
]
"""(what is typed, with spaces between the words as bash divides them; what is offered)."""

BASH = r"""
source "$1"; shift
read -ra COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_hearai
echo "${COMPREPLY[*]}"
"""


def make(shell: str, folder: Path) -> Path:
    """The completion script of a shell, written by the command of the documentation."""
    done = subprocess.run([sys.executable, SHELL_SCRIPT, shell], capture_output=True, text=True, timeout=60, check=True)
    path = folder / f"completion.{shell}"
    path.write_text(done.stdout)
    return path


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("bash", tmp_path_factory.mktemp("bash"))


@pytest.mark.heavy
@pytest.mark.parametrize(("typed", "offered"), CASES)
def test_bash_completes(typed: str, offered: str, bash_script: Path) -> None:
    command = ["bash", "--norc", "-c", BASH, "bash", str(bash_script), typed]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert (sorted(done.stdout.split()), done.stderr) == (sorted(offered.split()), "")


@pytest.mark.heavy
def test_bash_registers_the_function_for_python(bash_script: Path) -> None:
    command = ["bash", "--norc", "-c", f"source {bash_script}; complete -p python python3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.count("-F _hearai") == 2


@pytest.mark.heavy
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(tmp_path: Path) -> None:
    typed = ["python experiments/tune.py --space ham", "python experiments/submit.py fet"]
    code = f"source {make('fish', tmp_path)}; " + "; ".join(f"complete -C '{text}'" for text in typed)
    done = subprocess.run(["fish", "--no-config", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    words = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert (words, done.stderr) == (["hamnosys", "hamnosys_finetune", "fetch"], "")


@pytest.mark.heavy
@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_at_the_tab_key(tmp_path: Path) -> None:
    path = make("zsh", tmp_path)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb"})
    os.write(terminal, f"autoload -Uz compinit; compinit -u -D; source {path}; echo rea''dy\n".encode())
    assert "ready" in read_until(terminal, "ready")
    os.write(terminal, b"python experiments/submit.py fet\t")
    assert "submit.py fetch " in read_until(terminal, "submit.py fetch ")
    os.close(terminal)
    os.waitpid(pid, 0)


def read_until(terminal: int, text: str, seconds: float = 30.0) -> str:
    """What a terminal shows until the text occurs, or the time is over."""
    shown, end = "", time.monotonic() + seconds
    while text not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


def small_commands() -> list[Command]:
    parser = ScriptParser("Text.", prog="x.py")
    parser.add_argument("--kind", choices=("it's", "b"), help="what it's; more")
    return list(commands_of("x.py", parser, {}))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.heavy
def test_quotes_in_words_do_not_break_the_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(completion_script(shell, small_commands()))
    subprocess.run([shell, "-n", str(tmp_path / "script")], timeout=30, check=True)


def test_an_unknown_shell_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown shell 'ksh'; choose from bash, fish, zsh"):
        completion_script("ksh", [])
