"""Any table: one row for each clip, whose columns are named by the user."""

import os
from collections import Counter

from hearai.data.importers.samples import Samples, join_name
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_records
from hearai.errors import DataError

REQUIRED = ("video", "gloss")
OPTIONAL = ("signer", "start", "end", "fps", "split")
MEANINGS = (*REQUIRED, *OPTIONAL)
"""What a column may be; by default it has this name."""


def read(source: Source) -> Samples:
    """The clips of a .csv or .tsv file; several rows of one video are several clips, numbered in their order.

    Frames are counted from 1, at the rate in the column `fps` or that of the video.
    """
    if unknown := sorted(source.columns.keys() - set(MEANINGS)):
        raise DataError(f"--columns {', '.join(unknown)}: unknown; expected {', '.join(MEANINGS)}")
    samples, path = Samples(source), source.one_file("*.csv", "*.tsv")
    columns = {meaning: source.columns.get(meaning, meaning) for meaning in MEANINGS}
    given = [columns[meaning] for meaning in MEANINGS if meaning in REQUIRED or meaning in source.columns]
    optional = [column for column in columns.values() if column not in given]
    rows = list(read_records(path, given, optional))
    clips_of, number_of = Counter(row[columns["video"]] for _, row in rows), Counter[str]()
    seen: dict[tuple[str, ...], int] = {}
    base = 1 if source.times == "frames" else 0
    for line, row in rows:
        where = f"{path}:{line}"
        video, start, end = (row.get(columns[meaning], "") for meaning in ("video", "start", "end"))
        first = seen.setdefault((video, start, end), line)
        if first != line:
            samples.problems.add("", f"{where}: the same stretch of {video!r} as in line {first}; expected it once")
            continue
        number_of[video] += 1
        stem = join_name(*os.path.splitext(video)[0].split("/"))
        samples.add(
            where,
            name=join_name(stem, str(number_of[video])) if clips_of[video] > 1 else stem,
            file=video,
            word=row[columns["gloss"]],
            signer=row.get(columns["signer"]),
            trim=samples.trim(where, start, end, unit=source.times, fps=row.get(columns["fps"]), base=base),
            split=row.get(columns["split"]),
        )
    return samples
