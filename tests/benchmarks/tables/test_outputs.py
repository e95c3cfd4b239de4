"""What a comparison on tables prints and saves."""

import json
from pathlib import Path

import pytest

from hearai.benchmarks.engine_comparison import TABLE_ENGINES
from hearai.benchmarks.tables.comparison import summarise_regrets
from hearai.benchmarks.tables.outputs import plot_regrets, regret_table, save_json, task_table
from hearai.benchmarks.tables.searches import Result, Search


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """Every engine on two tasks with a budget of 25 trainings; later ones in the list are better."""
    return [
        Result(
            Search("taskset", task, engine, 0, 8, 25, 0.0), [(0.02, 1.0, 1.1), (5.0 - i / 2, 50.0, 0.9 - i / 10)], 250.0
        )
        for i, engine in enumerate(TABLE_ENGINES)
        for task in ("patch128_LSTM128_avg_bs64_with_a_long_name", "3945")
    ]


@pytest.mark.heavy
def test_tables_fit_into_80_columns_and_have_the_best_first(results: list[Result]) -> None:
    summaries = summarise_regrets(results, 25)
    lines = regret_table(summaries, title="taskset: 2 tasks, 1 seed, 8 workers").splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[3].startswith(TABLE_ENGINES[-1]) and lines[3].split()[1:6] == ["0.300"] * 5
    tasks = task_table(summaries).splitlines()
    assert len(tasks) == 4 and tasks[2].split() == ["3945", *(f"{0.3 + i / 10:.3f}" for i in range(len(TABLE_ENGINES)))]
    assert all(len(line) <= 100 for line in tasks[:-1])


@pytest.mark.heavy
def test_json_and_figure_hold_every_engine(results: list[Result], tmp_path: Path) -> None:
    summaries = summarise_regrets(results, 25)
    save_json(tmp_path / "c.json", summaries, results, {"budget": 25})
    content = json.loads((tmp_path / "c.json").read_text())
    assert {entry["engine"] for entry in content["engines"]} == set(TABLE_ENGINES) == set(content["curves"])
    assert content["curves"][TABLE_ENGINES[0]]["3945"][-1] == 0.9
    plot_regrets(tmp_path / "c.png", summaries, results, "title")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
