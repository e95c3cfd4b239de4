"""Searches for the best model: `python experiments/tune.py --space hamnosys`. The same command continues a search.

Without --data-path the search runs on built-in demo data. Exit codes: 0 done; 2 invalid input; 3 finished, but no
trial succeeded; 130 interrupted by Ctrl-C, SIGTERM or the end of the terminal (the state is saved, and the command to
continue is printed; under nohup it continues without a terminal).
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
    add_code_option,
    assignment,
    comma_separated,
    duration,
    gpus,
    integer,
    is_uri,
    local_path,
    number_or,
    positive,
    print_text,
    processes,
    run_script,
    seed,
    storage_location,
    study_name,
)
from hearai.config.limits import MAX_THREADS
from hearai.config.model_parts.code_folder import use_code
from hearai.config.overrides import leaves
from hearai.config.study import SAMPLE_MARK, Request, Study, load_study
from hearai.config.study_schema import PLATEAU
from hearai.errors import ConfigError, StoreLost
from hearai.files import require_writable_folder

VIEW_OPTIONS = {
    "plain": "print lines, as in a pipe, instead of the live view of a terminal",
    "quiet": "print only warnings and the result",
    "json-lines": "print each event of the search as a line of JSON",
}


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    _add_search_options(parser.add_argument_group("the search"))
    _add_execution_options(parser.add_argument_group("execution"))
    return parser.parse_args(arguments)


def _add_search_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--space", required=True, metavar="NAME|FILE", help="a file in search_spaces/, or your own")
    group.add_argument("--config", metavar="BASE.yml", help="base config, as a diff over the defaults")
    group.add_argument("--data-path", action="append", default=[], metavar="DIR", help="dataset folder; repeatable")
    group.add_argument(
        "--set", action="append", default=[], type=assignment, metavar="a.b=v", dest="changes", help="a config value"
    )
    group.add_argument(
        "--space-set",
        action="append",
        default=[],
        type=assignment,
        metavar="a.b={...}",
        dest="domains",
        help="a range or choice of the space, e.g. 'train_parameters.lr={float: [1.0e-4, 0.1], log: true}'",
    )
    group.add_argument(
        "--from",
        dest="start",
        metavar="RUN",
        type=local_path,
        help="start all trials with extractor and encoder of a run, a study's winner or a checkpoint, and new heads",
    )
    group.add_argument("--trials", type=positive, metavar="N", help="number of trials; raise it to extend a search")
    group.add_argument("--time-budget", type=duration, metavar="30m", help="wall time of the trials")
    group.add_argument(
        "--epoch-budget", type=positive, metavar="N", help="total epochs of all trials, excluding finals"
    )
    group.add_argument(
        "--stop-when",
        type=number_or(PLATEAU, 0, 1),
        metavar="0.95|plateau",
        help="stop when a trial reaches this score, or when more trials are expected to gain less than a seed changes",
    )
    group.add_argument("--max-epochs", type=positive, metavar="N", help="maximum epochs per trial")
    group.add_argument("--finalists", type=int, metavar="K", help="number of best trials to retrain with new seeds")
    group.add_argument("--finalist-seeds", type=positive, metavar="N", help="new seeds per finalist (default: 3)")
    group.add_argument("--splits", type=positive, metavar="N", help="number of folds on which each trial is scored")
    group.add_argument(
        "--retrain", action="store_true", help="finally train the winner on train + validation, into final/"
    )
    group.add_argument(
        "--sampler", metavar="NAME", help="tpe, freeze_thaw, gp, cmaes, qmc, random, nsga2, nsga3 or grid"
    )
    group.add_argument("--early-stopping", metavar="NAME", help="asha, auto, hyperband, median or none")
    group.add_argument(
        "--warm-start",
        action="append",
        metavar="JOURNAL",
        help="journal.log of another search whose results initialise the sampler; repeatable",
    )
    group.add_argument(
        "--metric", type=comma_separated, metavar="a,b", help="e.g. objective,seconds_per_clip: adds a Pareto front"
    )
    group.add_argument(
        "--objective-heads", type=comma_separated, metavar="a,b", help="heads of the objective (default: all)"
    )
    group.add_argument("--seed", type=seed, metavar="N", help="seed of the sampler and the trials")


def _add_execution_options(group: argparse._ArgumentGroup) -> None:
    add_code_option(group)
    group.add_argument("--name", type=study_name, metavar="STUDY", help="name of the study folder (default: the space)")
    group.add_argument(
        "--storage",
        type=storage_location,
        default="runs",
        metavar="DIR|URI",
        help="folder of the studies, or s3://, gs:// (default: runs)",
    )
    group.add_argument(
        "--workers-per-trial", type=processes, default=1, metavar="K", help="K > 1: a Ray Train worker group"
    )
    group.add_argument("--cpus-per-trial", type=positive, default=1, metavar="N", help="CPUs per worker (default: 1)")
    threads = "threads of this process, for pre-training and features; trials have one per CPU (default: all)"
    group.add_argument("--threads", type=integer(1, MAX_THREADS), metavar="N", help=threads)
    group.add_argument("--gpus-per-trial", type=gpus, metavar="F", help="GPUs per worker (default: 1 if there are any)")
    group.add_argument(
        "--max-concurrent", type=positive, metavar="N", help="concurrent trials (default: as many as fit)"
    )
    group.add_argument(
        "--hang-timeout",
        type=duration,
        metavar="30m",
        help="a trial that reports nothing for this long fails (default: 2h)",
    )
    group.add_argument("--address", metavar="ADDR", help="address of a Ray cluster, or auto (default: this machine)")
    view = group.add_mutually_exclusive_group()
    for name, text in VIEW_OPTIONS.items():
        view.add_argument(f"--{name}", action="store_const", const=name, dest="view", help=text)
    group.add_argument("--neptune", action="store_true", help="also log to Neptune, one run per trial")
    group.add_argument("--dry-run", action="store_true", help="print the study and five samples without starting")
    group.add_argument("--estimate", action="store_true", help="with --dry-run: estimate the cost from two real epochs")


def build_study(args: argparse.Namespace) -> Study:
    use_code(args.code)
    changes = dict(args.changes)
    if args.max_epochs:
        changes["train_parameters.epochs"] = args.max_epochs
    if args.neptune:
        changes["general_parameters.neptune"] = True
    settings = {
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
    if empty := [path for path, domain in args.domains if domain is None]:
        raise ConfigError([f"--space-set {path}: no value; give a domain, or one value" for path in empty])
    settings = {**_without_none(settings), **({"space": dict(args.domains)} if args.domains else {})}
    request = Request(args.space, args.name, args.config, tuple(args.data_path), changes, settings)
    return load_study(request) if args.start is None else study_from_run(request, str(args.start))


def study_from_run(request: Request, run: str) -> Study:
    """The study whose trials all start with a trained run; prints what that decides."""
    from hearai.training.setup.from_run import find_run, request_from, stated_in  # imports torch

    stated = {**stated_in(request.base_config), **(request.changes or {})}
    request, notes = request_from(request, load_study(request), find_run(run), stated)
    print_comment("\n".join(notes))
    return load_study(request)


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    """Without the options that were not given."""
    inner = {key: _without_none(value) if isinstance(value, dict) else value for key, value in settings.items()}
    return {key: value for key, value in inner.items() if value is not None and value != {}}


def check_parts_of(study: Study) -> None:
    """Checks parts of the user's own where nothing else does: before a dry run, or before a job is submitted."""
    if any(part.is_own for config in study.part_configs for part in config.parts):
        from hearai.training.setup.part_checks import check_own_parts  # heavy: torch

        check_own_parts(study.part_configs)


