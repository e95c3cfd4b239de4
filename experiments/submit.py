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
from typing import TYPE_CHECKING

import tune

from hearai.cli import DONE, INTERRUPTED, is_uri, run_script, study_name
from hearai.config.study import Study
from hearai.errors import UserError

if TYPE_CHECKING:
    from hearai.search.cluster.jobs import Jobs


def parse_args() -> tuple[argparse.Namespace, list[str]]:
    """The options of this script, and those that are tune.py's."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser(
        "tune",
        help="start a search; all options of tune.py",
        usage="submit.py tune [--no-follow] [--address URL] (options of tune.py: --space, --storage, ...)",
        epilog="All other options are those of `python experiments/tune.py --help`. Paths of --storage and --data-path "
        "are the cluster's, and whole; files of --space, --config and --warm-start are sent from here.",
        allow_abbrev=False,
    )
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
            sub.add_argument("--follow", action="store_true", help="until it ends; its exit code")
        if verb == "fetch":
            sub.add_argument("--to", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    for sub in verbs.choices.values():
        sub.add_argument(
            "--address",
            default=os.environ.get("RAY_API_SERVER_ADDRESS"),
            metavar="URL",
            help="the dashboard's, http://HEAD:8265; default: $RAY_API_SERVER_ADDRESS",
        )
    args, rest = parser.parse_known_args()
    if rest and args.verb != "tune":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if not args.address:
        parser.error("--address: give the dashboard's address, http://HEAD:8265, or set RAY_API_SERVER_ADDRESS")
    return args, rest


def start(args: argparse.Namespace, rest: list[str]) -> int:
    asked = tune.parse_args(rest)
    study = tune.study_of(asked)  # what is wrong with it is said before anything is sent
    if problems := wrong_there(asked, study):
        raise UserError(problems)
    from hearai.search.cluster.jobs import Jobs  # heavy imports come when the input is known to be good

    jobs = Jobs(args.address)
    job = jobs.submit(study.name, asked.storage, rest)
    print(f"job {job}; find it again with\n  submit.py status|logs|stop|fetch {study.name} --address {args.address}")
    sys.stdout.flush()
    return DONE if args.no_follow else follow(jobs, job)


def wrong_there(asked: argparse.Namespace, study: Study) -> list[str]:
    """What is right on this machine, but not in a job's folder on another."""
    problems = []
    if asked.dry_run or asked.estimate:
        problems.append("--dry-run, --estimate: they start nothing; use python experiments/tune.py here")
    places = study.base.general_parameters.data_path or ()
    paths = [] if is_uri(asked.storage) else [("--storage", asked.storage)]
    paths += [("data_path", place if isinstance(place, str) else place.path) for place in places]
    if (journal := study.settings.warm_start) and not Path(asked.warm_start or "").is_file():
        paths.append(("warm_start", journal))
    for option, path in paths:
        if not Path(path).is_absolute():
            other = ", or s3:// or gs://" if option == "--storage" else ""
            problems.append(f"{option}: got {path}; give its full path on the cluster's nodes{other}")
    return problems


def follow(jobs: "Jobs", job: str) -> int:
    try:
        return jobs.follow(job, print_line=lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        print(f"\nthe search goes on as job {job}; submit.py stop ends it")
        return INTERRUPTED


def show(jobs: "Jobs", study: str | None) -> None:
    known = [jobs.latest(study)] if study else jobs.of()
    if not known:
        print("no searches are known there")
    for job in {job.metadata["hearai_study"]: job for job in reversed(known)}.values():  # the last job of each study
        name, seconds = job.metadata["hearai_study"], ((job.end_time or 1e3 * time.time()) - job.start_time) / 1e3
        began = time.strftime("%F %H:%M", time.localtime(job.start_time / 1e3))
        print(f"{name:<24} {job.status.value.lower():<9} since {began}, {seconds / 60:.1f} min")
        if study:
            print(f"job {job.submission_id}; the end of its log:")
            print("\n".join(f"  {line}".rstrip() for line in jobs.log(job.submission_id).strip().splitlines()[-5:]))


def fetch(jobs: "Jobs", study: str, to: Path) -> int:
    from hearai.search.cluster.jobs import STORAGE
    from hearai.search.cluster.results_bundle import LEFT_OUT, unwrap
    from hearai.search.storage.object_store import Store

    job = jobs.latest(study)
    storage, folder = job.metadata[STORAGE], to / study
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--to {to}: {error.strerror}; give a folder that can be written to") from None
    if is_uri(storage):
        if not Store(storage).below(study).pull(folder, skip=LEFT_OUT):
            raise UserError(f"{storage}/{study}: nothing is there yet")
    elif is_of(there := Path(storage) / study, job.submission_id):
        if there.resolve() != folder.resolve():
            shutil.copytree(there, folder, ignore=shutil.ignore_patterns(*LEFT_OUT, ".*"), dirs_exist_ok=True)
    else:
        unwrap(jobs.parcel(study, str(there)), folder)
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    return DONE


def is_of(folder: Path, job: str) -> bool:
    """Whether a folder of this machine is the cluster's, and not another one with the same path."""
    commands = folder / "command.txt"
    return commands.is_file() and f"  job {job}\n" in commands.read_text(encoding="utf-8")


def stop(jobs: "Jobs", job: str) -> int:
    print(f"job {job} is asked to end; it puts its trials away", flush=True)
    if jobs.stop(job):
        print("it is stopped; the same submit.py tune command continues it")
    else:
        print("it had ended by itself; submit.py status tells how")
    return DONE


def main() -> int:
    args, rest = parse_args()
    if args.verb == "tune":
        return start(args, rest)
    from hearai.search.cluster.jobs import Jobs

    jobs = Jobs(args.address)
    if args.verb == "status":
        show(jobs, args.study)
        return DONE
    if args.verb == "fetch":
        return fetch(jobs, args.study, args.to)
    job = jobs.latest(args.study).submission_id
    if args.verb == "stop":
        return stop(jobs, job)
    if args.follow:
        return follow(jobs, job)
    sys.stdout.write(jobs.log(job))
    return DONE


if __name__ == "__main__":
    run_script(main)
