"""The commands of the page."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.reporting.study_report.cards.card import NotYet
from hearai.reporting.study_report.cards.evidence.continuing import build
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize

pytestmark = pytest.mark.heavy


def commands_of(folder: Path, command: str = "") -> list[str]:
    if command:
        (folder / "command.txt").write_text(f"2026-01-01 10:00:00  {command}\n  hearai 0.1.0\n")
    record = read_record(folder)
    return [one.text for one in build(record, summarize(record))["commands"]]


def test_the_search_is_extended_by_half(finished: Path) -> None:
    same, more, train = commands_of(finished, "python experiments/tune.py --space gloss --trials 5 --name 'a b'")
    assert same == "python experiments/tune.py --space gloss --trials 5 --name 'a b'"
    assert more == "python experiments/tune.py --space gloss --name 'a b' --trials 7"
    assert train.startswith("python experiments/train.py --config ")


@pytest.mark.parametrize("command", ["python -c 'run()'", "python notebook", "python 'tune.py", "rm -rf /"])
def test_other_commands_are_not_repeated(finished: Path, command: str) -> None:
    assert [text.split()[1] for text in commands_of(finished, command)] == ["experiments/train.py"]


def test_commands_of_the_winner_follow_its_checkpoint(finished: Path) -> None:
    (finished / "best").mkdir()
    (finished / "best" / "state.pt").touch()
    scripts = [text.split()[1] for text in commands_of(finished)]
    assert scripts == [f"experiments/{name}.py" for name in ("train", "evaluate", "predict", "export")]


def test_without_a_command_and_a_winner_there_is_nothing(build_study: Callable) -> None:
    with build_study() as builder:
        builder.run(builder.study.base_params(), [0.2], "RUNNING")
    with pytest.raises(NotYet, match="not recorded"):
        commands_of(builder.folder)
