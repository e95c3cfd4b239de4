"""What `experiments/submit.py` does with the searches of a cluster, beyond parsing its command line."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from hearai.cli import is_uri
from hearai.cli.progress.reader import plain_lines
from hearai.config.config import dataset_paths
from hearai.config.study import Study
from hearai.errors import UserError
from hearai.search.cluster.jobs import Job, Jobs
from hearai.search.cluster.results_bundle import EXCLUDED, unpack
from hearai.search.storage.layout import COMMANDS
from hearai.search.storage.object_store import ObjectStore

LAST_LINES = 5
"""Of a job's log, shown by `status`."""


def check_submission(
    study: Study, storage: str, warm_start: Sequence[str], *, is_dry_run: bool, is_estimate: bool = False
) -> None:
    """Checks what works on this machine but not in a job's folder on another.

    Args:
        storage: the value of --storage.
        warm_start: the values of --warm-start, whose files are sent along if they exist here.
        is_dry_run, is_estimate: whether --dry-run and --estimate were given.

    Raises:
        UserError: every problem found.
    """
    problems = []
    if is_estimate:
        problems.append("--estimate: starts nothing; use python experiments/tune.py --dry-run --estimate here")
    paths = [] if is_uri(storage) else [("--storage", storage)]
    paths += [("data_path", path) for path in dataset_paths(study.base)]
    sent = {journal for journal in warm_start if Path(journal).is_file()}
    paths += [("warm_start", journal) for journal in study.settings.warm_start if journal not in sent]
    for option, path in paths:
        if not Path(path).is_absolute():
            alternative = ", or s3:// or gs://" if option == "--storage" else ""
            problems.append(f"{option}: got {path}; give its absolute path on the cluster's nodes{alternative}")
    if problems and is_dry_run:
        problems.append("--dry-run: nothing was listed; correct the options first")
    if problems:
        raise UserError(problems)


def status_lines(jobs: Jobs, study: str | None) -> list[str]:
    """A line for the last job of each study; of a single study also its job id and the end of its log."""
    found = [jobs.latest(study)] if study else jobs.find()
    lines = [_status_line(job) for job in {job.study: job for job in reversed(found)}.values()]
    if study:
        (job,) = found
        lines.append(f"job {job.id}; the end of its log:")
        lines += [f"  {line}".rstrip() for line in plain_lines(jobs.log(job.id)).strip().splitlines()[-LAST_LINES:]]
    return lines or ["no searches on this cluster"]


def _status_line(job: Job) -> str:
    started = time.strftime("%F %H:%M", time.localtime(job.started))
    minutes = ((job.ended or time.time()) - job.started) / 60
    return f"{job.study:<24} {job.status.lower():<9} since {started}, {minutes:.1f} min"


def fetch_results(jobs: Jobs, study: str, to: Path) -> Path:
    """Copies a study's results, without its trials, to the folder `to/STUDY`, which is returned.

    Raises:
        UserError: no job of this study, no results yet, or the folder cannot be written.
    """
    job = jobs.latest(study)
    folder = to / study
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--to {to}: {error.strerror}; give a writable folder") from None
    if is_uri(job.storage):
        if not ObjectStore(job.storage).below(study).pull(folder, skip=EXCLUDED):
            raise UserError(f"{job.storage}/{study}: no results yet")
        return folder
    source = Path(job.storage) / study
    if not _was_written_by(source, job.id):
        unpack(jobs.pack_folder(study, str(source)), folder)
    elif source.resolve() != folder.resolve():
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*EXCLUDED, ".*"), dirs_exist_ok=True)
    return folder


def _was_written_by(folder: Path, job: str) -> bool:
    """Whether a folder of this machine is the cluster's shared one, and not another one with the same path."""
    commands = folder / COMMANDS
    return commands.is_file() and f"  job {job}\n" in commands.read_text(encoding="utf-8")
