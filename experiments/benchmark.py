"""Benchmarks; docs/benchmarks.md and docs/performance.md have results.

    python experiments/benchmark.py throughput
    python experiments/benchmark.py search --table lcbench
    python experiments/benchmark.py scale --nodes 8

Each has --help. scale --nodes takes 5 minutes, record an hour; gpu needs a GPU. Exit codes: 0 done; 2 invalid input.
"""

import argparse
import logging
import os
import tempfile
import warnings
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from hearai.benchmarks.speed.options import add_benchmark, add_speed_options, run_speed
from hearai.cli import (
    DONE,
    MAX_COUNT,
    ScriptParser,
    comma_separated,
    duration,
    gpu_index,
    integer,
    number,
    positive,
    processes,
    run_script,
)
from hearai.config.config import build_config
from hearai.config.overrides import override
from hearai.errors import ConfigError, pick
from hearai.files import require_writable_folder

FRAMES: dict[str, Any] = {
    "train_parameters": {"batch_size": 32, "lr": 1.0e-3, "num_segments": 4},
    "feature_extractor": {"model_path": "mobilenetv3_small_050", "pretrained": False, "representation_size": 128},
    "transformer": {"feedforward_size": 256, "num_attention_heads": 4, "num_encoder_layers": 2, "output_size": 128},
}
LANDMARKS: dict[str, Any] = {
    "train_parameters": {
        "classification_mode": "gloss",
        "frames": False,
        "landmarks": True,
        "batch_size": 32,
        "lr": 1.0e-3,
        "lr_schedule": "one_cycle",
        "num_segments": 8,
    },
    "feature_extractor": {"name": "points", "representation_size": 96},
    "transformer": {"feedforward_size": 192, "num_attention_heads": 4, "output_size": 96},
}


MODELS_HELP = """
Compares sequence encoders and extractors on the demo data, or those of landmarks.

    python experiments/benchmark.py models --only transformers
    python experiments/benchmark.py models --only landmarks --out runs/landmarks
"""
SEARCH_HELP = """
Compares hearai with random search, Ray, Optuna and a peer on tables of learning curves, or on the real demo task.

    python experiments/benchmark.py search --table lcbench --tasks held-out
    python experiments/benchmark.py search --real --seeds 1
"""
SCALE_HELP = """
Thousands of trials, dozens in flight; or the utilisation of a Ray cluster, simulated on this machine.

    python experiments/benchmark.py scale --trials 500
    python experiments/benchmark.py scale --nodes 8
"""
RECORD_HELP = """
Records the table of learning curves behind the surrogate of the demo task again (an hour).

    python experiments/benchmark.py record --to curves.csv
"""


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parts = parser.add_subparsers(dest="benchmark", required=True, title="benchmarks", metavar="NAME")
    models = add_benchmark(parts, "models", MODELS_HELP, help="compare sequence encoders and extractors")
    models.add_argument("--clips", type=positive, default=400, metavar="N", help="demo clips (default: 400)")
    models.add_argument("--epochs", type=positive, default=10, metavar="N", help="epochs of each run (default: 10)")
    models.add_argument(
        "--epochs-frames", type=positive, default=7, metavar="N", help="epochs of pre-training (default: 7)"
    )
    models.add_argument(
        "--pixels", type=positive, default=64, metavar="N", help="side of an image in pixels (default: 64)"
    )
    models.add_argument(
        "--only",
        choices=("transformers", "extractors", "landmarks"),
        help="one table: sequence encoders; extractors; or both for landmarks, with and without augmentation "
        "(default: the first two)",
    )
    models.add_argument("--cases", metavar="NAME", nargs="+", help="only these rows of a table (default: all)")
    models.add_argument("--seeds", type=positive, default=3, metavar="N", help="runs of each case (default: 3)")
    models.add_argument("--detected", action="store_true", help="demo landmarks with the errors of a detector")
    models.add_argument("--data-path", metavar="DIR", help="a dataset folder with gloss labels instead of demo data")
    models.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="keep results, so that the command continues after an interruption (default: none are kept)",
    )
    models.add_argument("--gpu", type=gpu_index, default=0, metavar="N", help="which GPU; -1 is the CPU (default: 0)")
    add_search_options(add_benchmark(parts, "search", SEARCH_HELP, help="compare search engines"))
    scale = add_benchmark(parts, "scale", SCALE_HELP, help="cost of a suggestion, memory, journal; or many nodes")
    scale.add_argument(
        "--trials", type=positive, metavar="N", help="number of trials (default: 2000, with --nodes 500)"
    )
    scale.add_argument(
        "--in-flight", type=positive, metavar="N", help="concurrent trials (default: 50); not with --nodes"
    )
    scale.add_argument("--nodes", type=positive, metavar="N", help="simulate a Ray cluster of N nodes on this machine")
    scale.add_argument("--cpus-per-node", type=positive, metavar="N", help="concurrent trials per node (default: 4)")
    scale.add_argument(
        "--seconds", type=duration, metavar="TIME", help="duration of each trial in seconds (default: 10)"
    )
    record = add_benchmark(parts, "record", RECORD_HELP, help="record the learning curves behind the surrogate")
    record.add_argument("--drawn", type=positive, default=170, metavar="N", help="random configs (default: 170)")
    record.add_argument("--near", type=positive, default=90, metavar="N", help="configs near the best (default: 90)")
    record.add_argument("--to", type=Path, required=True, metavar="FILE.csv", help="the table to write")
    add_speed_options(parts)
    return parser


