"""The views of a search: what they print, and that their failures cost nothing."""

import io
import json
import logging
import os
import pickle
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest
from rich.console import Console

from hearai.cli.progress import events
from hearai.cli.progress.reader import EventReader, plain_lines
from hearai.cli.progress.work import watching, work_done
from hearai.reporting.live.gpu_use import format_gpu_use, gpu_use
from hearai.reporting.live.terminal_view import TerminalPanel
from hearai.reporting.live.views import VIEWS, JsonView, QuietView, default_view, open_view
from tests.helpers import ROOT

OPENED = events.StudyOpened("mine", "runs/mine", "macro-F1", 4)


@pytest.fixture
def panel() -> Iterator[tuple[TerminalPanel, io.StringIO]]:
    stream = io.StringIO()
    panel = TerminalPanel(Console(file=stream, force_terminal=True, width=80, height=24), has_gpus=False)
    yield panel, stream
    panel.close()


def test_notes_are_printed_above_the_panel(panel: tuple[TerminalPanel, io.StringIO]) -> None:
    panel[0].print_line("cluster: 2 CPUs \x1b[2J")
    panel[0].print_line(events.TrialLine("[1/4] 0000 complete"))
    panel[0].close()
    assert "cluster: 2 CPUs \\x1b[2J" in panel[1].getvalue() and "[1/4]" not in panel[1].getvalue()


def test_a_view_that_fails_prints_lines_from_then_on(panel: tuple[TerminalPanel, io.StringIO]) -> None:
    panel[0].show("no event")  # type: ignore[arg-type]
    panel[0].print_line(events.TrialLine("[1/4] 0000 complete"))
    text = panel[1].getvalue()
    assert "the live view has failed (TypeError" in text and "[1/4] 0000 complete" in text


class _Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(5, "the terminal is gone")


def test_a_terminal_that_is_gone_does_not_end_the_search() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    panel = TerminalPanel(console, has_gpus=False)
    console.file = _Broken()
    panel.print_line("line")
    panel.show(OPENED)
    panel.close()


def test_json_lines_hold_every_event() -> None:
    stream = io.StringIO()
    view = JsonView(stream, clock=lambda: 5.0)
    view.print_line("a")
    view.print_line(events.TrialLine("b"))
    view.show(OPENED)
    view.print_result("done\n1")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["note", "note", "study_opened", "note"]
    assert [line.get("is_trial") for line in lines[:2]] == [False, True] and lines[0]["at"] == 5.0
    assert plain_lines(stream.getvalue()) == "a\nb\ndone\n1\n"


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_can_be_pickled_with_its_stream(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "output").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)  # Tune pickles the callbacks, which refer to the view
        with open_view(name) as view:
            assert pickle.dumps((view.print_line, view.show))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_output_in_blocks_of_any_size_is_read(size: int) -> None:
    text = f"pip noise\n{events.to_json_line(OPENED, 3)}\nlast"
    found: list[tuple[events.Event, float | None]] = []
    reader = EventReader(lambda event, at: found.append((event, at)))
    for start in range(0, len(text), size):
        reader(text[start : start + size])
    reader.close()
    assert found == [(events.Note("pip noise"), None), (OPENED, 3), (events.Note("last"), None)]


def test_quiet_shows_only_warnings_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    try:
        view = QuietView()
        view.print_line("line")
        logging.getLogger("hearai.x").error("warned")
        view.print_result("result")
        view.close()
    finally:
        logging.getLogger().removeHandler(handler)
    assert capsys.readouterr().out == "warned\nresult\n"


def test_lines_are_the_default_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert default_view() == "plain"
    with open_view(None) as view:
        view.print_line("line")
        view.show(OPENED)
    assert capsys.readouterr().out == "line\n"


def test_work_is_shown_only_to_those_who_watch() -> None:
    shown: list[events.Event] = []
    work_done("features", 0.1)
    with watching(shown.append):
        work_done("features", 0.5)
    work_done("features", 0.9)
    assert shown == [events.PhaseProgress("features", 0.5)]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("87, 11730, 76294\n", "GPU here: 87 % busy, 12.3 of 80.0 GB"),
        ("10, 0, 1000\n20, 0, 1000", "GPUs here: 10 % busy, 0.0 of 1.0 GB; 20 % busy, 0.0 of 1.0 GB"),
        ("10, 0, 1000\n" * 8, "8 GPUs here: 10 % busy on average, 0.0 of 8.4 GB"),
        ("[N/A], 5, 6\n", ""),
        ("", ""),
    ],
)
def test_use_of_gpus_as_text(answer: str, text: str) -> None:
    assert format_gpu_use(answer) == text


def test_no_gpu_tool_is_no_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_use() == ""


SCRIPT = """
import logging, os, sys, time, warnings
from hearai.cli import run_script
from hearai.cli.progress import events
from hearai.reporting.live.views import open_view

def main():
    with open_view(None) as view:
        view.show(events.StudyOpened("mine", sys.argv[1], "macro-F1", 4, phases=events.PHASES[:7]))
        view.show(events.PhaseStarted(events.SEARCH))
        warnings.warn("a library warns")
        os.write(2, b"C code warns\\n")
        print("a library prints")
        logging.getLogger("other").warning("a library logs")
        logging.getLogger("hearai.x").info("hearai logs")
        time.sleep(1.2)
        view.print_result("the result")
    return 0

run_script(main)
"""


@pytest.mark.heavy
@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_shows_the_panel_and_no_noise(columns: int, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment)
    os.close(slave)
    text = _read_all(master)
    assert process.wait(60) == 0, text
    assert "mine" in text and "hearai logs" in text and "0 of 4 trials" in text
    assert text.rstrip().splitlines()[-1].startswith("warnings of libraries:") or "the result" in text
    noise = (tmp_path / "warnings.log").read_text()
    for line in ("a library warns", "C code warns", "a library prints", "a library logs"):
        assert line in noise and line not in text


def _read_all(master: int) -> str:
    data = b""
    while select.select([master], [], [], 60)[0]:
        try:
            block = os.read(master, 65_536)
        except OSError:  # Linux: the other end is closed
            break
        if not block:
            break
        data += block
    os.close(master)
    return data.decode(errors="replace")
