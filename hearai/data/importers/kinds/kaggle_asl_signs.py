"""Kaggle ASL Signs (Google Isolated Sign Language Recognition): landmarks, one parquet file for each clip."""

from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_records


def read(source: Source) -> Samples:
    """train.csv: path, participant_id, sequence_id, sign. There is no official split."""
    samples, path = Samples(source), source.one_file("train.csv")
    for line, row in read_records(path, ("path", "participant_id", "sequence_id", "sign")):
        where = f"{path}:{line}"
        if not samples.is_inside(where, row["path"]):
            continue
        samples.add(
            where,
            name=f"{row['participant_id']}_{row['sequence_id']}",
            file=source.media / row["path"],
            word=row["sign"],
            form="landmarks",
            signer=row["participant_id"],
        )
    return samples
