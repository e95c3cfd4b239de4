"""Trains one model in this process, as a debugger needs it.

    python experiments/train.py --config runs/hamnosys/best.yaml
    python experiments/train.py --config my.yml --set train_parameters.epochs=2

Without --config it uses the defaults; without a dataset, demo data. The run is in path_to_save. Exit codes: 0 done; 2
invalid input; 3 the run diverged; 130 interrupted (the command to resume is printed).
"""

import argparse
import logging
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hearai.cli import (
    DIVERGED,
    DONE,
    INTERRUPTED,
    ScriptParser,
    add_code_option,
    assignment,
    integer,
    print_problems,
    run_script,
    storage_location,
)
from hearai.config.config import Config, build_config, load_config
from hearai.config.limits import MAX_PROCESSES, MAX_THREADS
from hearai.config.model_parts.code_folder import use_code
from hearai.config.overrides import override
from hearai.errors import UserError
from hearai.files import require_writable_file, require_writable_folder
from hearai.metrics import objective_label
from hearai.training.outputs.layout import BEST, LAST, holds_checkpoint, run_folder

if TYPE_CHECKING:
    from hearai.training.fit import FitResult


RARE = ("--model_config_path", "--from", "--code", "--ray", "--workers", "--neptune")
"""Options that `--help` names and `--help-all` explains."""


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__, rare=RARE)
    group = parser.add_argument_group("config")
    add = group.add_argument
    config_help = "config file, as a diff over the defaults"
    add("--config", metavar="FILE.yml", help=config_help)
    add("--model_config_path", dest="config", metavar="FILE.yml", help="older name of --config")
    add("--data-path", action="append", metavar="DIR", help="dataset folder; repeatable")
    set_help = "a value of the config, see docs/options.md"
    add("--set", action="append", default=[], type=assignment, metavar="a.b=v", dest="changes", help=set_help)
    from_help = "start with extractor and encoder of a run, a study's winner or a checkpoint, and new heads"
    add("--from", dest="start", metavar="RUN", type=storage_location, help=from_help)
    add_code_option(group)
    add = parser.add_argument_group("run").add_argument
    add("--resume", action="store_true", help="resume the run in path_to_save, with its config and data")
    threads = "torch's threads; as many as a trial had repeat its numbers"
    add("--threads", type=integer(1, MAX_THREADS), metavar="N", help=threads)
    add("--ray", action="store_true", help="through Ray Train's local mode (this process)")
    workers_help = "through a Ray Train group of K processes"
    add("--workers", type=integer(1, MAX_PROCESSES), metavar="K", help=workers_help)
    add("--neptune", action="store_true", help="log to Neptune as well")
    return parser


def config_of(args: argparse.Namespace) -> Config:
    config = load_config(args.config) if args.config else build_config({})
    changes = dict(args.changes)
    if args.data_path:
        changes["general_parameters.data_path"] = args.data_path
    if args.neptune:
        changes["general_parameters.neptune"] = True
    config = override(config, changes, "--set")
    if args.start is None:
        return config
    from hearai.search.storage.study_sync import local_run
    from hearai.training.setup.from_run import find_run, stated_in, values_from  # imports torch

    stated = {**stated_in(args.config), **changes}
    return override(config, values_from(find_run(local_run(args.start)), stated), "--from")


def train(args: argparse.Namespace, config: Config, folder: Path) -> "FitResult":
    from hearai.training.setup.single_run import read_result, run_single

    if args.ray or args.workers:
        from hearai.search.cluster.ray_train import train_with_ray

        train_with_ray(config, folder, args.workers or 0, args.threads)
        return read_result(folder)
    return run_single(config, folder, resume=args.resume)


def report(result: "FitResult", config: Config, folder: Path) -> int:
    from hearai.training.setup.single_run import weights_file

    chosen = config.train_parameters
    label = objective_label(chosen.objective_heads, len(config.active_heads), chosen.objective_metric)
    if result.best_epoch:
        print(f"validation {label} {result.best:.4f} in epoch {result.best_epoch} of {result.epochs}")
    if path := weights_file(config, folder):
        print(f"weights: {path}")
    print(f"run folder: {Path(folder)}")
    if figure := draw_curve(folder, label, chosen.objective_metric):
        print(f"learning curve: {figure}")
    if not result.diverged:
        return DONE
    kept = f"the model of epoch {result.best_epoch} is kept" if result.best_epoch else "there is no model to keep"
    print_problems([f"{result.divergence}; {result.remedy}; {kept}"])
    return DIVERGED


def draw_curve(folder: Path, label: str, score: str) -> Path | None:
    """The figure of the run's epochs; None, with a warning, where it cannot be drawn: the run itself is complete."""
    from hearai.reporting.run_curve import write_learning_curve  # imports matplotlib, after the training

    try:
        return write_learning_curve(folder, label, score)
    except UserError as error:
        logging.getLogger("hearai").warning("the learning curve cannot be drawn: %s", "; ".join(error.problems))
        return None


def how_to_continue(config: Config, folder: Path) -> str:
    """After an interruption: this command, for the run in `folder`."""
    if config.train_parameters.pre_training:
        return "interrupted; the same command resumes pre-training after its last complete epoch"
    if not holds_checkpoint(folder / LAST):
        return "interrupted before an epoch was saved; the same command starts again"
    options = [option for option in sys.argv[1:] if option != "--resume"]
    if config.general_parameters.path_to_save is None:
        options.append(f"--set=general_parameters.path_to_save={folder}")
    command = shlex.join([sys.argv[0], *options, "--resume"])
    return f"interrupted; to resume after the last saved epoch:\n  python {command}"


def run(args: argparse.Namespace, config: Config, folder: Path) -> int:
    from hearai.training.inference.measure_reliability import add_reliability  # heavy: only after the config is checked
    from hearai.training.optim.torch_options import use_threads
    from hearai.training.runtime import choose_device
    from hearai.training.setup.single_run import prepare_run, pretrain_only

    use_threads(args.threads)
    config, data = prepare_run(config, folder, resume=args.resume)
    if config.train_parameters.pre_training:
        print(f"pre-trained backbone: {pretrain_only(config, data, folder)}")
        return DONE
    result = train(args, config, folder)
    add_reliability(folder / BEST, choose_device(config.general_parameters.gpu))
    return report(result, config, folder)


def main() -> int:
    args = make_parser().parse_args()
    use_code(args.code)
    config = config_of(args)
    folder = run_folder(config, time.strftime("%Y%m%d-%H%M%S"))
    require_writable_folder(folder, "path_to_save")
    if (weights := config.general_parameters.path_to_save) and weights.endswith(".pth"):
        require_writable_file(Path(weights), "path_to_save")
    try:
        return run(args, config, folder)
    except KeyboardInterrupt:
        sys.stdout.flush()
        sys.stderr.write(f"{how_to_continue(config, folder)}\n")
        return INTERRUPTED


if __name__ == "__main__":
    run_script(main)
