"""Searches for the best model; the same command continues a search. Without --data-path it runs on demo data.

    python experiments/tune.py --space hamnosys
    python experiments/tune.py --space gloss --data-path DATA --name mine
    python experiments/tune.py --space hamnosys --dry-run --estimate

Exit codes: 0 done; 2 invalid input; 3 no trial succeeded; 130 interrupted.
"""

import argparse
import random
import shlex
import sys
from pathlib import Path
from typing import Any

from hearai.cli import (
    DONE,
    INTERRUPTED,
    NO_TRIAL_SUCCEEDED,
    ScriptParser,
    add_code_option,
    assignment,
    comma_separated,
    duration,
    gpus,
    integer,
    is_uri,
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

RARE = (
    *("--from", "--code", "--space-set", "--epoch-budget", "--finalist-seeds", "--splits", "--retrain"),
    *("--warm-start", "--metric", "--objective-heads", "--seed", "--max-concurrent", "--workers-per-trial"),
    *("--cpus-per-trial", "--threads", "--hang-timeout", "--quiet", "--plain", "--json-lines", "--neptune"),
)
"""Options that `--help` names and `--help-all` explains."""


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__, rare=RARE)
    _add_study_options(parser.add_argument_group("study"))
    search = parser.add_argument_group("search")
    _add_budget_options(search)
    _add_method_options(search)
    _add_machine_options(parser.add_argument_group("machines"))
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_study_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--space", required=True, metavar="NAME|FILE", help="a file in search_spaces/, or your own")
    add("--data-path", action="append", default=[], metavar="DIR", help="dataset folder; repeatable")
    add("--name", type=study_name, metavar="STUDY", help="name of the study folder (default: the space)")
    storage_help = "folder of studies, s3:// or gs:// (default: runs)"
    add("--storage", type=storage_location, default="runs", metavar="DIR|URI", help=storage_help)
    add("--config", metavar="BASE.yml", help="base config, as a diff over the defaults")
    set_help = "a value of the base config, see docs/options.md"
    add("--set", action="append", default=[], type=assignment, metavar="a.b=v", dest="changes", help=set_help)
    domain_help = "a range or choice of the space, e.g. 'train_parameters.lr={float: [1.0e-4, 0.1], log: true}'"
    add(
        "--space-set",
        action="append",
        default=[],
        type=assignment,
        metavar="a.b={...}",
        dest="domains",
        help=domain_help,
    )
    from_help = "start all trials with extractor and encoder of a run, a study's winner or a checkpoint, and new heads"
    add("--from", dest="start", metavar="RUN", type=storage_location, help=from_help)
    add_code_option(group)


def _add_budget_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--trials", type=positive, metavar="N", help="number of trials; raise it to extend a search")
    add("--time-budget", type=duration, metavar="30m", help="wall time of the trials")
    add("--epoch-budget", type=positive, metavar="N", help="total epochs of all trials, excluding finals")
    add("--max-epochs", type=positive, metavar="N", help="maximum epochs per trial")
    stop_help = "stop at this score, or when trials gain too little"
    add("--stop-when", type=number_or(PLATEAU, 0, 1), metavar="F|plateau", help=stop_help)


def _add_method_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    sampler_help = "tpe, freeze_thaw, gp, cmaes, qmc, random, nsga2, nsga3 or grid"
    add("--sampler", metavar="NAME", help=sampler_help)
    add("--early-stopping", metavar="NAME", help="asha, auto, hyperband, median or none")
    add("--finalists", type=int, metavar="K", help="best trials to train again with new seeds")
    add("--finalist-seeds", type=positive, metavar="N", help="new seeds per finalist (default: 3)")
    add("--splits", type=positive, metavar="N", help="number of folds on which each trial is scored")
    retrain_help = "finally train the winner on train + validation, into final/"
    add("--retrain", action="store_true", help=retrain_help)
    warm_help = "journal.log of another search whose results initialise the sampler; repeatable"
    add("--warm-start", action="append", metavar="JOURNAL", help=warm_help)
    metric_help = "e.g. objective,seconds_per_clip: adds a Pareto front"
    add("--metric", type=comma_separated, metavar="a,b", help=metric_help)
    heads_help = "heads of the objective (default: all)"
    add("--objective-heads", type=comma_separated, metavar="a,b", help=heads_help)
    add("--seed", type=seed, metavar="N", help="seed of the sampler and the trials")


