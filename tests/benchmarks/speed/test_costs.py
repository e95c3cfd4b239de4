"""Costs, their report, and the sampler of stacks, on values that are easy to check."""

import json
import sys
import time
from pathlib import Path
from types import FrameType

import pytest

from hearai.benchmarks.speed.costs import Cost, measured, median
from hearai.benchmarks.speed.report import Comparison, SpeedReport
from hearai.benchmarks.speed.stack_sampler import OTHER, TRAINING_RULES, arithmetic_share, label_of, sampled

HERE = Path(__file__).name


def test_costs_add_scale_and_have_medians() -> None:
    assert Cost(3, 2) * 2 - Cost(1, 1) + Cost(1, 0) == Cost(6, 3)
    assert median([Cost(1, 9), Cost(5, 2), Cost(3, 4)]) == Cost(3, 4)


def test_the_cpu_time_of_a_block_is_measured() -> None:
    with measured() as watch:
        sum(range(300_000))
    assert 0 < watch.cost.cpu and 0 < watch.cost.wall


def inner() -> FrameType:
    return sys._getframe()


def outer() -> FrameType:
    return inner()


@pytest.mark.parametrize(
    ("rules", "label"),
    [
        ([("inner", HERE, "inner")], "inner"),
        ([("inner", HERE, "inner"), ("outer", HERE, "outer")], "outer"),
        ([("any", HERE, "")], "any"),
        ([("elsewhere", "no_such_file.py", "")], OTHER),
    ],
)
def test_the_outermost_named_frame_labels_a_stack(rules: list, label: str) -> None:
    assert label_of(outer(), rules) == label


def test_samples_of_a_thread_are_counted() -> None:
    def work() -> int:
        count = 0
        while not profile.cpu["work"]:
            count += 1
        return count

    before = time.thread_time()
    with sampled([("work", HERE, "work")]) as profile:
        work()
    assert profile.shares()["work"] > 0
    assert sum(profile.cpu.values()) <= time.thread_time() - before


def test_shares_of_arithmetic_are_summed() -> None:
    assert arithmetic_share({"forward": 0.5, "backward": 0.3, "batches": 0.2}) == 0.8


def test_rules_name_existing_files() -> None:
    root, site = Path(__file__).parents[3], [Path(path) for path in sys.path]
    for _, file, _ in TRAINING_RULES:
        assert any((base / file).exists() for base in (root / "hearai", root, *site)), file


def test_a_report_has_ratios_first_and_the_same_as_json(tmp_path: Path) -> None:
    machine = {"processor": "P", "cores": 2, "gpu": None, "threads": 1, "torch": "2", "load": 0.5}
    report = SpeedReport(
        "throughput",
        [Comparison("demo", Cost(30, 20), Cost(2, 1))],
        seconds={"a step": 0.1234},
        shares={"an epoch": {"forward": 0.5}},
        notes=["a note"],
        machine=machine,
    )
    text = report.text()
    assert text.index("20.0 x") < text.index("20.000 (30.000)") < text.index("0.123 s") < text.index("50.0%")
    assert all(len(line) <= 80 for line in text.splitlines()[1:])
    content = json.loads(report.save(tmp_path).read_text())
    assert content["ratios_of_cpu_time"] == {"demo": 20} and content["ratios_of_wall_time"] == {"demo": 15}