def show(study: Study) -> None:
    """Prints the study as a space file, and sampled configs, which `load_study` skips."""
    print_text(study.to_yaml())
    if study.settings.demo:
        print("# no --data-path: these values apply to demo data only (command-line options take precedence)")
        for path, value in leaves(study.settings.demo):
            print_comment(f"  {path}: {value}")
    rng = random.Random(study.settings.seed)
    for i in range(5):
        print(SAMPLE_MARK.format(i + 1), end="")
        for path, value in study.space.sample(rng, study.base).items():
            print_text(f"{path}: {value:.4g}" if isinstance(value, float) else f"{path}: {value}")


def print_comment(text: str) -> None:
    print_text("\n".join(f"# {line}" for line in text.splitlines()))


def show_continuation(study: Study, args: argparse.Namespace) -> None:
    """Prints what the search would do with the study in its folder, if there is one."""
    from hearai.search.storage.layout import STUDY_FILE
    from hearai.search.storage.study_sync import StudyLocation, mirror_folder

    store = args.storage if is_uri(args.storage) else None
    location = StudyLocation((mirror_folder(store) if store else Path(args.storage)) / study.name, store)
    try:
        if location.read(STUDY_FILE) is None:
            return
        from hearai.search.storage.changed_study import continuation_notes  # imports torch

        notes = continuation_notes(study, location)
    except StoreLost as error:
        notes = [f"whether {location} has a study is not known: {error}"]
    print()
    print_comment("\n".join(notes))