def _add_machine_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--address", metavar="ADDR", help="address of a Ray cluster, or auto (default: local)")
    add("--max-concurrent", type=positive, metavar="N", help="concurrent trials (default: as many as fit)")
    gpus_help = "GPUs per worker (default: 1 if there are any)"
    add("--gpus-per-trial", type=gpus, metavar="F", help=gpus_help)
    workers_help = "K > 1: a Ray Train worker group"
    add("--workers-per-trial", type=processes, default=1, metavar="K", help=workers_help)
    add("--cpus-per-trial", type=positive, default=1, metavar="N", help="CPUs per worker (default: 1)")
    threads = "threads of this process, for pre-training and features; trials have one per CPU (default: all)"
    add("--threads", type=integer(1, MAX_THREADS), metavar="N", help=threads)
    hang_help = "a trial that reports nothing for this long fails (default: 2h)"
    add("--hang-timeout", type=duration, metavar="30m", help=hang_help)


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--dry-run", action="store_true", help="print the study and five samples, start nothing")
    add("--estimate", action="store_true", help="with --dry-run: cost, from two real epochs")
    view = group.add_mutually_exclusive_group()
    view_help = {
        "quiet": "print only warnings and the result",
        "plain": "print lines, as in a pipe, instead of the live view of a terminal",
        "json-lines": "print each event of the search as a line of JSON",
    }
    for name, text in view_help.items():
        view.add_argument(f"--{name}", action="store_const", const=name, dest="view", help=text)
    add("--neptune", action="store_true", help="also log to Neptune, one run per trial")


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
    return load_study(request) if args.start is None else study_from_run(request, args.start, storage_folder(args))


def storage_folder(args: argparse.Namespace) -> Path:
    """The folder of the studies on this machine."""
    from hearai.search.storage.study_sync import mirror_folder

    return mirror_folder(args.storage) if is_uri(args.storage) else Path(args.storage)


def study_from_run(request: Request, run: str, storage: Path) -> Study:
    """The study whose trials all start with a trained run; prints what that decides."""
    from hearai.search.storage.study_sync import local_run
    from hearai.training.outputs.layout import BACKBONE_FILE
    from hearai.training.setup.from_run import find_run, request_from, stated_in  # imports torch

    stated = {**stated_in(request.base_config), **(request.changes or {})}
    study = load_study(request)
    source = find_run(run, kept=storage / study.name / BACKBONE_FILE, fetch=local_run)
    request, notes = request_from(request, study, source, stated)
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
    from hearai.search.storage.study_sync import StudyLocation

    store = args.storage if is_uri(args.storage) else None
    location = StudyLocation(storage_folder(args) / study.name, store)
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
    args = make_parser().parse_args()
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
    storage = storage_folder(args)
    require_writable_folder(storage / study.name, "--storage")
    from hearai.reporting.live.page_writer import page_is_written
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
        store=args.storage if is_uri(args.storage) else None,
    )
    with open_view(args.view) as view:
        try:
            with page_is_written(storage / study.name):
                outcome = run_study(study, options, view.print_line, view.show)
        except KeyboardInterrupt:
            view.print_result(f"interrupted; to continue:\n  python {shlex.join(sys.argv)}")
            return INTERRUPTED
        view.print_result(write_results(outcome.folder))
        outcome.sync.publish()
        if options.store:
            view.print_result(f"uploaded to {outcome.sync}")
    return DONE if outcome.succeeded else NO_TRIAL_SUCCEEDED


if __name__ == "__main__":
    run_script(main)
