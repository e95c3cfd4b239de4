"""Measures parts: `python experiments/benchmark.py models|search|scale|record`, each with --help.

models: transformers and extractors side by side on the demo data. search: our engine against random search, Ray's stock
pair and Optuna alone, on recorded learning curves or (--real) on the demo task. scale: thousands of trials, dozens in
flight; with --nodes 8 how busy a search keeps a Ray cluster, simulated on this machine (5 minutes). record: makes the
table of learning curves anew (an hour).
"""

import argparse
import logging
import tempfile
import warnings
from pathlib import Path

from hearai.cli import DONE, duration, positive, run_script
from hearai.config.config import build_config
from hearai.config.overrides import override
from hearai.errors import ConfigError

COMMON = {
    "train_parameters": {"batch_size": 32, "lr": 1.0e-3, "num_segments": 4},
    "feature_extractor": {"model_path": "mobilenetv3_small_050", "pretrained": False, "representation_size": 128},
    "transformer": {"feedforward_size": 256, "num_attention_heads": 4, "num_encoder_layers": 2, "output_size": 128},
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parts = parser.add_subparsers(dest="what", required=True)
    models = parts.add_parser("models", help="transformers and extractors side by side")
    models.add_argument("--clips", type=positive, default=400, metavar="N", help="demo clips; default 400")
    models.add_argument("--epochs", type=positive, default=10, metavar="N", help="of each run; default 10")
    models.add_argument("--epochs-frames", type=positive, default=7, metavar="N", help="of pre-training; default 7")
    models.add_argument("--pixels", type=positive, default=64, metavar="N", help="side of a picture; default 64")
    models.add_argument("--only", choices=("transformers", "extractors"), help="one of the two tables")
    models.add_argument("--gpu", type=int, default=0, metavar="N", help="-1 = CPU")
    search = parts.add_parser("search", help="our engine against others")
    search.add_argument("--real", action="store_true", help="train for real: minutes a search (default: surrogate)")
    search.add_argument("--seeds", type=positive, metavar="N", help="searches of each engine; default 10, --real 3")
    search.add_argument("--first-seed", type=int, default=0, metavar="N", help="default 0")
    search.add_argument("--epoch-budget", type=positive, metavar="N", help="of a search; default 480, --real 240")
    search.add_argument("--workers", type=positive, default=2, metavar="N", help="runs at a time; default 2")
    search.add_argument("--out", type=Path, default=Path("runs/benchmark"), metavar="DIR", help="plot and log")
    scale = parts.add_parser("scale", help="cost of a suggestion, memory, journal, time to continue; or many nodes")
    scale.add_argument("--trials", type=positive, metavar="N", help="default 2000, with --nodes 500")
    scale.add_argument("--in-flight", type=positive, metavar="N", help="default 50; not with --nodes")
    scale.add_argument("--nodes", type=positive, metavar="N", help="simulate a Ray cluster of N nodes on this machine")
    scale.add_argument("--cpus-per-node", type=positive, metavar="N", help="trials at a time on each node; default 4")
    scale.add_argument("--seconds", type=duration, metavar="TIME", help="that each trial sleeps; default 10")
    record = parts.add_parser("record", help="the table behind the surrogate")
    record.add_argument("--drawn", type=positive, default=170, metavar="N", help="random configs; default 170")
    record.add_argument("--near", type=positive, default=90, metavar="N", help="configs near the best; default 90")
    record.add_argument("--to", type=Path, required=True, metavar="FILE.csv")
    return parser.parse_args()


def compare_models(args: argparse.Namespace) -> None:
    from hearai.benchmarks.models import EXTRACTOR_CASES, TRANSFORMER_CASES, compare
    from hearai.config.study_schema import Pretrain  # heavy imports come when the options are known to be good
    from hearai.training.setup.prepare import with_data

    size = {f"augmentations_parameters.{name}": args.pixels for name in ("resize_size", "center_crop_size")}
    changes = {**size, "general_parameters.gpu": args.gpu, "train_parameters.epochs": args.epochs}
    base, data = with_data(override(build_config(COMMON), changes), args.clips)
    print(f"{len(data.split.train)} training clips, {args.pixels} pixels, {args.epochs} epochs", flush=True)
    with tempfile.TemporaryDirectory(prefix="hearai-") as folder:
        for what, cases in (("transformers", TRANSFORMER_CASES), ("extractors", EXTRACTOR_CASES)):
            if args.only in (None, what):
                print(f"\n{what:<32}{'parameters':>12}{'val':>8}{'epoch':>7}{'test':>8}{'seconds':>9}", flush=True)
                for row in compare(base, cases, Path(folder) / what, Pretrain(epochs=args.epochs_frames, lr=5.0e-3)):
                    figures = f"{row.val:>8.3f}{row.epoch:>7}{row.test:>8.3f}{row.seconds:>9.1f}"
                    print(f"{row.label:<32}{row.parameters:>12,}{figures}", flush=True)


def compare_engines(args: argparse.Namespace) -> None:
    from hearai.benchmarks.curves import recorded_study
    from hearai.benchmarks.engine_comparison import on_real_task, on_surrogate, plot
    from hearai.benchmarks.report import engine_table
    from hearai.benchmarks.surrogate import demo_surrogate, held_out_error

    seeds = range(args.first_seed, args.first_seed + (args.seeds or (3 if args.real else 10)))
    budget = args.epoch_budget or (240 if args.real else 480)
    args.out.mkdir(parents=True, exist_ok=True)
    limits = {"seeds": seeds, "epoch_budget": budget, "workers": args.workers}
    if args.real:
        from hearai.config.study import Request, load_study
        from hearai.search.plan import make_plan, prepare_inputs

        plan = make_plan(load_study(Request("hamnosys")), args.out / "study")
        prepare_inputs(plan, args.out / "study")
        traces = []
        for trace in on_real_task(plan.study, args.out / f"real-{budget}.jsonl", **limits):
            traces.append(trace)
            print(f"{trace.engine}, seed {trace.seed}: {trace.values[-1]:.4f}, again {trace.final:.4f}", flush=True)
    else:
        error, ranks = held_out_error()
        print(f"surrogate: error {error:.4f}, rank correlation {ranks:.2f} on runs that it has not seen")
        traces = list(on_surrogate(demo_surrogate(), recorded_study(), **limits))
    name = "real task" if args.real else "surrogate"
    print(engine_table(traces, budget, what=name))
    picture = args.out / f"{'real' if args.real else 'surrogate'}-{budget}.png"
    plot(traces, picture, f"{name}: {len(seeds)} searches an engine, {args.workers} workers")
    print(f"picture: {picture}")


def measure(args: argparse.Namespace) -> None:
    if args.nodes:
        return measure_cluster(args)
    alone = {"--cpus-per-node": args.cpus_per_node, "--seconds": args.seconds}
    if wrong := [f"{option}: given without --nodes; give that too" for option, value in alone.items() if value]:
        raise ConfigError(wrong)
    from hearai.benchmarks.curves import recorded_study
    from hearai.benchmarks.report import scale_table
    from hearai.benchmarks.scale import measure_scale
    from hearai.benchmarks.surrogate import demo_surrogate

    with tempfile.TemporaryDirectory(prefix="hearai-scale-") as folder:
        limits = {"trials": args.trials or 2000, "in_flight": args.in_flight or 50}
        print(scale_table(measure_scale(demo_surrogate(), recorded_study(), Path(folder), **limits)))


def measure_cluster(args: argparse.Namespace) -> None:
    if args.in_flight:
        raise ConfigError("--in-flight: given with --nodes, where each CPU runs one trial; give --cpus-per-node")
    from hearai.benchmarks.cluster_scale import measure_nodes
    from hearai.benchmarks.curves import recorded_study
    from hearai.benchmarks.report import nodes_table

    limits = {"cpus": args.cpus_per_node or 4, "trials": args.trials or 500, "seconds": args.seconds or 10.0}
    print(f"starting {args.nodes} nodes and a head on this machine", flush=True)
    with tempfile.TemporaryDirectory(prefix="hearai-scale-") as folder:
        found = measure_nodes(
            recorded_study(), Path(folder), nodes=args.nodes, print_line=lambda line: print(line, flush=True), **limits
        )
    print(f"\n{nodes_table(found)}")


def record(args: argparse.Namespace) -> None:
    from hearai.benchmarks.curves import record_curves
    from hearai.config.study import Request, load_study

    with tempfile.TemporaryDirectory(prefix="hearai-record-") as folder:
        curves = record_curves(load_study(Request("hamnosys")), Path(folder), args.to, args.drawn, args.near)
        for number, curve in enumerate(curves, start=1):
            print(f"{number}: {curve.best:.4f} in {curve.seconds:.1f} s", flush=True)


def main() -> int:
    args = parse_args()
    logging.getLogger("hearai").setLevel(logging.WARNING)  # the tables are what is to be read
    warnings.filterwarnings("ignore", module="optuna")
    {"models": compare_models, "search": compare_engines, "scale": measure, "record": record}[args.what](args)
    return DONE


if __name__ == "__main__":
    run_script(main)
