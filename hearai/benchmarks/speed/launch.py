"""Where the launch of a trial goes, the time from the command to the first trial, and the cost of a suggestion."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hearai.benchmarks.curves import recorded_study
from hearai.benchmarks.scale.search_scale import measure_search_scale
from hearai.benchmarks.speed.measured_trials import EPOCHS, TrialRecord
from hearai.benchmarks.surrogate import demo_surrogate
from hearai.errors import UserError

ROOT = Path(__file__).parents[3]
FIRST_TRIAL_TIMEOUT_S = 600.0
POLL_S = 0.05


@dataclass(frozen=True)
class Launch:
    """The cost of a trial beyond its epochs, in a process that has run another one before; medians over trials."""

    trials: int
    parts: Mapping[str, float]
    """{part of the trial's process: seconds}, without the epochs."""
    between: float
    """Seconds from the end of a trial to the start of the next one in the same process."""
    cpu: float
    """CPU seconds of the trial's process, epochs included."""
    cpu_parts: Mapping[str, float]
    """{part: CPU seconds of the thread that runs the trial}, without the epochs: other work on the machine hardly
    changes them."""

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(self.parts.values()) + self.between


def launch_of(records: Sequence[TrialRecord]) -> Launch:
    """The launch of the trials that were not the first in their process.

    Raises:
        UserError: there is none.
    """
    gaps, later = [], []
    last: dict[int, TrialRecord] = {}
    for record in sorted(records, key=lambda record: record.start):
        if before := last.get(record.pid):
            gaps.append(record.start - before.end)
            later.append(record)
        last[record.pid] = record
    if not later:
        raise UserError("--trials: no process ran two trials; run more of them")
    cpu = statistics.median(record.cpu for record in later)
    parts, cpu_parts = _medians([one.parts for one in later]), _medians([one.cpu_parts for one in later])
    return Launch(len(later), parts, statistics.median(gaps), cpu, cpu_parts)


def _medians(parts_of_trials: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """{part: median seconds}, the largest first, without the epochs."""
    names = {part for parts in parts_of_trials for part in parts} - {EPOCHS}
    medians = {name: statistics.median(parts.get(name, 0.0) for parts in parts_of_trials) for name in sorted(names)}
    return dict(sorted(medians.items(), key=lambda item: -item[1]))


def seconds_to_first_trial() -> float:
    """Wall time from the command `tune.py --space smoke` to the first line of its first trial's log.

    Raises:
        UserError: the command failed, or took more than ten minutes.
    """
    with tempfile.TemporaryDirectory(prefix="hearai-launch-") as storage:
        command = [sys.executable, str(ROOT / "experiments/tune.py"), "--space", "smoke", "--storage", storage]
        started = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            while process.poll() is None and time.monotonic() - started < FIRST_TRIAL_TIMEOUT_S:
                if any(Path(storage).glob("*/trials/*/train.log")):
                    seconds = time.monotonic() - started
                    process.communicate()
                    return seconds
                time.sleep(POLL_S)
            process.terminate()
            output = process.communicate()[0]
    last = (output.strip().splitlines() or ["it printed nothing"])[-1]
    raise UserError(f"tune.py --space smoke: no trial started; its last line: {last}")


def suggestion_costs(samplers: Sequence[str], trials: int) -> dict[str, float]:
    """{sampler: median seconds of a suggestion when the journal holds so many trials}, on the recorded curves."""
    costs = {}
    for name in samplers:
        study = recorded_study()
        sampler = study.settings.sampler.model_copy(update={"name": name})
        study = replace(study, settings=study.settings.model_copy(update={"sampler": sampler}))
        with tempfile.TemporaryDirectory(prefix="hearai-launch-") as folder:
            result = measure_search_scale(demo_surrogate(), study, Path(folder), trials=trials, in_flight=8)
        costs[name] = result.costs[-1].median_ms / 1e3
    return costs
