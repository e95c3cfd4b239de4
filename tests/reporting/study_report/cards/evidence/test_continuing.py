"""The commands of the page."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.reporting.study_report.cards.card import NotYet
from hearai.reporting.study_report.cards.evidence.continuing import build
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from tests.helpers.simulated_search import simulate_search, study_of
from tests.helpers.study_builder import LR

pytestmark = pytest.mark.heavy


def commands_of(folder: Path, command: str = "") -> list[str]:
    if command:
        (folder / "command.txt").write_text(f"2026-01-01 10:00:00  {command}\n  hearai 0.1.0\n")
    record = read_record(folder)
    return [one.text for one in build(record, summarize(record))["commands"]]


def test_the_search_is_extended_by_half(finished: Path) -> None:
    same, more, train = commands_of(finished, "python experiments/tune.py --space gloss --trials 5 --name 'a b'")
    assert same == "python experiments/tune.py --space gloss --trials 5 --name 'a b'"
    assert more == "python experiments/tune.py --space gloss --name 'a b' --trials 60"  # the study's budget is 40
    assert train.startswith("python experiments/train.py --config ")


def test_every_budget_of_the_search_is_extended(build_study: Callable) -> None:
    with build_study(budget={"trials": 10, "epochs": 30, "seconds": 90}) as builder:
        builder.run(builder.study.base_params(), [0.2, 0.4, 0.3], "COMPLETE")
    command = "python experiments/tune.py --space gloss --stop-when plateau --epoch-budget=30"
    more = commands_of(builder.folder, command)[1]
    assert more == "python experiments/tune.py --space gloss --trials 15 --epoch-budget 45 --time-budget 135s"


def test_a_range_is_widened_by_the_command_of_its_warning(tmp_path: Path) -> None:
    study = study_of({LR: {"float": [1e-4, 1e-2], "log": True}}, tmp_path)
    record = replace(simulate_search(study, lambda params: params[LR], 60), folder=tmp_path)
    (tmp_path / "command.txt").write_text("2026-01-01 10:00:00  python experiments/tune.py --space x\n")
    summary = summarize(record)
    widen = build(record, summary)["commands"][2].text
    option = widen.partition("--space-set=")[2]
    assert f"--space-set={option}" in summary.warnings[0]
    assert widen == f"python experiments/tune.py --space x --trials 90 --space-set={option}"


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
