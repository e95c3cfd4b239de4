"""The commands to reproduce the search, to extend it, to widen its ranges, and to use its winner."""

import math
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
from hearai.reporting.text import without_options
from hearai.search.storage.layout import BEST_MODEL, COMMANDS
from hearai.training.outputs.layout import holds_checkpoint

SCRIPTS = ("tune.py", "submit.py")
"""Scripts that start a search."""
MORE = 0.5
"""Further trials of an extended search, as a share of those that there were; also of its other budgets."""
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
    more = _extended(record, summary, words)
    yield Command("To extend the search by half", shlex.join(more))
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


def _extended(record: StudyRecord, summary: StudySummary, words: Sequence[str]) -> list[str]:
    """The command with larger budgets, and without a stopping criterion that has been met."""
    budget = record.study.settings.budget
    limits = {
        "--trials": max(summary.trials.total, budget.trials),
        "--epoch-budget": budget.epochs,
        "--time-budget": budget.seconds,
    }
    larger = {option: math.ceil((1 + MORE) * limit) for option, limit in limits.items() if limit is not None}
    kept = without_options(words, [*limits, "--stop-when"])
    units = {"--time-budget": "s"}
    return [*kept, *(word for option, limit in larger.items() for word in (option, f"{limit}{units.get(option, '')}"))]


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
