"""Trains one model in this process, as a debugger needs it: `python experiments/train.py --config best.yaml`

Without --config the defaults are used; without data_path, the demo data. The run folder is path_to_save.
"""

import argparse
import time
from pathlib import Path

from hearai.cli import DONE, assignment, processes, run_script
from hearai.config.config import Config, build_config, load_config
from hearai.config.overrides import override
from hearai.files import require_writable_folder
from hearai.metrics import objective_label


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--config", "--model_config_path", metavar="FILE.yml", help="config file, as a diff over the defaults"
    )
    parser.add_argument("--data-path", action="append", metavar="DIR", help="dataset folder; repeatable")
    parser.add_argument(
        "--set", action="append", default=[], type=assignment, metavar="a.b=v", dest="changes", help="a config value"
    )
    parser.add_argument("--neptune", action="store_true", help="log to Neptune as well")
    parser.add_argument("--resume", action="store_true", help="resume the run in path_to_save")
    threads = "torch's threads on the CPU; as many as a trial had reproduce its numbers"
    parser.add_argument("--threads", type=processes, metavar="N", help=threads)
    parser.add_argument("--ray", action="store_true", help="through Ray Train's local mode (this process)")
    parser.add_argument("--workers", type=processes, metavar="K", help="through a Ray Train group of K processes")
    return parser.parse_args()


def config_of(args: argparse.Namespace) -> Config:
    config = load_config(args.config) if args.config else build_config({})
    changes = dict(args.changes)
    if args.data_path:
        changes["general_parameters.data_path"] = args.data_path
    if args.neptune:
        changes["general_parameters.neptune"] = True
    return override(config, changes, "--set")


def main() -> int:
    args = parse_args()
    config = config_of(args)
    import torch  # heavy imports only after the config is checked

    from hearai.training.setup.prepare import with_data, with_weights
    from hearai.training.setup.single_run import pretrain_only, run_folder, run_single, weights_file

    require_writable_folder(run_folder(config, "new"), "path_to_save")
    if args.threads:
        torch.set_num_threads(args.threads)
    config, data = with_data(config)
    config = with_weights(config, pretraining_follows=config.train_parameters.pre_training)
    folder = run_folder(config, time.strftime("%Y%m%d-%H%M%S"))
    if config.train_parameters.pre_training:
        print(f"pre-trained backbone: {pretrain_only(config, data, folder)}")
        return DONE
    if args.ray or args.workers:
        from hearai.search.cluster.ray_train import train_with_ray

        train_with_ray(config, folder, args.workers or 0)
    else:
        result = run_single(config, folder, resume=args.resume)
        label = objective_label(config.train_parameters.objective_heads, len(config.active_heads))
        print(f"validation {label} {result.best:.4f} in epoch {result.best_epoch} of {result.epochs}")
    if path := weights_file(config, folder):
        print(f"weights: {path}")
    print(f"run folder: {Path(folder)}")
    return DONE


if __name__ == "__main__":
    run_script(main)
