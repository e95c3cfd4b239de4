"""Shared code of the scripts: exit codes, error messages, argument types."""

import argparse
import pickle
import runpy
import sys
from pathlib import Path

import pytest

from hearai.cli import (
    assignment,
    duration,
    gpu_index,
    gpus,
    integer,
    number,
    positive,
    processes,
    run_script,
    study_name,
)
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


def test_exit_code_is_the_return_value_of_main() -> None:
    assert [exit_code(lambda code=code: code) for code in (0, 3)] == [0, 3]


def test_user_error_exits_with_2_and_one_line_per_problem(capsys: pytest.CaptureFixture) -> None:
    assert exit_code(fails_with(DataError(["a.txt:3: wrong", "a.txt:4: wrong too"]))) == 2
    assert capsys.readouterr().err == "error: a.txt:3: wrong\nerror: a.txt:4: wrong too\n"


def test_interruption_exits_with_130(capsys: pytest.CaptureFixture) -> None:
    assert exit_code(fails_with(KeyboardInterrupt())) == 130
    assert "interrupted" in capsys.readouterr().err


def test_other_exceptions_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: 1 // 0)


def test_error_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(ConfigError(["one", "two"])))
    assert isinstance(again, ConfigError) and again.problems == ["one", "two"] and str(again) == "one\ntwo"


def test_value_of_an_assignment_is_yaml() -> None:
    texts = ["a.b=1", "a.b=[x, 2]", "a=null", "a=", "a=b=c", "a=1e-3"]
    assert [assignment(text) for text in texts] == [
        ("a.b", 1),
        ("a.b", ["x", 2]),
        ("a", None),
        ("a", None),
        ("a", "b=c"),
        ("a", "1e-3"),
    ]


def test_units_of_durations() -> None:
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
        (positive, "\u00b2"),
        (positive, "9" * 5000),
        (duration, "9" * 30 + "h"),
        (processes, "1000000"),
        (gpu_index, "-2"),
        (gpu_index, "1e3"),
        (gpus, "nan"),
        (gpus, "inf"),
        (gpus, "-1"),
        (gpus, "1.5"),
        (number(0, 1), "-nan"),
        (number(0, 1), "1.01"),
        (integer(2, 9), "1"),
        (integer(2, 9), "10"),
        (study_name, "../up"),
        (study_name, ".hidden"),
        (study_name, "a b"),
        (study_name, ""),
    ],
)
def test_invalid_argument_is_an_error_with_a_message(read, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        read(text)
    assert str(caught.value)


def test_unknown_name_is_an_error_with_choices_and_suggestion() -> None:
    assert pick({"a": 1}, "a", "thing") == 1
    with pytest.raises(ConfigError, match=r"unknown thing 'lsmt'; choose from gru, lstm \(did you mean 'lstm'\?\)"):
        pick({"lstm": 1, "gru": 2}, "lsmt", "thing")
    assert choices("zzz", ["b", "a"]) == "choose from a, b"


def tune(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["tune.py", *options])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TUNE), run_name="__main__")
    return end.value.code


def test_dry_run_prints_the_study_and_writes_nothing(
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


def test_neptune_option(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert tune(monkeypatch, "--space", "smoke", "--neptune", "--dry-run") == 0
    assert "neptune: true" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--space", "hamnosis"), "did you mean 'hamnosys'"),
        (("--space", "hamnosys", "--set", "train_parameters.lrr=1"), "did you mean 'lr'"),
        (("--space", "hamnosys", "--storage", "ftp://bucket/runs"), "give a folder, s3://BUCKET/PREFIX or gs://"),
        (("--space", "hamnosys", "--trials", "0"), "integer of at least 1"),
        (("--space", "hamnosys", "--finalists", "-1"), "finalists.count: got -1"),
        (("--space", "hamnosys", "--gpus-per-trial", "nan"), "--gpus-per-trial: got 'nan'; give a number from 0 to"),
        (("--space", "hamnosys", "--stop-when", "inf"), "--stop-when: got 'inf'; give a number from 0 to 1"),
        (("--space", "hamnosys", "--seed", "-1"), "seed: got -1"),
    ],
)
def test_invalid_options_exit_with_2(
    options: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert tune(monkeypatch, *options, "--dry-run") == 2
    captured = capsys.readouterr()
    assert words in captured.err and "Traceback" not in captured.err