def show_estimate(study: Study, args: argparse.Namespace) -> None:
    from hearai.reporting.text import duration
    from hearai.search.estimate import estimate, local_slots
    from hearai.training.optim.torch_options import use_threads

    use_threads(args.threads)
    cost = estimate(study, local_slots(args.cpus_per_trial * args.workers_per_trial, args.max_concurrent))
    kept = "stay in the cache for the search" if cost.keeps_features else "are of random weights, and not kept"
    pretraining = ""
    if cost.pretraining_seconds is not None:
        cached = "is in the cache" if cost.pretraining_seconds == 0 else f"at most {duration(cost.pretraining_seconds)}"
        pretraining = f"\n                  pre-training of the extractor: {cached}"
    trials, epochs = f"{cost.trials:,}", f"about {cost.epochs:,}, at most {cost.epochs_at_most:,}"
    ranking = "early epochs predict the ranking, and "
    if cost.complete_trials is not None:  # of a freeze-thaw search
        trials, ranking = f"at most {cost.trials:,}; how many start is decided by their curves", ""
        epochs = (
            f"{cost.epochs:,}, worth {cost.complete_trials:.3g} complete trials; at most {cost.epochs_at_most:,}\n"
            "                  with those that train the base config and the best to their end"
        )
    seconds = study.settings.budget.seconds
    limit = f"\n                  but the trials end after the time budget, {duration(seconds)}," if seconds else ""
    print()
    print_comment(f"""\
estimate: {cost.slots} concurrent trials on this machine, from two epochs of the base config
trials            {trials}
trial-epochs      {epochs}; finals {cost.final_epochs:,}
time              about {duration(cost.seconds)}: {cost.epoch_seconds:.2f} s per epoch,{limit}
                  {duration(cost.first_seconds)} before the first (data, features)
                  features of a frozen extractor {kept}{pretraining}
disk              about {cost.disk_mb:,.0f} MB
Assumptions: {ranking}all configs cost as much as the base config.""")


def main() -> int:
    args = parse_args()
    study = build_study(args)
    if args.dry_run:
        check_parts_of(study)
        if study.settings.warm_start:
            from hearai.search.sampling.warm_start import check_warm_starts  # heavy: torch and Optuna

            check_warm_starts(study)
        show(study)
        show_continuation(study, args)
        if args.estimate:
            show_estimate(study, args)
        return DONE
    if args.estimate:
        raise ConfigError("--estimate: requires --dry-run")
    from hearai.search.storage.study_sync import mirror_folder

    store = args.storage if is_uri(args.storage) else None
    storage = mirror_folder(store) if store else Path(args.storage)
    require_writable_folder(storage / study.name, "--storage")
    from hearai.reporting.live.views import open_view
    from hearai.reporting.study_report.page import write_results
    from hearai.search.cluster.resources import TrialResources
    from hearai.search.run import Options, run_study
    from hearai.training.optim.torch_options import use_threads

    use_threads(args.threads)
    options = Options(
        storage,
        args.address,
        TrialResources(args.workers_per_trial, args.cpus_per_trial, args.gpus_per_trial or 0),
        auto_gpu=args.gpus_per_trial is None,
        max_concurrent=args.max_concurrent,
        store=store,
    )
    with open_view(args.view) as view:
        try:
            outcome = run_study(study, options, view.print_line, view.show)
        except KeyboardInterrupt:
            view.print_result(f"interrupted; to continue:\n  python {shlex.join(sys.argv)}")
            return INTERRUPTED
        view.print_result(write_results(outcome.folder))
        outcome.sync.publish()
        if store:
            view.print_result(f"uploaded to {outcome.sync}")
    return DONE if outcome.succeeded else NO_TRIAL_SUCCEEDED


if __name__ == "__main__":
    run_script(main)