def add_search_options(search: argparse.ArgumentParser) -> None:
    add = search.add_argument
    add("--table", type=comma_separated, metavar="NAME,...", help="demo, lcbench, taskset (default: demo)")
    add("--tasks", metavar="WHICH", help="development, held-out, all, or NAME,... (default: development)")
    add("--engines", metavar="NAME", nargs="+", help="only these engines (default: all that run here)")
    add("--real", action="store_true", help="real training, minutes per search, instead of a table")
    add("--seeds", type=positive, metavar="N", help="searches per engine and task (default: 10, with --real 3)")
    seed_help = "seed of the first search (default: 0)"
    add("--first-seed", type=integer(0, MAX_COUNT), default=0, metavar="N", help=seed_help)
    budget_help = "complete trainings per search (default: 25, with --real 12)"
    add("--budget", type=integer(1, 10_000), metavar="N", help=budget_help)
    add("--workers", type=processes, metavar="N", help="concurrent runs (default: 8, with --real 2)")
    noise_help = "lcbench, taskset: deviation between seeds; 1 = from the best to a median config (default: 0)"
    add("--noise", type=number(0, 10), metavar="S", help=noise_help)
    add("--processes", type=processes, metavar="N", help="searches at the same time (default: number of cores)")
    add("--peer-python", type=Path, metavar="PATH", help="a Python that has SMAC3 (default: that engine is skipped)")
    out_help = "folder of the figure and the log (default: runs/benchmark)"
    add("--out", type=Path, default=Path("runs/benchmark"), metavar="DIR", help=out_help)


def run_models(args: argparse.Namespace) -> None:
    from hearai.benchmarks.model_comparison import ENCODER_CASES, EXTRACTOR_CASES, LANDMARK_CASES

    if args.out:
        require_writable_folder(args.out, "--out")
    tables = {
        "transformers": (FRAMES, ENCODER_CASES),
        "extractors": (FRAMES, EXTRACTOR_CASES),
        "landmarks": (LANDMARKS, LANDMARK_CASES),
    }
    with tempfile.TemporaryDirectory(prefix="hearai-") as temporary:
        for name in [args.only] if args.only else ["transformers", "extractors"]:
            base, cases = tables[name]
            if args.cases:
                cases = {case: pick(cases, case, f"case of {name}") for case in args.cases}
            print_comparison(args, name, base, cases, (args.out or Path(temporary)) / name)


def print_comparison(
    args: argparse.Namespace, name: str, base: dict[str, Any], cases: dict[str, dict[str, Any]], folder: Path
) -> None:
    from hearai.benchmarks.model_comparison import compare_models
    from hearai.config.study_schema import Pretrain  # heavy imports come after the options have been checked
    from hearai.training.setup.prepare import with_data

    changes: dict[str, Any] = {"general_parameters.gpu": args.gpu, "train_parameters.epochs": args.epochs}
    changes |= {f"augmentations_parameters.{side}": args.pixels for side in ("resize_size", "center_crop_size")}
    if args.data_path:
        changes |= {
            "general_parameters.data_path": [args.data_path],
            "train_parameters.classification_mode": "gloss",
        }
    landmarks = "detected" if args.detected else "exact"
    config, data = with_data(override(build_config(base), changes), args.clips, landmarks)
    pretrain = None if name == "landmarks" else Pretrain(epochs=args.epochs_frames, lr=5.0e-3)
    print(f"{len(data.split.train)} training clips, {args.epochs} epochs, {args.seeds} seeds: mean and deviation")
    print(f"{name:<38}{'parameters':>12}{'val':>8}{'':>6}{'test':>8}{'':>6}{'CPU s':>8}", flush=True)
    for rows in compare_models(config, cases, folder, range(args.seeds), pretrain):
        scores = ([row.val for row in rows], [row.test for row in rows])
        figures = "".join(f"{mean(of_seeds):>8.3f}{pstdev(of_seeds):>6.3f}" for of_seeds in scores)
        cost = mean(row.cpu_seconds for row in rows)
        print(f"{rows[0].label:<38}{rows[0].parameters:>12,}{figures}{cost:>8.0f}", flush=True)


