"""Runs a search on a Ray cluster: `python experiments/submit.py tune --space hamnosys ... --address http://HEAD:8265`.

Sends the code, starts tune.py on the cluster's head, prints its output, and exits with its exit code. Ctrl-C only stops
following the output. `submit.py status|logs|stop|fetch STUDY` manage the search by the name of its study. The cluster's
token is read from ~/.ray/auth_token or $RAY_AUTH_TOKEN_PATH; --address defaults to $RAY_API_SERVER_ADDRESS.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import tune

from hearai.cli import DONE, INTERRUPTED, print_text, run_script, study_name

if TYPE_CHECKING:
    from hearai.search.cluster.jobs import Jobs


def parse_args() -> tuple[argparse.Namespace, list[str]]:
    """The options of this script, and the remaining ones, which are those of tune.py."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser(
        "tune",
        help="start a search; all options of tune.py",
        usage="submit.py tune [--no-follow] [--address URL] --space NAME [tune.py options]",
        epilog="All other options are those of `python experiments/tune.py --help`. --storage and --data-path are "
        "absolute paths on the cluster; files given by --space, --config, --warm-start and --code are sent "
        "from here. "
        "--dry-run lists what would be sent: files that git tracks, and these.",
        allow_abbrev=False,
    )
    start.add_argument("--no-follow", action="store_true", help="return as soon as the search is started")
    for verb, text in (
        ("status", "show the state of a study's search, or of all"),
        ("stop", "stop the search as Ctrl-C would; the same tune command continues it"),
        ("logs", "print the search's output"),
        ("fetch", "copy report, winner and journal to this machine, without the trials"),
    ):
        sub = verbs.add_parser(verb, help=text, allow_abbrev=False)
        sub.add_argument(
            "study",
            type=study_name,
            metavar="STUDY",
            nargs="?" if verb == "status" else None,
            help="name of the study",
        )
        if verb == "logs":
            sub.add_argument(
                "--follow", action="store_true", help="print until the search ends; exit with its exit code"
            )
        if verb == "fetch":
            sub.add_argument(
                "--to", type=Path, default=Path("runs"), metavar="DIR", help="local folder (default: runs)"
            )
    for sub in verbs.choices.values():
        sub.add_argument(
            "--address",
            default=os.environ.get("RAY_API_SERVER_ADDRESS"),
            metavar="URL",
            help="address of the dashboard, http://HEAD:8265 (default: $RAY_API_SERVER_ADDRESS)",
        )
    args, rest = parser.parse_known_args()
    if rest and args.verb != "tune":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if not args.address and not (args.verb == "tune" and "--dry-run" in rest):
        parser.error("--address: give the dashboard's address, http://HEAD:8265, or set RAY_API_SERVER_ADDRESS")
    return args, rest


def start(args: argparse.Namespace, tune_options: list[str]) -> int:
    tune_args = tune.parse_args(tune_options)
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
