"""Reads the JSON files of a study folder that older searches did not write: facts of the dataset, and confusions."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from hearai.config.validation import explain
from hearai.data.tools.dataset_facts import DatasetFacts
from hearai.errors import UserError
from hearai.reporting.records import read_text
from hearai.search.storage.layout import CONFUSION, DATASET_FACTS, EXAMPLES
from hearai.training.inference.confusion_record import ConfusionRecord, ExamplesRecord

M = TypeVar("M", bound=BaseModel)
WRITTEN_AGAIN = "delete it; the same search command writes it again"
SHOWN_WITHOUT = "delete it, and the report is written without its content"


def read_facts(folder: Path) -> DatasetFacts | None:
    """The facts of the dataset; None in folders of older searches.

    Raises:
        UserError: the file holds something else.
    """
    return _read(folder / DATASET_FACTS, DatasetFacts, WRITTEN_AGAIN)


def read_confusions(folder: Path) -> ConfusionRecord | None:
    """The winner's confusions on the test clips; None until they are scored, and in folders of older searches.

    Raises:
        UserError: the file holds something else.
    """
    return _read(folder / CONFUSION, ConfusionRecord, SHOWN_WITHOUT)


def read_examples(folder: Path) -> ExamplesRecord | None:
    """Frames of confused clips; None if there is no such file: it may be deleted to report without frames.

    Raises:
        UserError: the file holds something else.
    """
    return _read(folder / EXAMPLES, ExamplesRecord, SHOWN_WITHOUT)


def _read(path: Path, model: type[M], remedy: str) -> M | None:
    if not path.exists():
        return None
    try:
        return model.model_validate_json(read_text(path))
    except (ValidationError, RecursionError) as error:
        reason = explain(error, model)[0] if isinstance(error, ValidationError) else "it is nested too deeply"
        raise UserError(f"{path}: cannot be read ({reason:.150}); {remedy}") from None
