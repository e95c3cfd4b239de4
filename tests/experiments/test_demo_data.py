"""Options of `demo_data.py`: every wrong one is refused before anything is written."""

import runpy
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT


def demo_data(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["demo_data.py", *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "experiments" / "demo_data.py"), run_name="__main__")
    return end.value.code


@pytest.mark.parametrize(
    "options",
    [
        *(f"--clips {n}" for n in ("0", "1", "-5", "1000000000000", "many", "3.5", "nan", "")),
        *(f"--frames {n}" for n in ("0", "-1", "1000000000000", "x")),
        *(f"--size {n}" for n in ("0", "1", "-1", "1000000000", "1.5")),
        *(f"--seed {n}" for n in ("-1", "x", "100000000000000000000000000000")),
        *(f"--workers {n}" for n in ("0", "-1", "1000000")),
        *("--clips 1000000 --size 4096 --frames 10000", "--out s3://bucket/x"),
    ],
)
def test_a_wrong_number_is_refused(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = [] if "--out" in options else ["--out", str(tmp_path / "out")]
    assert demo_data(monkeypatch, *out, *options.split(" ")) == 2
    assert "error: " in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_file_as_the_output_folder_is_refused(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert demo_data(monkeypatch, "--clips", "2", "--out", str(tmp_path / out)) == 2
    assert "is a file; give a folder" in capsys.readouterr().err
