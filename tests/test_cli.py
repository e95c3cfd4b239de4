"""What the scripts share: one message and an exit code for a user's mistake, and strict option values."""

import argparse
import runpy
import sys
from pathlib import Path

import pytest

from hearai.cli import assignment, duration, positive, run_script, study_name
from hearai.errors import ConfigError, DataError, choices, pick
from tests.helpers import ROOT

TUNE = ROOT / "experiments" / "tune.py"


def exit_code(main) -> int:
    with pytest.raises(SystemExit) as end:
        run_script(main)
    return end.value.code


def fails_with(error: BaseException):
    def main() -> int:
        raise error

    return main


def test_a_script_exits_with_what_its_main_returns() -> None:
    assert [exit_code(lambda code=code: code) for code in (0, 3)] == [0, 3]


def test_a_users_mistake_ends_in_exit_code_2_and_one_line_a_problem(capsys: pytest.CaptureFixture) -> None:
    assert exit_code(fails_with(DataError(["a.txt:3: wrong", "a.txt:4: wrong too"]))) == 2
    assert capsys.readouterr().err == "error: a.txt:3: wrong\nerror: a.txt:4: wrong too\n"


def test_an_interruption_ends_in_exit_code_130(capsys: pytest.CaptureFixture) -> None:
    assert exit_code(fails_with(KeyboardInterrupt())) == 130
    assert "interrupted" in capsys.readouterr().err


def test_our_own_mistakes_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: 1 // 0)


def test_an_error_travels_between_processes_with_all_its_problems() -> None:
    import pickle

    again = pickle.loads(pickle.dumps(ConfigError(["one", "two"])))
    assert isinstance(again, ConfigError) and again.problems == ["one", "two"] and str(again) == "one\ntwo"


def test_the_value_of_an_assignment_is_read_as_yaml() -> None:
    given = ["a.b=1", "a.b=[x, 2]", "a=null", "a=", "a=b=c", "a=1e-3"]
    assert [assignment(text) for text in given] == [
        ("a.b", 1),
        ("a.b", ["x", 2]),
        ("a", None),
        ("a", None),
        ("a", "b=c"),
        ("a", "1e-3"),
    ]


def test_durations_have_units() -> None:
    assert [duration(text) for text in ("90", "90s", "1.5m", "2h")] == [90, 90, 90, 7200]


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (assignment, "a.b"),
        (assignment, "=3"),
        (assignment, "a=[1"),
        (assignment, "a=2024-13-45"),
        (duration, "soon"),
        (duration, "0"),
        (duration, "-5m"),
        (duration, "1d"),
        (positive, "0"),
        (positive, "1.5"),
        (positive, "-1"),
        (study_name, "../up"),
        (study_name, ".hidden"),
        (study_name, "a b"),
        (study_name, ""),
    ],
)
def test_a_wrong_option_value_is_refused_in_words(read, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        read(text)
    assert str(caught.value)


def test_names_are_picked_with_the_choices_and_a_guess() -> None:
    assert pick({"a": 1}, "a", "thing") == 1
    with pytest.raises(ConfigError, match=r"unknown thing 'lsmt'; choose from gru, lstm \(did you mean 'lstm'\?\)"):
        pick({"lstm": 1, "gru": 2}, "lsmt", "thing")
    assert choices("zzz", ["b", "a"]) == "choose from a, b"


def tune(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["tune.py", *options])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TUNE), run_name="__main__")
    return end.value.code


def test_a_dry_run_shows_the_study_and_five_samples_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        tune(monkeypatch, "--space", "hamnosys", "--dry-run", "--trials", "7", "--set", "train_parameters.lr=1e-3") == 0
    )
    out = capsys.readouterr().out
    assert "trials: 7" in out and out.count("# sample") == 5
    assert out.count("\ntransformer.num_encoder_layers: ") == 5 and "\ntrain_parameters.lr: " not in out
    assert not list(tmp_path.iterdir())


def test_neptune_is_asked_for_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert tune(monkeypatch, "--space", "smoke", "--neptune", "--dry-run") == 0
    assert "neptune: true" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--space", "hamnosis"), "did you mean 'hamnosys'"),
        (("--space", "hamnosys", "--set", "train_parameters.lrr=1"), "did you mean 'lr'"),
        (("--space", "hamnosys", "--storage", "ftp://bucket/runs"), "give a folder, s3://BUCKET/PREFIX or gs://"),
        (("--space", "hamnosys", "--trials", "0"), "whole number of at least 1"),
        (("--space", "hamnosys", "--finalists", "-1"), "finalists.count: got -1"),
    ],
)
def test_wrong_options_end_in_exit_code_2_before_anything_starts(
    options: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert tune(monkeypatch, *options, "--dry-run") == 2
    captured = capsys.readouterr()
    assert words in captured.err and "Traceback" not in captured.err
