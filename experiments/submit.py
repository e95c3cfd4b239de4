"""Runs a search on a Ray cluster, and manages it by the name of its study.

    python experiments/submit.py tune --space hamnosys --data-path /data \\
        --storage s3://bucket/runs
    python experiments/submit.py status
    python experiments/submit.py fetch hamnosys

tune sends the code, starts tune.py on the head, prints its output and exits with its exit code; Ctrl-C only stops
following the output. The token is read from ~/.ray/auth_token or $RAY_AUTH_TOKEN_PATH. Exit codes: 0 done; 2 invalid
input; 130 interrupted; of tune those of tune.py.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import tune

from hearai.cli import DONE, INTERRUPTED, ScriptParser, print_text, run_script, study_name

if TYPE_CHECKING:
    from hearai.search.cluster.jobs import Jobs


ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
TUNE_HELP = """
Starts a search on the cluster; all options of tune.py.

    python experiments/submit.py tune --space hamnosys --data-path /data \\
        --storage s3://bucket/runs

All other options are those of `python experiments/tune.py --help`. --storage and --data-path are absolute paths on the
cluster; files given by --space, --config, --warm-start and --code are sent from here. --dry-run lists what would be
sent: files that git tracks, and these.
"""
VERBS = {
    "status": "show the state of a study's search, or of all",
    "logs": "print the search's output",
    "stop": "stop the search as Ctrl-C would; tune continues it",
    "fetch": "copy report, winner and journal to this machine",
}
USAGE = "submit.py tune [options] --space NAME [options of tune.py]"


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, title="commands, each with --help", metavar="COMMAND")
    tune_parser = verbs.add_parser("tune", text=TUNE_HELP, help="start a search; all options of tune.py", usage=USAGE)
    tune_parser.add_argument("--no-follow", action="store_true", help="return as soon as the search is started")
    _add_address(tune_parser)
    for verb, text in VERBS.items():
        example = f"    python experiments/submit.py {verb} hamnosys"
        sub = verbs.add_parser(verb, text=f"{text[0].upper()}{text[1:]}.\n\n{example}", help=text)
        count = "?" if verb == "status" else None
        sub.add_argument("study", type=study_name, metavar="STUDY", nargs=count, help="name of the study")
        if verb == "logs":
            sub.add_argument("--follow", action="store_true", help="print until it ends; exit with its exit code")
        if verb == "fetch":
            to_help = "local folder (default: runs)"
            sub.add_argument("--to", type=Path, default=Path("runs"), metavar="DIR", help=to_help)
        _add_address(sub)
    return parser


def _add_address(parser: argparse.ArgumentParser) -> None:
    address_help = "dashboard, http://HEAD:8265 (default: $RAY_API_SERVER_ADDRESS)"
    parser.add_argument("--address", default=os.environ.get(ADDRESS_VARIABLE), metavar="URL", help=address_help)


def parse_args() -> tuple[argparse.Namespace, list[str]]:
    """The options of this script, and the remaining ones, which are those of tune.py."""
    parser = make_parser()
    args, rest = parser.parse_known_args()
    if rest and args.verb != "tune":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if not args.address and not (args.verb == "tune" and "--dry-run" in rest):
        parser.error(f"--address: give the dashboard's address, http://HEAD:8265, or set {ADDRESS_VARIABLE}")
    return args, rest


def start(args: argparse.Namespace, tune_options: list[str]) -> int:
    tune_args = tune.make_parser().parse_args(tune_options)
    study = tune.build_study(tune_args)  # reports problems of the study before anything is sent
    from hearai.search.cluster.code_bundle import bundle_lines, left_out_lines
    from hearai.search.cluster.submission import check_submission

    check_submission(
        study,
        tune_args.storage,
        tune_args.warm_start or (),
        is_dry_run=tune_args.dry_run,
        is_estimate=tune_args.estimate,
    )
    tune.check_parts_of(study)
    if tune_args.dry_run:
        print_text("\n".join(bundle_lines(tune_options)))
        return DONE
    from hearai.reporting.live.views import JSON_LINES, LIVE, default_view
    from hearai.search.cluster.jobs import Jobs

    jobs = Jobs(args.address)
    if tune_args.view is None and not args.no_follow and default_view() == LIVE:
        tune_options = [*tune_options, f"--{JSON_LINES}"]  # events, from which the live view here is drawn
    if left_out := left_out_lines():
        print_text("\n".join(left_out))
    job = jobs.submit(study.name, tune_args.storage, tune_options)
    print(f"job {job}; manage it with\n  submit.py status|logs|stop|fetch {study.name} --address {args.address}")
    sys.stdout.flush()
    return DONE if args.no_follow else follow(jobs, job, study.name, is_raw=tune_args.view == JSON_LINES)


def follow(jobs: "Jobs", job: str, study: str, *, is_raw: bool = False) -> int:
    """is_raw: print the job's output as it is, also lines of JSON."""
    from hearai.reporting.live.followed import FollowedSearch

    view = FollowedSearch()
    try:
        return jobs.follow(job, print_text=(lambda text: print(text, end="", flush=True)) if is_raw else view)
    except KeyboardInterrupt:
        view.close()
        print(f"\nthe search continues as job {job}; to stop it: submit.py stop {study}")
        return INTERRUPTED
    finally:
        view.close()


def stop(jobs: "Jobs", job: str, study: str) -> int:
    print(f"stopping job {job} and its trials", flush=True)
    if jobs.stop(job):
        print("stopped; the same submit.py tune command continues it")
    else:
        print(f"it had already ended; see submit.py status {study}")
    return DONE


def main() -> int:
    args, tune_options = parse_args()
    if args.verb == "tune":
        return start(args, tune_options)
    from hearai.cli.progress.reader import plain_lines
    from hearai.search.cluster.jobs import Jobs
    from hearai.search.cluster.submission import fetch_results, status_lines

    jobs = Jobs(args.address)
    if args.verb == "status":
        print("\n".join(status_lines(jobs, args.study)))
        return DONE
    if args.verb == "fetch":
        folder = fetch_results(jobs, args.study, args.to)
        print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
        return DONE
    job = jobs.latest(args.study).id
    if args.verb == "stop":
        return stop(jobs, job, args.study)
    if args.follow:
        return follow(jobs, job, args.study)
    sys.stdout.write(plain_lines(jobs.log(job)))
    return DONE


if __name__ == "__main__":
    run_script(main)