def run_search(args: argparse.Namespace) -> None:
    require_writable_folder(args.out, "--out")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.real:
        return run_real_search(args)
    from hearai.benchmarks.tables.benchmark import Options, compare_on_tables

    options = Options(
        tables=tuple(args.table or ["demo"]),
        tasks=args.tasks or "development",
        engines=args.engines,
        seeds=range(args.first_seed, args.first_seed + (args.seeds or 10)),
        workers=args.workers or 8,
        budget=args.budget or 25,
        noise=args.noise or 0.0,
        processes=args.processes or os.cpu_count() or 1,
        peer_python=args.peer_python,
        out=args.out,
    )
    compare_on_tables(options, lambda line: print(line, flush=True))


def run_real_search(args: argparse.Namespace) -> None:
    names = ("table", "tasks", "engines", "noise", "processes", "peer_python")
    if problems := [f"--{n.replace('_', '-')}: not allowed with --real" for n in names if getattr(args, n) is not None]:
        raise ConfigError(problems)
    from hearai.benchmarks.engine_comparison import on_real_task, plot
    from hearai.benchmarks.result_tables import engine_table
    from hearai.config.study import Request, load_study
    from hearai.search.plan import make_plan, prepare_inputs

    plan = make_plan(load_study(Request("hamnosys")), args.out / "study")
    prepare_inputs(plan, args.out / "study")
    seeds, budget = range(args.first_seed, args.first_seed + (args.seeds or 3)), args.budget or 12
    epochs, workers = budget * plan.study.max_epochs, args.workers or 2
    traces = []
    log = args.out / f"real-{epochs}.jsonl"
    for trace in on_real_task(plan.study, log, seeds=seeds, epoch_budget=epochs, workers=workers):
        traces.append(trace)
        print(f"{trace.engine}, seed {trace.seed}: {trace.values[-1]:.4f}, retrained {trace.final:.4f}", flush=True)
    print(engine_table(traces, epochs, task="real training"))
    figure = args.out / f"real-{epochs}.png"
    plot(traces, figure, f"real training: {len(seeds)} searches per engine, {workers} workers")
    print(f"figure: {figure}")


def run_scale(args: argparse.Namespace) -> None:
    if args.nodes:
        return run_cluster_scale(args)
    options = {"--cpus-per-node": args.cpus_per_node, "--seconds": args.seconds}
    if problems := [f"{option}: requires --nodes" for option, value in options.items() if value]:
        raise ConfigError(problems)
    from hearai.benchmarks.curves import recorded_study
    from hearai.benchmarks.result_tables import search_scale_table
    from hearai.benchmarks.scale.search_scale import measure_search_scale
    from hearai.benchmarks.surrogate import demo_surrogate

    with tempfile.TemporaryDirectory(prefix="hearai-scale-") as folder:
        limits = {"trials": args.trials or 2000, "in_flight": args.in_flight or 50}
        print(search_scale_table(measure_search_scale(demo_surrogate(), recorded_study(), Path(folder), **limits)))


def run_cluster_scale(args: argparse.Namespace) -> None:
    if args.in_flight:
        raise ConfigError("--in-flight: not allowed with --nodes, where each CPU runs one trial; use --cpus-per-node")
    from hearai.benchmarks.curves import recorded_study
    from hearai.benchmarks.result_tables import cluster_scale_table
    from hearai.benchmarks.scale.cluster_scale import measure_cluster_scale

    limits = {"cpus": args.cpus_per_node or 4, "trials": args.trials or 500, "seconds": args.seconds or 10.0}
    print(f"starting {args.nodes} nodes and a head on this machine", flush=True)
    with tempfile.TemporaryDirectory(prefix="hearai-scale-") as folder:
        result = measure_cluster_scale(
            recorded_study(), Path(folder), nodes=args.nodes, print_line=lambda line: print(line, flush=True), **limits
        )
    print(f"\n{cluster_scale_table(result)}")


def run_record(args: argparse.Namespace) -> None:
    from hearai.benchmarks.curves import record_curves
    from hearai.config.study import Request, load_study

    with tempfile.TemporaryDirectory(prefix="hearai-record-") as folder:
        curves = record_curves(load_study(Request("hamnosys")), Path(folder), args.to, args.drawn, args.near)
        for number, curve in enumerate(curves, start=1):
            print(f"{number}: {curve.best:.4f} in {curve.seconds:.1f} s", flush=True)


def main() -> int:
    args = make_parser().parse_args()
    logging.getLogger("hearai").setLevel(logging.WARNING)  # the tables are the output
    warnings.filterwarnings("ignore", module="optuna")
    others = {"models": run_models, "search": run_search, "scale": run_scale, "record": run_record}
    if run := others.get(args.benchmark):
        run(args)
    else:
        run_speed(args, lambda line: print(line, flush=True))
    return DONE


if __name__ == "__main__":
    run_script(main)
