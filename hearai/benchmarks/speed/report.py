"""What a benchmark of speed leaves: a text with the ratios first, and the same as JSON."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hearai.benchmarks.speed.costs import Cost
from hearai.benchmarks.speed.machine import describe_machine, machine_line
from hearai.files import atomic_write_text

NAME, NUMBER = 30, 11


@dataclass(frozen=True)
class Comparison:
    """The reference and ours, doing the same."""

    name: str
    reference: Cost
    ours: Cost

    @property
    def ratios(self) -> Cost:
        """How many times as much the reference costs, by each clock."""
        return Cost(self.reference.wall / self.ours.wall, self.reference.cpu / self.ours.cpu)


@dataclass(frozen=True)
class SpeedReport:
    """The result of one benchmark."""

    benchmark: str
    comparisons: Sequence[Comparison] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    """{what was measured: seconds}"""
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """{whole: {part: share}}"""
    notes: Sequence[str] = ()
    machine: Mapping[str, Any] = field(default_factory=describe_machine)

    def ratios(self) -> dict[str, float]:
        """{name: ratio of CPU time}, which `make bench` compares with a baseline."""
        return {comparison.name: comparison.ratios.cpu for comparison in self.comparisons}

    def text(self) -> str:
        """The tables, at most 80 columns wide but for the line about the machine."""
        lines = [machine_line(dict(self.machine))]
        if self.comparisons:
            lines += ["", f"{'reference : ours':<{NAME}}{'CPU time':>{NUMBER}}{'wall time':>{NUMBER}}"]
            lines += [
                _line(one.name, f"{one.ratios.cpu:.1f} x", f"{one.ratios.wall:.1f} x") for one in self.comparisons
            ]
            lines += ["", f"{'CPU seconds (wall)':<{NAME}}{'reference':>{2 * NUMBER}}{'ours':>{2 * NUMBER}}"]
            lines += [f"{one.name:<{NAME}}{_both(one.reference)}{_both(one.ours)}" for one in self.comparisons]
        if self.seconds:
            lines += ["", *(_line(name, f"{value:.3f} s") for name, value in self.seconds.items())]
        for whole, parts in self.shares.items():
            lines += ["", whole, *(_line(f"  {name}", f"{share:.1%}") for name, share in parts.items())]
        return "\n".join([*lines, "", *self.notes]).rstrip()

    def save(self, folder: Path) -> Path:
        """Writes BENCHMARK.json into the folder; its path."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {**asdict(self), "time": time.strftime("%FT%T"), "ratios_of_cpu_time": self.ratios()}
        content["ratios_of_wall_time"] = {one.name: one.ratios.wall for one in self.comparisons}
        atomic_write_text(folder / f"{self.benchmark}.json", json.dumps(content, indent=1) + "\n")
        return folder / f"{self.benchmark}.json"


def _line(name: str, *values: str) -> str:
    return f"{name:<{NAME}}" + "".join(f"{value:>{NUMBER}}" for value in values)


def _both(cost: Cost) -> str:
    return f"{f'{cost.cpu:.3f} ({cost.wall:.3f})':>{2 * NUMBER}}"
