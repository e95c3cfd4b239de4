"""Searches for the best model: `python experiments/tune.py --space hamnosys`. The same command continues.

With no --data-path the search runs on built-in demo data. Exit codes: 0 done; 2 bad input; 3 finished, but no
trial succeeded; 130 interrupted (state saved, the command to continue is printed).
"""

import argparse
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hearai.cli import (
    DONE,
    INTERRUPTED,
    NO_TRIAL_SUCCEEDED,
    assignment,
    duration,
    is_uri,
    names,
    positive,
    run_script,
    storage,
    study_name,
)
from hearai.config.overrides import leaves
from hearai.config.study import Request, Study, load_study
from hearai.errors import ConfigError


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    what = parser.add_argument_group("what is searched")
    what.add_argument("--space", required=True, metavar="NAME|FILE", help="a file of search_spaces/, or your own")
    what.add_argument("--config", metavar="BASE.yml", help="base config: a diff over the defaults")
    what.add_argument("--data-path", action="append", default=[], metavar="DIR", help="dataset folder; repeatable")
    what.add_argument("--set", action="append", default=[], type=assignment, metavar="a.b=v", dest="changes")
    what.add_argument("--trials", type=positive, metavar="N", help="trials in all; raise it to extend a search")
    what.add_argument("--time-budget", type=duration, metavar="30m", help="wall time of the trials")
    what.add_argument("--epoch-budget", type=positive, metavar="N", help="epochs of all trials together, no finals")
    what.add_argument("--stop-when", type=float, metavar="0.95", help="score of a trial that is good enough")
    what.add_argument("--max-epochs", type=positive, metavar="N", help="epochs of a whole trial")
    what.add_argument("--finalists", type=int, metavar="K", help="best trials retrained with new seeds")
    what.add_argument("--finalist-seeds", type=positive, metavar="N", help="new seeds for each; default 3")
    what.add_argument("--splits", type=positive, metavar="N", help="divisions of the clips to score each trial on")
    what.add_argument("--retrain", action="store_true", help="in the end, the winner on train + validation: final/")
    what.add_argument("--sampler", metavar="NAME", help="tpe, gp, cmaes, qmc, random, nsga2, nsga3 or grid")
    what.add_argument("--early-stopping", metavar="NAME", help="asha, hyperband, median or none")
    what.add_argument(
        "--warm-start", metavar="JOURNAL", help="another search's journal.log, to begin with what it knows"
    )
    what.add_argument("--metric", type=names, metavar="a,b", help="objective,seconds_per_clip: a Pareto front as well")
    what.add_argument("--objective-heads", type=names, metavar="a,b", help="heads to search for; default: all")
    what.add_argument("--seed", type=int, metavar="N", help="of the sampler and the trials")
    where = parser.add_argument_group("where and how it runs")
    where.add_argument("--name", type=study_name, metavar="STUDY", help="the study's folder; default: the space")
    where.add_argument("--storage", type=storage, default="runs", metavar="DIR|URI", help="default: runs; s3://, gs://")
    where.add_argument("--workers-per-trial", type=positive, default=1, metavar="K", help="a Ray Train group of K")
    where.add_argument("--cpus-per-trial", type=positive, default=1, metavar="N", help="per worker; default 1")
    where.add_argument("--gpus-per-trial", type=float, metavar="F", help="per worker; default: 1 if there are any")
    where.add_argument("--max-concurrent", type=positive, metavar="N", help="trials at a time; default: what fits")
    where.add_argument(
        "--hang-timeout", type=duration, metavar="30m", help="a trial silent for so long fails; default 2h"
    )
    where.add_argument("--address", metavar="ADDR", help="a running Ray cluster, or auto; default: this machine")
    where.add_argument("--neptune", action="store_true", help="log to Neptune as well, one run a trial")
    where.add_argument("--dry-run", action="store_true", help="show the study and five samples; start nothing")
    where.add_argument("--estimate", action="store_true", help="with --dry-run: what it costs, from two real epochs")
    return parser.parse_args(arguments)


