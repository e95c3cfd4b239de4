"""MS-ASL: one JSON file for each split; several clips of one video, which the user downloads and names by its id."""

import re
from pathlib import Path
from typing import Any

from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_json

YOUTUBE_ID = re.compile(r"(?:v=|youtu\.be/|/embed/|/v/)([\w-]{11})")


def read(source: Source) -> Samples:
    """The entries of MSASL_train.json, MSASL_val.json, MSASL_test.json; the subset 100 is the labels below 100.

    The video is ID.mp4 of the address in `url`, or has the name in `file`. Times are `start_time` and `end_time` in
    seconds, else `start` and `end` in frames from 0 at `fps` or the video's rate.
    """
    samples = Samples(source)
    for split, path in source.split_files("MSASL_*.json").items():
        for number, entry in enumerate(read_json(path)):
            where = f"{path}: entry {number}"
            label = entry.get("label")
            if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < 1000:
                samples.problems.add("", f"{where}: label {label!r}; expected a number of 0..999")
                continue
            sides = entry.get("box")
            if isinstance(sides, list) and len(sides) == 4:
                sides = [sides[1], sides[0], sides[3], sides[2]]  # y comes first
            samples.add(
                where,
                name=f"{split}_{number:05d}",
                file=_video(source, entry),
                word=entry.get("clean_text") or entry.get("text"),
                number=label,
                signer=entry.get("signer_id"),
                trim=_trim(samples, where, entry),
                box=samples.box(where, sides, is_share=True),
                split=split,
            )
    return samples


def _trim(samples: Samples, where: str, entry: dict[str, Any]) -> Any:
    if "start_time" in entry and "end_time" in entry:
        return samples.trim(where, entry["start_time"], entry["end_time"], unit="seconds")
    return samples.trim(where, entry.get("start"), entry.get("end"), fps=entry.get("fps"))


def _video(source: Source, entry: dict[str, Any]) -> str | Path:
    """The first of the possible names that exists; else the first one."""
    url = str(entry.get("url", ""))
    match = YOUTUBE_ID.search(url)
    names = [match[1]] if match else []
    names += [
        str(name).replace("/", "_") for name in (entry.get("file"), url.partition("?")[0].rpartition("/")[2]) if name
    ]
    for name in names:
        path, several = source.find_video(name)
        if path.is_file() or several:
            return name
    return names[0] if names else "unknown"
