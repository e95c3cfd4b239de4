"""What a search writes for the report beside its journal: facts of the dataset, and the winner's confusions."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from hearai.config.study import read_study
from hearai.data.annotations.load import load_data
from hearai.data.tools.dataset_facts import dataset_facts, write_dataset_facts
from hearai.training.inference.confusion_record import ConfusionRecord, Example, ExamplesRecord, HeadConfusion


def write_facts(folder: Path) -> None:
    """`data.json` of a study folder."""
    base = read_study(folder / "study.yaml")[0].base
    write_dataset_facts(dataset_facts(load_data(base), base), folder / "data.json")


def write_confusions(folder: Path, counts: Sequence[tuple[int, int, int]], *, classes: int = 3, **names: str) -> None:
    """`test_confusion.json` of the finished study, with one head; `names`: of its classes, as `c0="hello"`."""
    known = {int(key[1:]): name for key, name in names.items()}
    head = HeadConfusion(classes=classes, names=known, counts=list(counts))
    record = ConfusionRecord(trial=1, seeds=[1, 2], runs=2, clips=4, heads={"gloss": head})
    (folder / "test_confusion.json").write_text(record.model_dump_json())


def write_examples(folder: Path, true: int, predicted: int, *, note: str = "") -> None:
    """`test_examples.json` of the finished study: three grey frames of each of two clips."""
    buffer = io.BytesIO()
    Image.new("RGB", (96, 96), (90, 120, 160)).save(buffer, format="JPEG")
    frames = [base64.b64encode(buffer.getvalue()).decode()] * 3
    example = Example(
        head="gloss",
        true=true,
        predicted=predicted,
        clip="data/c1",
        frames=frames,
        other="data/c2",
        other_frames=frames,
    )
    record = ExamplesRecord(trial=1, seeds=[1, 2], examples=[example], note=note)
    (folder / "test_examples.json").write_text(record.model_dump_json())