def study_of(args: argparse.Namespace) -> Study:
    changes = dict(args.changes)
    if args.max_epochs:
        changes["train_parameters.epochs"] = args.max_epochs
    if args.neptune:
        changes["general_parameters.neptune"] = True
    asked = {
        "budget": {
            "trials": args.trials,
            "seconds": args.time_budget,
            "epochs": args.epoch_budget,
            "stop_when": args.stop_when,
        },
        "finalists": {"count": args.finalists, "seeds": args.finalist_seeds, "retrain": args.retrain or None},
        "sampler": {"name": args.sampler},
        "early_stopping": {"name": args.early_stopping},
        "objective": {"heads": args.objective_heads},
        "metric": args.metric,
        "splits": args.splits,
        "warm_start": args.warm_start,
        "hang_seconds": args.hang_timeout,
        "seed": args.seed,
    }
    return load_study(Request(args.space, args.name, args.config, tuple(args.data_path), changes, _given(asked)))


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    """Without what the command line does not say."""
    inner = {key: _given(value) if isinstance(value, dict) else value for key, value in asked.items()}
    return {key: value for key, value in inner.items() if value is not None and value != {}}


def show(study: Study) -> None:
    print(study.to_yaml())
    if study.settings.demo:
        print("# no --data-path: of the above, these hold on demo data alone (options of the command line come first)")
        for path, value in leaves(study.settings.demo):
            print(f"#   {path}: {value}")
        print()
    rng = random.Random(study.settings.seed)
    for i in range(5):
        print(f"# sample {i + 1}")
        for path, value in study.space.sample(rng, study.base).items():
            print(f"{path}: {value:.4g}" if isinstance(value, float) else f"{path}: {value}")


def show_estimate(study: Study, args: argparse.Namespace) -> None:
    from hearai.reporting.study_report.tables import duration as spoken
    from hearai.search.estimate import estimate, on_one_machine

    found = estimate(study, on_one_machine(args.cpus_per_trial * args.workers_per_trial, args.max_concurrent))
    print(f"\n# estimate: {found.slots} trials at a time on this machine, from two epochs of the base config")
    print(f"trials            {found.trials:,}")
    print(f"trial-epochs      about {found.epochs:,}, at most {found.epochs_at_most:,}; finals {found.final_epochs:,}")
    print(f"time              about {spoken(found.seconds)}: {found.epoch_seconds:.2f} s an epoch,")
    print(f"                  {spoken(found.first_seconds)} before the first (data, features)")
    if found.pretraining:
        print("                  and the pre-training of the extractor, which was not measured")
    print(f"disk              about {found.disk_mb:,.0f} MB")
    print("Guesses: that first epochs tell who wins, and that all configs cost what the base config does.")


def main() -> int:
    args = parse_args()
    study = study_of(args)
    if args.dry_run:
        show(study)
        if args.estimate:
            show_estimate(study, args)
        return DONE
    if args.estimate:
        raise ConfigError("--estimate: goes with --dry-run")
    from hearai.reporting.study_report.page import write_results
    from hearai.search.run import Options, run_study
    from hearai.search.storage.study_sync import mirror_folder

    store = args.storage if is_uri(args.storage) else None
    options = Options(
        mirror_folder(store) if store else Path(args.storage),
        args.address,
        args.workers_per_trial,
        args.cpus_per_trial,
        args.gpus_per_trial,
        args.max_concurrent,
        store,
    )
    try:
        outcome = run_study(study, options, print_line=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print(f"interrupted; to continue:\n  python {shlex.join(sys.argv)}")
        return INTERRUPTED
    print(write_results(outcome.folder))
    outcome.sync.publish()
    if store:
        print(f"all of it is in {outcome.sync}")
    return DONE if outcome.succeeded else NO_TRIAL_SUCCEEDED


if __name__ == "__main__":
    run_script(main)
