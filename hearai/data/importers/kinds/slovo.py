"""Slovo and Bukva: one table with `attachment_id`, `user_id`, `text`, `train`; videos are named by their id."""

from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_records

IS_TRAIN = {"true": "train", "1": "train", "1.0": "train", "false": "test", "0": "test", "0.0": "test"}


def read(source: Source) -> Samples:
    """annotations.csv (also .tsv); `begin` and `end` are frames from 0 of the videos that were not cut.

    There is no official validation part: it is taken from train by signer where the data is read.
    """
    samples, path = Samples(source), source.one_file("annotations*.csv", "annotations*.tsv")
    for line, row in read_records(path, ("attachment_id", "user_id", "text", "train"), ("begin", "end")):
        where = f"{path}:{line}"
        samples.add(
            where,
            name=row["attachment_id"],
            file=row["attachment_id"],
            word=row["text"],
            signer=row["user_id"],
            trim=samples.trim(where, row.get("begin"), row.get("end")),
            split=IS_TRAIN.get(row["train"].lower(), row["train"]),
        )
    return samples
