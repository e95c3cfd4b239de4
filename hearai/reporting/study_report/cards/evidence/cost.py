"""The cost of a search: where the seconds of its slots went."""

from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.findings.cost import (
    FAILED,
    IDLE,
    IN_TRIALS,
    NOT_TRAINING,
    REST,
    TRAINING,
    TRAINING_FINALS,
    cost_of,
)
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary

MEANINGS = {
    TRAINING: "epochs of the trials, with their evaluation and checkpoints",
    TRAINING_FINALS: "the same, of finalists and base config with new seeds",
    IN_TRIALS: "start of processes, reading data, building models, waiting for decisions",
    FAILED: "from their start to their failure",
    IDLE: "no trial: the last ones of a stage, or too few for the slots",
    NOT_TRAINING: "trials paused or the search was interrupted, so the two are not known separately",
    REST: "writing files, starting and stopping what runs the trials",
}
"""{part: what belongs to it}, where its name does not say so."""
COLOURS = {TRAINING: "winner", TRAINING_FINALS: "base", IN_TRIALS: "best", FAILED: "bad", IDLE: "other"}
COLOURS[NOT_TRAINING] = "other"
"""{part: colour}; the others are grey."""


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet before the time of a trial is known."""
    cost = cost_of(record)
    if cost is None:
        raise NotYet("Needs the time of a trial.")
    rows = [(part, MEANINGS.get(part.name, ""), COLOURS.get(part.name, "soft")) for part in cost.parts]
    return {"cost": cost, "rows": rows, "memory": summary.memory_pss_gb}


CARD = Card(
    "cost",
    "Cost",
    "Where the time went: the wall time multiplied by the trials that could run at once. What happens before and after "
    "the trials counts for all slots.",
    build,
)
