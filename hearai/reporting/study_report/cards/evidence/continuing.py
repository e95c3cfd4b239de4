"""The commands to reproduce the search, to extend it, to widen its ranges, and to use its winner."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearai.reporting.records import read_text
from hearai.reporting.study_report import tables
from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.findings.boundary import ends_to_widen
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary
from hearai.search.storage.layout import BEST_MODEL, COMMANDS
from hearai.training.outputs.layout import holds_checkpoint

SCRIPTS = ("tune.py", "submit.py")
"""Scripts that start a search."""
MORE = 0.5
"""Further trials of an extended search, as a share of those that there were."""
FIRST_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  (python .+)$")


@dataclass(frozen=True)
class Command:
    """A command line, and what it does."""

    purpose: str
    text: str


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet where neither the command of the search nor a winner is known."""
    commands = [*_of_search(record, summary), *_of_winner(record)]
    if not commands:
        raise NotYet("The command of this search is not recorded.")
    return {"commands": commands}


def _of_search(record: StudyRecord, summary: StudySummary) -> Iterator[Command]:
    words = _last_command(record)
    if not words:
        return
    yield Command("The search; the same command continues it, or repeats it under another --name", shlex.join(words))
    total = summary.trials.total
    more = _with_trials(words, total + max(1, round(MORE * total)))
    yield Command("To extend the search with more trials", shlex.join(more))
    options = {end.path: end.option for end in ends_to_widen(record)}  # one for each range
    if options:
        purpose = "To widen the ranges whose ends have the best values; the trials stay"
        yield Command(purpose, f"{shlex.join(more)} {' '.join(options.values())}")


def _last_command(record: StudyRecord) -> Sequence[str]:
    """The words of the last command of `command.txt`; none if another program called the search."""
    path = record.folder / COMMANDS
    lines = read_text(path).splitlines() if path.exists() else []
    found = [match[2] for line in lines if (match := FIRST_LINE.match(line)) and line.isprintable()]
    try:
        words = shlex.split(found[-1]) if found else []
    except ValueError:  # a line that was edited
        return []
    return words if len(words) > 1 and words[1].endswith(SCRIPTS) else []


def _with_trials(words: Sequence[str], trials: int) -> list[str]:
    """The command with another number of trials."""
    kept, skip = [], False
    for word in words:
        if skip or word.startswith("--trials="):
            skip = False
        elif word == "--trials":
            skip = True
        else:
            kept.append(word)
    return [*kept, "--trials", str(trials)]


def _of_winner(record: StudyRecord) -> Iterator[Command]:
    if train := tables.train_command(record):
        yield Command("To train the winner again", train)
    best = record.folder / BEST_MODEL
    if holds_checkpoint(best):
        folder = shlex.quote(str(best))
        yield Command(
            "To score the winner on other clips",
            f"python experiments/evaluate.py --checkpoint {folder} --data-path DIR",
        )
        yield Command("To predict clips", f"python experiments/predict.py --checkpoint {folder} CLIP ...")
        yield Command("To use it in another program", f"python experiments/export.py --checkpoint {folder} --to onnx")


CARD = Card("how-to-continue", "How to continue", "", build)
