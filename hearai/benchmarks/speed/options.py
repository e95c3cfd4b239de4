"""The options of `benchmark.py throughput | launch | search-cost | gpu`. Imports nothing heavy."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearai.cli import Print, comma_separated, integer, positive

if TYPE_CHECKING:
    from hearai.benchmarks.speed.report import SpeedReport

OUT = Path("runs/benchmark")
MAX_REPEATS = 1000
MAX_THREADS = 1024


def add_speed_options(parts: Any) -> None:
    """Adds the commands to the subparsers of an argument parser."""
    throughput = parts.add_parser("throughput", help="an epoch of training: a plain loop and ours")
    add = throughput.add_argument
    cases_help = "demo, demo-unfrozen, b1, b1-unfrozen (default: demo,demo-unfrozen); b1 takes many minutes"
    add("--cases", type=comma_separated, default=["demo", "demo-unfrozen"], metavar="NAME,...", help=cases_help)
    add("--clips", type=integer(48, 100_000), metavar="N", help="demo clips (default: each case has its own number)")
    add("--steps", type=positive, default=3, metavar="N", help="measured steps of the reference (default: 3)")
    _add_common(throughput)
    launch = parts.add_parser("launch", help="where the launch of a trial goes; cost of a suggestion (minutes)")
    add = launch.add_argument
    add("--trials", type=integer(2, 10_000), default=12, metavar="N", help="measured trials (default: 12)")
    add("--epochs", type=positive, default=3, metavar="N", help="epochs of each (default: 3)")
    at_help = "trials in the journal when suggestions are measured; 0 = not measured (default: 2000)"
    add("--suggestions-at", type=integer(0, 100_000), default=2000, metavar="N", help=at_help)
    _add_common(launch, repeats=1)
    cost = parts.add_parser("search-cost", help="a search in the way that Ray documents, and ours (minutes)")
    add = cost.add_argument
    add("--trials", type=positive, default=24, metavar="N", help="trials of the search (default: 24)")
    measured_help = "trials that are run on each side, one at a time (default: 4)"
    add("--measured", type=integer(2, 10_000), default=4, metavar="N", help=measured_help)
    steps_help = "measured steps of each epoch of the documented way (default: 2)"
    add("--steps", type=positive, default=2, metavar="N", help=steps_help)
    _add_common(cost, repeats=1)
    gpu = parts.add_parser("gpu", help="epochs and feature extraction on a GPU")
    gpu.add_argument("--batch", type=positive, default=256, metavar="N", help="images of a pass (default: 256)")
    gpu.add_argument(
        "--steps", type=positive, default=3, metavar="N", help="measured steps of the reference (default: 3)"
    )
    _add_common(gpu)


def _add_common(parser: argparse.ArgumentParser, *, repeats: int = 3) -> None:
    add = parser.add_argument
    repeats_help = f"measurements of each, in turn; medians count (default: {repeats})"
    add("--repeats", type=integer(1, MAX_REPEATS), default=repeats, metavar="N", help=repeats_help)
    threads_help = "torch's threads, as for a trial with so many CPUs (default: 1)"
    add("--threads", type=integer(1, MAX_THREADS), default=1, metavar="N", help=threads_help)
    add("--out", type=Path, default=OUT, metavar="DIR", help=f"folder of the JSON file (default: {OUT})")
    add("--baseline", type=Path, metavar="FILE", help="warn of ratios that are lower than in this file by a fifth")
    add("--write-baseline", type=Path, metavar="FILE", help="put the ratios into this file")


def run_speed(args: argparse.Namespace, print_line: Print) -> "SpeedReport":
    """Runs the benchmark that the command line asks for, and saves its report.

    Raises:
        ConfigError, DataError: unusable options or data.
    """
    from hearai.benchmarks.speed.baseline import compare, read_baseline, write_baseline
    from hearai.files import require_writable_folder

    require_writable_folder(args.out, "--out")
    baseline = read_baseline(args.baseline) if args.baseline else None
    if args.write_baseline:
        require_writable_folder(args.write_baseline.parent, "--write-baseline")
        if args.write_baseline.exists():
            read_baseline(args.write_baseline, "--write-baseline")
    from hearai.benchmarks.speed import commands  # heavy imports come after the options have been checked

    common = {"repeats": args.repeats, "threads": args.threads}
    runs = {
        "throughput": lambda: commands.throughput(
            args.cases, args.out, print_line, clips=args.clips, steps=args.steps, **common
        ),
        "launch": lambda: commands.launch(
            args.out,
            print_line,
            trials=args.trials,
            epochs=args.epochs,
            suggestions_at=args.suggestions_at,
            **common,
        ),
        "search-cost": lambda: commands.search_cost(
            args.out, print_line, trials=args.trials, measured=args.measured, steps=args.steps, **common
        ),
        "gpu": lambda: commands.gpu(args.out, print_line, batch=args.batch, steps=args.steps, **common),
    }
    report = runs[args.benchmark]()
    print_line(f"\n{report.text()}\n\n{report.save(args.out)}")
    if baseline is not None:
        print_line("\n".join(["", *compare(report.benchmark, report.ratios(), baseline)]))
    if args.write_baseline:
        write_baseline(args.write_baseline, report.benchmark, report.ratios())
    return report
