"""Ratios beside those of an earlier measurement."""

from pathlib import Path

import pytest

from hearai.benchmarks.speed.baseline import compare, read_baseline, write_baseline
from hearai.errors import ConfigError


def test_a_ratio_that_is_a_fifth_lower_is_a_warning() -> None:
    baseline = {"throughput": {"a": 10.0, "b": 10.0, "c": 10.0, "gone": 1.0}}
    lines = compare("throughput", {"a": 7.9, "b": 8.1, "c": 30.0, "new": 2.0}, baseline)
    assert lines == [
        "warning: slower: a: 7.90 x, baseline 10.00 x (-21%)",
        "b: 8.10 x, baseline 10.00 x (-19%)",
        "c: 30.00 x, baseline 10.00 x (+200%)",
        "new: 2.00 x; not in the baseline",
        "gone: in the baseline, but not measured",
    ]


def test_a_benchmark_replaces_its_own_ratios_only(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_baseline(path, "throughput", {"demo": 51.239})
    write_baseline(path, "search-cost", {"search phase": 40.0})
    write_baseline(path, "throughput", {"demo": 60.0})
    assert read_baseline(path) == {"throughput": {"demo": 60.0}, "search-cost": {"search phase": 40.0}}


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"a": {"b": 0}}', '{"a": {"b": NaN}}', '{"a": 1}', '{"a": {"b": "x"}}', '{"a": {"b": null}}', None],
)
def test_other_content_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"--baseline .*baseline\.json: .*--write-baseline"):
        read_baseline(path)
