"""Searches on tables: their log, and what an interrupted run continues."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hearai.benchmarks.engine_comparison import FREEZE_THAW, RANDOM, TABLE_ENGINES, unavailable
from hearai.benchmarks.tables.searches import Result, Search, read_results, run_search, run_searches, with_choices
from hearai.benchmarks.tables.tasks import task_names
from hearai.errors import UserError

DONE = Result(Search("lcbench", "3945", RANDOM, 0, 8, 25, 0.0), [(0.02, 1.5, 0.9), (3.0, 80.0, 0.4)], 700.0)


def line_of(result: Result) -> str:
    return json.dumps(asdict(result)) + "\n"


def test_finished_searches_are_not_repeated(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(line_of(DONE))
    assert list(run_searches([DONE.search], log, processes=1)) == [DONE] == read_results(log)
    assert read_results(tmp_path / "none.jsonl") == []


def test_torn_last_line_is_removed(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(line_of(DONE) + line_of(DONE)[:40])
    assert read_results(log) == [DONE] and log.read_text() == line_of(DONE)


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense", '{"search": {"table": 1}, "steps": [], "seconds": 0}'])
def test_other_lines_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "log.jsonl").write_text(line_of(DONE) + line + "\n")
    with pytest.raises(UserError, match=r"log\.jsonl: line 2 is not the result of a search; delete the file"):
        read_results(tmp_path / "log.jsonl")


@pytest.fixture
def curves_folder(real_data: Path) -> Path:
    if not (real_data / "hpo_curves").is_dir():
        pytest.skip(f"{real_data} has no hpo_curves")
    return real_data / "hpo_curves"


@pytest.mark.heavy
def test_a_search_is_reproducible_within_its_budget(curves_folder: Path) -> None:
    search = Search("lcbench", task_names("lcbench")[1], RANDOM, 0, 8, 3, 0.0)
    result = run_search(search)
    assert result == run_search(search), "equal searches have equal results"
    spent = [step[0] for step in result.steps]
    assert spent == sorted(spent) and spent[-1] <= 3 and result.at(3) <= result.at(0.01)


@pytest.mark.heavy
def test_what_an_engine_itself_would_choose_is_kept(curves_folder: Path, tmp_path: Path) -> None:
    search = Search("taskset", "patch32_IRNN64_relu_avg_bs128", FREEZE_THAW, 0, 4, 4, 0.3)
    (result,) = run_searches([search], tmp_path / "log.jsonl", processes=1)
    assert read_results(tmp_path / "log.jsonl") == [result]
    assert result.choices and [spent for spent, *_ in result.choices] == [1, 2, 3, 4]
    assert all(-0.1 < regret < 20 for *_, regret in result.choices)
    assert with_choices([result])[1].at(4) == result.choices[-1][2]
    assert run_search(replace(search, engine=RANDOM)).choices is None, "the one with the best report"


@pytest.mark.heavy
@pytest.mark.parametrize("engine", TABLE_ENGINES)
def test_engine_searches_a_task_with_diverging_runs(curves_folder: Path, engine: str) -> None:
    peer = os.environ.get("HEARAI_PEER_PYTHON")
    python = Path(peer) if peer else None
    if reason := unavailable(engine, python):
        pytest.skip(reason)
    result = run_search(Search("taskset", "patch32_IRNN64_relu_avg_bs128", engine, 0, 4, 5, 0.0), python)
    assert 0 < result.at(5) <= result.at(0.5) < 20 and result.seconds > 0
