"""Shared code of the scripts: exit codes, error messages, argument types."""

import argparse
import logging
import pickle
import runpy
import subprocess
import sys
import tempfile
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
    print_text,
    processes,
    progress_bar,
    run_script,
    seed,
    study_name,
)
from hearai.config.study import Request, load_study
from hearai.errors import ConfigError, DataError, choices, pick, printable
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


@pytest.mark.parametrize("make", ["a file as a folder", "a folder as a file", "missing", "too long", "/proc", "NUL"])
def test_an_error_of_a_path_is_one_message_that_names_it(
    make: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").touch()
    attempts = {
        "a file as a folder": lambda: (tmp_path / "file" / "below" / "deeper").mkdir(parents=True),
        "a folder as a file": lambda: tmp_path.read_text(),
        "missing": lambda: (tmp_path / "missing").read_text(),
        "too long": lambda: (tmp_path / ("x" * 300)).mkdir(),
        "/proc": lambda: Path("/proc/x").mkdir(),
        "NUL": lambda: (tmp_path / "a\0b").read_text(),
    }
    assert exit_code(lambda: attempts[make]() and 0) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "; " in line
    assert ("/proc/x" if make == "/proc" else str(tmp_path) if make != "NUL" else "NUL") in line


@pytest.mark.parametrize("path", ["~", "~no-such-user-here/data"])
def test_an_unknown_home_folder_is_one_message(
    path: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)  # in no password database
    assert exit_code(lambda: bool(Path(path).expanduser()) and 0) == 2
    assert capsys.readouterr().err == "error: this user has no home folder: set HOME to a writable folder\n"


def test_that_no_folder_takes_temporary_files_is_one_message(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)  # asked for the first time
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/proc"])  # takes no files
    assert exit_code(lambda: bool(tempfile.gettempdir()) and 0) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: no folder takes temporary files") and line.endswith(
        "set TMPDIR to a writable folder"
    )


def test_an_error_of_no_path_keeps_its_traceback() -> None:
    with pytest.raises(ConnectionRefusedError):
        run_script(fails_with(ConnectionRefusedError(111, "Connection refused")))


def test_names_that_are_not_utf8_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = b"\xff\x1b[31m".decode("utf-8", "surrogateescape")
    assert exit_code(lambda: (tmp_path / "list.txt").write_text(f"a\nclip {name} 3\nb")) == 2
    monkeypatch.setattr(sys, "argv", ["tune.py", "--storage", name])
    assert exit_code(lambda: 0) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: clip \\udcff\\x1b[31m 3: the name is not UTF-8; rename the file or folder",
        "error: \\udcff\\x1b[31m: the name is not UTF-8; rename the file or folder",
    ]


def test_control_characters_in_messages_and_output_are_escaped(capsys: pytest.CaptureFixture) -> None:
    hostile = "key \x1b]0;title\x07\x9b2J\r\u202e\u2028"
    harmless = "key \\x1b]0;title\\x07\\x9b2J\\r\\u202e\\u2028"
    assert DataError(hostile).problems == [harmless]
    print_text(hostile)
    exit_code(fails_with(DataError(hostile)))
    exit_code(fails_with(FileNotFoundError(2, "No such file", hostile)))
    output = capsys.readouterr()
    assert output.out == f"{harmless}\n"
    assert output.err.count(harmless) == 2
    assert printable("zażółć\tgęślą\n👩\u200d🦰 ✋") == "zażółć\tgęślą\n👩\u200d🦰 ✋"


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
        (positive, "10" + "0" * 12),
        (positive, "9" * 5000),
        (positive, "²"),
        (integer(1, 100), "101"),
        (integer(-1, 3), "-2"),
        (gpu_index, "-2"),
        (seed, "1e3"),
        (number(0, 1), "nan"),
        (number(0, 1), "inf"),
        (number(0, 1), "-0.1"),
        (number(0, 1), "much"),
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
        (duration, "１２"),
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


