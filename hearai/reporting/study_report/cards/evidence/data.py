"""The data of a search: clips, signers and split, the classes of each head, and how far the most frequent one gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hearai.data.annotations.metadata import HAMNOSYS, class_name, read_class_list
from hearai.data.annotations.split import PARTS
from hearai.data.tools.dataset_facts import DatasetFacts, HeadFacts
from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary
from hearai.search.storage.layout import CLASS_NAMES
from hearai.sign.hamnosys import short_meaning


@dataclass(frozen=True)
class HeadRow:
    """One head of the data."""

    name: str
    classes: int
    """Those that the model has."""
    trained: int
    """Those with training clips."""
    labelled: Mapping[str, int]
    """{part: clips with a label}"""
    untrained: Mapping[str, int]
    """{val, test: clips of classes without training clips}"""
    most_frequent: str
    """Name of the class that most training clips have."""
    majority: Mapping[str, float | None]
    """{part: accuracy of always predicting it}; None without labels."""


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet for folders of older searches."""
    facts = record.facts
    if facts is None:
        raise NotYet(
            "This study was started by an older version, which kept no facts of its dataset; running the same search "
            "command again writes them (data.json)."
        )
    names = _names(record)
    return {
        "facts": facts,
        "unknown_signers": sum(part.unknown_signer for part in facts.parts.values()),
        "parts": {name: facts.parts[name] for name in PARTS if name in facts.parts},
        "heads": [_head_row(head, one, names) for head, one in facts.heads.items()],
        "padding": _padding_text(facts),
        "searched_segments": "train_parameters.num_segments" in record.study.space.domains,
    }


def _names(record: StudyRecord) -> Mapping[str, Mapping[int, str]]:
    path = record.folder / CLASS_NAMES
    return {**HAMNOSYS, **(read_class_list(path) if path.exists() else {})}


def _head_row(head: str, facts: HeadFacts, names: Mapping[str, Mapping[int, str]]) -> HeadRow:
    train = facts.counts.get("train", {})
    label = max(train, key=lambda k: (train[k], -k), default=None)
    return HeadRow(
        name=head,
        classes=facts.classes,
        trained=len(train),
        labelled={part: facts.labelled(part) for part in PARTS},
        untrained={part: facts.untrained(part)[1] for part in PARTS[1:]},
        most_frequent="-" if label is None else short_meaning(class_name(names, head, label)),
        majority={part: _share(facts, part, label) for part in PARTS},
    )


def _share(facts: HeadFacts, part: str, label: int | None) -> float | None:
    labelled = facts.labelled(part)
    return None if label is None or not labelled else facts.counts[part].get(label, 0) / labelled


def _padding_text(facts: DatasetFacts) -> str:
    padding = facts.padding
    frames = f"{padding.num_segments} frames" + (f" {padding.time:g} s apart" if padding.time else "")
    if not padding.padded:
        return f"The model of the base config sees {frames} of a clip; no clip is shorter, so nothing is padded."
    return (
        f"The model of the base config sees {frames} of a clip; {padding.padded:,} of {facts.clips:,} clips are "
        f"shorter and padded with a mask, which is {padding.missing_share:.1%} of all frames."
    )


CARD = Card("data", "Data", "The clips that were trained and scored on.", build)
