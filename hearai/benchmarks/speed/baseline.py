"""Ratios of earlier measurements, in the repository: `make bench` warns where the present ones are lower."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from hearai.errors import ConfigError
from hearai.files import atomic_write_text

TOLERANCE = 0.2
"""Share by which a ratio may be lower than in the baseline without a warning: benchmarks on shared machines vary."""
Baseline = dict[str, dict[str, float]]
"""{benchmark: {name of a ratio: reference's CPU time / ours}}"""


def read_baseline(path: Path, option: str = "--baseline") -> Baseline:
    """The ratios in a file that `write_baseline` has written. option: which one names the file, for the message.

    Raises:
        ConfigError: no file, or other content.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        baseline = {name: {key: float(value) for key, value in ratios.items()} for name, ratios in content.items()}
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be read ({error.strerror}); write it by --write-baseline") from None
    except (ValueError, TypeError, AttributeError):
        baseline = {"": {"": 0.0}}
    if not all(0 < ratio < math.inf for ratios in baseline.values() for ratio in ratios.values()):
        raise ConfigError(
            f"{option} {path}: not a baseline ({{benchmark: {{name: ratio above 0}}}} as JSON); delete it, write it "
            "by --write-baseline"
        )
    return baseline


def write_baseline(path: Path, benchmark: str, ratios: Mapping[str, float]) -> None:
    """Replaces the ratios of one benchmark in the file; those of others stay.

    Raises:
        ConfigError: the file has other content.
    """
    baseline = read_baseline(path, "--write-baseline") if path.exists() else {}
    baseline[benchmark] = {name: round(ratio, 2) for name, ratio in ratios.items()}
    atomic_write_text(path, json.dumps(baseline, indent=1) + "\n")


def compare(benchmark: str, ratios: Mapping[str, float], baseline: Baseline) -> list[str]:
    """A line for each ratio: as before, or a warning where it is lower by more than the tolerance."""
    known = baseline.get(benchmark, {})
    lines = []
    for name, ratio in ratios.items():
        if name not in known:
            lines.append(f"{name}: {ratio:.2f} x; not in the baseline")
            continue
        change = ratio / known[name] - 1
        verdict = f"{name}: {ratio:.2f} x, baseline {known[name]:.2f} x ({change:+.0%})"
        lines.append(f"warning: slower: {verdict}" if change < -TOLERANCE else verdict)
    return lines + [f"{name}: in the baseline, but not measured" for name in known if name not in ratios]