@pytest.mark.heavy
def test_dry_run_says_whether_the_study_in_the_folder_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "smoke"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(load_study(Request("smoke")).to_yaml())
    options = ("--space", "smoke", "--dry-run", "--space-set")
    wider = "train_parameters.lr={float: [1.0e-6, 1.0e-1], log: true}"
    assert tune(monkeypatch, *options, wider) == 0
    out = capsys.readouterr().out
    assert "# runs/smoke: the search continues after 0 trials\n# space widened: train_parameters.lr float 1e-06" in out
    assert tune(monkeypatch, *options, "train_parameters.lr=null") == 2
    assert "--space-set train_parameters.lr: no value; give a domain" in capsys.readouterr().err
    assert tune(monkeypatch, *options, "train_parameters.lrr={int: [1, 2]}") == 2
    assert "did you mean 'lr'" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["study.yaml"]


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
        (
            ("--space", "hamnosys", "--stop-when", "inf"),
            "--stop-when: got 'inf'; give a number from 0 to 1, or plateau",
        ),
        (("--space", "hamnosys", "--seed", "-1"), "seed: got -1"),
    ],
)
def test_invalid_options_exit_with_2(
    options: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert tune(monkeypatch, *options, "--dry-run") == 2
    captured = capsys.readouterr()
    assert words in captured.err and "Traceback" not in captured.err


@pytest.mark.heavy
@pytest.mark.parametrize(
    "space", ["hamnosys", "gloss", "architecture", "pareto", "hamnosys_finetune", "landmarks", "smoke"]
)
def test_the_output_of_a_dry_run_is_a_space(
    space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "mine.yaml"
    assert tune(monkeypatch, "--space", space, "--dry-run", "--trials", "9", "--set", "train_parameters.lr=1e-3") == 0
    path.write_text(capsys.readouterr().out)
    first, again = load_study(Request(space, settings={"budget": {"trials": 9}})), load_study(Request(str(path)))
    assert (again.name, again.settings.budget.trials, again.base.train_parameters.lr) == ("mine", 9, 1e-3)
    assert again.space.domains == {k: v for k, v in first.space.domains.items() if k != "train_parameters.lr"}
    assert again.settings.model_dump(exclude={"config", "demo", "space"}) == first.settings.model_dump(
        exclude={"config", "demo", "space"}
    )


def test_a_progress_bar_is_for_terminals_alone(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in the jobs of many CI services
    assert list(progress_bar("clips")(range(3), 3)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_log_lines_are_escaped_as_well(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)

    def main() -> int:
        logging.getLogger("hearai.test").info("clip %s", "\x1b[2J")
        return 0

    assert exit_code(main) == 0
    assert capsys.readouterr().out == "clip \\x1b[2J\n"


def test_a_config_key_with_escape_bytes_is_escaped_by_tune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "x.yaml").write_text('"train\\e[2J": {}\nspace: {"tr\\e[31m.lr": {float: [0, 1]}}\n')
    assert tune(monkeypatch, "--space", str(tmp_path / "x.yaml"), "--set", "a\x1b[2J.b=1", "--dry-run") == 2
    output = "".join(capsys.readouterr())
    assert output.count("\\x1b[") >= 3 and "\x1b" not in output


@pytest.mark.heavy
@pytest.mark.parametrize(("prefix", "code"), [([], 130), (["nohup"], 0)])
def test_a_closed_terminal_interrupts_except_under_nohup(prefix: list[str], code: int) -> None:
    script = (
        "import os, signal; from hearai.cli import run_script\n"
        "run_script(lambda: os.kill(os.getpid(), signal.SIGHUP) or 0)"
    )
    done = subprocess.run(
        [*prefix, sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr


def test_a_text_that_is_no_yaml_needs_quotes() -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        assignment("general_parameters.frame_pattern={number}.png")
    quoted = 'general_parameters.frame_pattern="{number}.png"'
    assert f"quote it: --set '{quoted}'" in str(caught.value)
    assert assignment(quoted) == ("general_parameters.frame_pattern", "{number}.png")
