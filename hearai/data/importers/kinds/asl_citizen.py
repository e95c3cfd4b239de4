"""ASL Citizen: splits/{train,val,test}.csv with signers in one split each; videos/*.mp4."""

from pathlib import PurePosixPath

from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_rows
from hearai.data.videos import SUFFIXES


def read(source: Source) -> Samples:
    """Columns by position: participant, video file, gloss, code in ASL-LEX (which may be missing)."""
    samples = Samples(source)
    for split, path in source.split_files("*train*.csv", "*val*.csv", "*test*.csv").items():
        for line, fields in read_rows(path):
            is_video = len(fields) > 1 and PurePosixPath(fields[1]).suffix.lower() in SUFFIXES
            if line == 1 and not is_video:
                continue  # the header
            if len(fields) < 3 or not is_video:
                found = f"{path}:{line}: {len(fields)} columns, the second is {fields[1:2]}"
                samples.problems.add("", f"{found}; expected participant, video file, gloss, ASL-LEX code")
                continue
            file = PurePosixPath(fields[1])
            samples.add(f"{path}:{line}", name=file.stem, file=fields[1], word=fields[2], signer=fields[0], split=split)
    return samples
