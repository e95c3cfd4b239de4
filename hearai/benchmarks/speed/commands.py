"""The commands `benchmark.py throughput | launch | search-cost | gpu`: from options to a report."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hearai.benchmarks.speed.report import Comparison, SpeedReport
from hearai.benchmarks.speed.stack_sampler import arithmetic_share
from hearai.benchmarks.speed.throughput import CASES, Epochs, compare_epochs
from hearai.cli import Print
from hearai.errors import ConfigError, choices
from hearai.training.optim.torch_options import use_threads


def throughput(
    cases: Sequence[str], out: Path, print_line: Print, *, clips: int | None, repeats: int, steps: int, threads: int
) -> SpeedReport:
    """Epochs of the plain loop and of ours, case by case.

    Raises:
        ConfigError: an unknown case.
    """
    if unknown := [name for name in cases if name not in CASES]:
        raise ConfigError([f"--cases: unknown case {name!r}; {choices(name, CASES)}" for name in unknown])
    use_threads(threads)
    results = []
    for name in cases:
        print_line(f"{name}: {'frozen' if CASES[name].frozen else 'trained'} backbone, {repeats} repeats")
        results.append(compare_epochs(name, out / "cache", clips=clips, repeats=repeats, steps=steps))
    return throughput_report(results, steps)


def throughput_report(results: Sequence[Epochs], steps: int) -> SpeedReport:
    """The report of `throughput`."""
    shares = {}
    for one in results:
        arithmetic = {"forward, backward, optimizer": arithmetic_share(one.profile), **one.profile}
        shares[f"{one.case}: share of our epoch"] = arithmetic
        of_peak = {"reference": one.plain_share, **({} if one.our_share is None else {"ours": one.our_share})}
        shares[f"{one.case}: share of the matrix-product peak ({one.peak / 1e9:.0f} GFLOP/s)"] = of_peak
    return SpeedReport(
        "throughput",
        [Comparison(one.case, one.plain, one.ours) for one in results],
        shares=shares,
        notes=[
            f"an epoch with validation and checkpoint; of the reference {steps} steps each are measured, the rest by",
            "rule of three. Features and decoded frames are not counted: all trials share them.",
            "clips of an epoch: " + ", ".join(f"{one.case} {one.clips:,}" for one in results),
        ],
    )


def launch(
    out: Path, print_line: Print, *, trials: int, epochs: int, suggestions_at: int, repeats: int, threads: int
) -> SpeedReport:
    """Where the launch of a trial goes; from the command to the first trial; cost of a suggestion.

    Args:
        trials, epochs: of the search whose trials are measured, one at a time.
        suggestions_at: number of trials in the journal; 0 = suggestions are not measured.
        repeats: starts of the command.

    Raises:
        UserError: Ray does not start, or no trial does.
    """
    from hearai.benchmarks.speed.launch import launch_of, seconds_to_first_trial, suggestion_costs
    from hearai.benchmarks.speed.measured_trials import demo_study, local_ray, run_measured_trials
    from hearai.files import caches_in

    use_threads(threads)
    print_line(f"{trials} trials of {epochs} epochs, one after another")
    with tempfile.TemporaryDirectory(prefix="hearai-launch-") as folder:
        study = demo_study(trials=trials, epochs=epochs, cache=out / "cache")
        with caches_in(out / "cache"), local_ray(print_line):
            one = launch_of(run_measured_trials(study, Path(folder))[0])
    print_line("from the command to the first trial")
    first = statistics.median(seconds_to_first_trial() for _ in range(repeats))
    seconds = {"launch of a trial": one.seconds, "between two trials": one.between, **one.parts}
    seconds["command to first trial (smoke)"] = first
    seconds["launch of a trial, CPU"] = sum(one.cpu_parts.values())
    seconds |= {f"{part}, CPU": cpu for part, cpu in one.cpu_parts.items()}
    if suggestions_at:
        print_line(f"suggestions at {suggestions_at:,} trials")
        for name, cost in suggestion_costs(("tpe", "freeze_thaw"), suggestions_at).items():
            seconds[f"a suggestion, {name}"] = cost
    notes = [f"medians of {one.trials} trials that ran in a process that had run another one before"]
    return SpeedReport("launch", seconds=seconds, notes=notes)


def search_cost(
    out: Path, print_line: Print, *, trials: int, measured: int, steps: int, repeats: int, threads: int
) -> SpeedReport:
    """The documented way and ours on the same schedule: trials x overhead + trial-epochs x epoch.

    Args:
        trials: of the search whose cost is computed.
        measured: trials that are run on each side, one at a time.
        steps: the documented way takes so many steps of an epoch, and of its validation.
        repeats: of both sides, in turn.

    Raises:
        UserError: Ray does not start, or a trial fails.
    """
    from hearai.benchmarks.speed import documented_way
    from hearai.benchmarks.speed.measured_trials import demo_study, local_ray, run_measured_trials
    from hearai.benchmarks.speed.search_cost import Rates, cost_report, demo_schedule, measured_pretraining
    from hearai.files import caches_in

    use_threads(threads)
    schedule, study = demo_schedule(trials), demo_study(trials=measured, epochs=3, cache=out / "cache")
    sides: list[tuple[Rates, Rates]] = []
    with tempfile.TemporaryDirectory(prefix="hearai-search-cost-") as temporary:
        for repeat in range(repeats):
            folder = Path(temporary) / str(repeat)
            print_line(f"repeat {repeat + 1}: the documented way, {measured} trials")
            with local_ray(print_line):
                found = documented_way.search(study, folder / "plain", trials=measured, epochs=2, steps=steps)
            print_line(f"repeat {repeat + 1}: ours, {measured} trials")
            with caches_in(out / "cache"), local_ray(print_line):
                ours = Rates.of_ours(*run_measured_trials(study, folder / "ours"))
            sides.append((Rates.of_documented(found), ours))
        print_line("pre-training, which both sides need")
        shared = measured_pretraining(study.base, Path(temporary) / "cache")
    return cost_report(sides, schedule, shared, steps)


def gpu(out: Path, print_line: Print, *, batch: int, steps: int, repeats: int, threads: int) -> SpeedReport:
    """Epochs on a GPU, and feature extraction beside the card's measured bf16 peak.

    Raises:
        UserError: there is no GPU.
    """
    from hearai.benchmarks.speed.gpu import EXTRACTORS, bf16_peak, measure_extraction, require_gpu
    from hearai.benchmarks.speed.throughput import config_of

    device = require_gpu()
    use_threads(threads)
    results, peak = [], bf16_peak()
    for name in ("demo", "b1", "demo-unfrozen"):
        print_line(f"{name}: {repeats} repeats")
        results.append(compare_epochs(name, out / "cache", clips=None, repeats=repeats, steps=steps, device=device))
    shares, seconds = {}, {}
    for label in EXTRACTORS:
        found = measure_extraction(
            config_of(CASES["demo"], CASES["demo"].clips, device), label, batch=batch, peak=peak, device=device
        )
        shares[label], seconds[f"{label}, 1,000 images"] = found.share, 1000 / found.images_per_second
    return SpeedReport(
        "gpu",
        [Comparison(one.case, one.plain, one.ours) for one in results],
        seconds=seconds,
        shares={f"extraction: share of the bf16 peak ({peak / 1e12:.0f} TFLOP/s)": shares},
        notes=["compare the wall times: on a GPU, CPU time is only that of the process which launches the work"],
    )
