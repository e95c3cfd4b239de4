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
    text = "Measures an epoch of training, its validation and its checkpoint: a plain loop and ours, in turn."
    throughput = add_benchmark(parts, "throughput", text, help="an epoch of training: a plain loop and ours")
    add = throughput.add_argument
    cases_help = "demo, demo-unfrozen, b1, b1-unfrozen (default: demo,demo-unfrozen); b1 takes many minutes"
    add("--cases", type=comma_separated, default=["demo", "demo-unfrozen"], metavar="NAME,...", help=cases_help)
    add("--clips", type=integer(48, 100_000), metavar="N", help="demo clips (default: each case has its own number)")
    add("--steps", type=positive, default=3, metavar="N", help="measured steps of the reference (default: 3)")
    _add_common(throughput)
    text = "Measures where the launch of a trial goes, the time to the first trial, and the cost of a suggestion."
    launch = add_benchmark(parts, "launch", text, help="where the launch of a trial goes (minutes)")
    add = launch.add_argument
    add("--trials", type=integer(2, 10_000), default=12, metavar="N", help="measured trials (default: 12)")
    add("--epochs", type=positive, default=3, metavar="N", help="epochs of each (default: 3)")
    at_help = "trials in the journal when suggestions are measured; 0 = not measured (default: 2000)"
    add("--suggestions-at", type=integer(0, 100_000), default=2000, metavar="N", help=at_help)
    _add_common(launch, repeats=1)
    text = "Measures what a search costs in the way that Ray documents, and in ours."
    cost = add_benchmark(parts, "search-cost", text, help="a search as Ray documents it, and ours (minutes)")
    add = cost.add_argument
    add("--trials", type=positive, default=24, metavar="N", help="trials of the search (default: 24)")
    measured_help = "trials that are run on each side, one at a time (default: 4)"
    add("--measured", type=integer(2, 10_000), default=4, metavar="N", help=measured_help)
    steps_help = "measured steps of each epoch of the documented way (default: 2)"
    add("--steps", type=positive, default=2, metavar="N", help=steps_help)
    _add_common(cost, repeats=1)
    text = "Measures epochs and feature extraction on a GPU."
    gpu = add_benchmark(parts, "gpu", text, help="epochs and feature extraction on a GPU")
    gpu.add_argument("--batch", type=positive, default=256, metavar="N", help="images of a pass (default: 256)")
    gpu.add_argument(
        "--steps", type=positive, default=3, metavar="N", help="measured steps of the reference (default: 3)"
    )
    _add_common(gpu)


def add_benchmark(parts: Any, name: str, text: str, *, help: str) -> argparse.ArgumentParser:
    """Adds the command `benchmark.py NAME`; its help text gets an example where the text has none.

    Args:
        parts: the subparsers of an argument parser.
        text: as that of `hearai.cli.ScriptParser`.
        help: one line for the list of all benchmarks.
    """
    example = "" if "    python" in text else f"\n\n    python experiments/benchmark.py {name}"
    return parts.add_parser(name, text=text + example, help=help)


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
