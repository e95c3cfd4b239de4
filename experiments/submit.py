"""Runs a search on a Ray cluster: `python experiments/submit.py tune --space hamnosys ... --address http://HEAD:8265`.

It sends the code, starts tune.py on the cluster's head, shows what that prints, and ends with its exit code. Ctrl-C
only stops watching. `submit.py status|logs|stop|fetch STUDY` find the search again. The token of the cluster is read
from ~/.ray/auth_token or $RAY_AUTH_TOKEN_PATH; --address is $RAY_API_SERVER_ADDRESS unless given.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tune

from hearai.cli import DONE, INTERRUPTED, run_script, study_name
from hearai.errors import UserError

if TYPE_CHECKING:
    from hearai.search.jobs import Jobs


def parse_args() -> tuple[argparse.Namespace, list[str]]:
    """The options of this script, and those that are tune.py's."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("tune", help="start a search; all options of tune.py", allow_abbrev=False)
    start.add_argument("--no-follow", action="store_true", help="start it, and do not watch")
    for verb, text in (
        ("status", "how it stands; of all studies if none is named"),
        ("stop", "end it as Ctrl-C would; the same tune command continues"),
        ("logs", "what it printed"),
        ("fetch", "bring report, winner and journal here, without the trials"),
    ):
        sub = verbs.add_parser(verb, help=text, allow_abbrev=False)
        sub.add_argument("study", type=study_name, metavar="STUDY", nargs="?" if verb == "status" else None)
        if verb == "logs":
            sub.add_argument("--follow", action="store_true", help="until it ends")
        if verb == "fetch":
            sub.add_argument("--to", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    for sub in verbs.choices.values():
        sub.add_argument("--address", default=os.environ.get("RAY_API_SERVER_ADDRESS"), metavar="http://HEAD:8265")
    args, rest = parser.parse_known_args()
    if rest and args.verb != "tune":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if not args.address:
        parser.error("--address: give the dashboard's address, http://HEAD:8265, or set RAY_API_SERVER_ADDRESS")
    return args, rest


def start(args: argparse.Namespace, rest: list[str]) -> int:
    asked = tune.parse_args(rest)
    study = tune.study_of(asked)  # what is wrong with it is said before anything is sent
    if asked.dry_run or asked.address:
        raise UserError("--dry-run shows a study here: python experiments/tune.py; --address is the dashboard's")
    if "://" not in asked.storage and not Path(asked.storage).is_absolute():
        raise UserError(
            f"--storage {asked.storage}: give the full path of a folder that all nodes share, or s3:// or gs://: the "
            "job's own folder goes with it"
        )
    from hearai.search.jobs import Jobs  # heavy imports come when the input is known to be good

    jobs = Jobs(args.address)
    files = [file for file in (asked.space, asked.config, asked.warm_start) if file and Path(file).is_file()]
    job = jobs.submit(study.name, asked.storage, rest, files)
    print(f"job {job} on {args.address}", flush=True)
    print(f"  submit.py status|logs|stop|fetch {study.name} --address {args.address}", flush=True)
    return DONE if args.no_follow else follow(jobs, job)


def follow(jobs: "Jobs", job: str) -> int:
    try:
        return jobs.follow(job, say=lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        print(f"\nthe search goes on as job {job}; submit.py stop ends it")
        return INTERRUPTED


def show(jobs: "Jobs", study: str | None) -> None:
    known = [jobs.latest(study)] if study else jobs.of()
    if not known:
        print("no searches are known there")
    for job in known:
        name, seconds = job.metadata["hearai_study"], ((job.end_time or 1e3 * time.time()) - job.start_time) / 1e3
        began = time.strftime("%F %H:%M", time.localtime(job.start_time / 1e3))
        print(f"{name:<24} {job.status.value.lower():<10} since {began}, {seconds / 60:.1f} min  {job.submission_id}")
        if study:
            print("\n".join(f"  {line}" for line in jobs.log(job.submission_id).strip().splitlines()[-5:]))


def fetch(jobs: "Jobs", study: str, to: Path) -> int:
    from hearai.search.jobs import STORAGE
    from hearai.search.parcel import LEFT_OUT, unwrap
    from hearai.search.store import Store, is_uri

    storage, folder = jobs.latest(study).metadata[STORAGE], to / study
    if is_uri(storage):
        if not Store(storage).below(study).pull(folder, skip=LEFT_OUT):
            raise UserError(f"{storage}/{study}: nothing is there yet")
    elif (there := Path(storage) / study).is_dir():
        shutil.copytree(there, folder, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
    else:
        unwrap(jobs.parcel(study, str(there)), folder)
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    return DONE


def main() -> int:
    args, rest = parse_args()
    if args.verb == "tune":
        return start(args, rest)
    from hearai.search.jobs import Jobs

    jobs = Jobs(args.address)
    if args.verb == "status":
        show(jobs, args.study)
        return DONE
    if args.verb == "fetch":
        return fetch(jobs, args.study, args.to)
    job: Any = jobs.latest(args.study)
    if args.verb == "logs":
        if args.follow:
            return follow(jobs, job.submission_id)
        sys.stdout.write(jobs.log(job.submission_id))
        return DONE
    jobs.stop(job.submission_id)
    print(f"job {job.submission_id} is stopped; the same submit.py tune command continues it")
    return DONE


if __name__ == "__main__":
    run_script(main)
