"""WLASL: one JSON file of glosses and their instances; videos are named by `video_id`, and many are gone."""

from hearai.data.importers.samples import Samples
from hearai.data.importers.source import Source
from hearai.data.importers.tables import read_json

FPS = 25
"""Frames are counted from 1 at this rate, where an instance gives none."""


def read(source: Source) -> Samples:
    """The instances of WLASL_v0.3.json, asl100.json, ... in a folder with ID.mp4 or videos/ID.mp4."""
    samples, path = Samples(source), source.one_file("WLASL*.json", "asl*.json")
    for number, entry in enumerate(read_json(path)):
        instances = entry.get("instances")
        if not isinstance(instances, list) or not all(isinstance(instance, dict) for instance in instances):
            samples.problems.add("", f"{path}: gloss {number}: no list of instances; expected the JSON file of WLASL")
            continue
        for place, instance in enumerate(instances):
            where = f"{path}: gloss {number}, instance {place}"
            start, end = instance.get("frame_start"), instance.get("frame_end")
            video = instance.get("video_id")
            video = str(video) if isinstance(video, str | int) else ""
            samples.add(
                where,
                name=video,
                file=video,
                word=entry.get("gloss"),
                number=number,
                signer=instance.get("signer_id"),
                trim=samples.trim(where, start, end, fps=instance.get("fps", FPS), base=1),
                box=samples.box(where, instance.get("bbox"), is_share=False),
                split=str(instance.get("split")),
            )
    return samples
