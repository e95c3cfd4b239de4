"""INCLUDE and INCLUDE-50: `Category,Word,Video,FilePath` in train_*.csv and test_*.csv; signers are unknown."""

import os
import re

from hearai.data.importers.samples import Samples, join_name
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_records


def read(source: Source) -> Samples:
    """Words are written `4. Bird`, with a number within their category that is left out."""
    samples = Samples(source)
    for split, path in source.split_files("train*.csv", "val*.csv", "test*.csv").items():
        for line, row in read_records(path, ("Category", "Word", "FilePath")):
            samples.add(
                f"{path}:{line}",
                name=join_name(*os.path.splitext(row["FilePath"])[0].split("/")),
                file=row["FilePath"],
                word=re.sub(r"^\d+\.\s*", "", row["Word"]),
                split=split,
            )
    return samples
