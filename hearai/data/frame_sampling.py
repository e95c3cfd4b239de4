"""Chooses the frames of a clip that the model sees."""

import random
from collections.abc import Iterable

from hearai.data.annotations.clip import Clip

_EPSILON = 1e-6
"""0.28 s x 25 fps is 7.000000000000001 frames."""


def sample_frames(
    start: int,
    end: int,
    *,
    num_segments: int,
    time: float | None = None,
    fps: float | None = None,
    rng: random.Random | None = None,
) -> list[int]:
    """Increasing, distinct frame numbers in start..end (inclusive), at most `num_segments` of them.

    Without `time` the clip is divided into `num_segments` segments and one frame is taken from each; a clip with
    fewer frames yields all of them. With `time` the frames are `time` seconds apart, at most `num_segments`
    of them, centred in the clip.

    Args:
        time: seconds between frames; needs `fps`, the clip's frames per second.
        rng: draws the position within each segment (or of the first frame, with `time`); None = the centre.
    """
    count = end - start + 1
    if time is None:
        return [start + i for i in _one_per_segment(count, min(num_segments, count), rng)]
    if fps is None:
        raise ValueError("sampling by time needs the clip's frames per second")
    return [start + i for i in _evenly_spaced(count, num_segments, max(time * fps, 1.0), rng)]


def _one_per_segment(count: int, segments: int, rng: random.Random | None) -> list[int]:
    bounds = [i * count // segments for i in range(segments + 1)]
    pairs = zip(bounds[:-1], bounds[1:], strict=True)
    if rng is None:
        return [(low + high - 1) // 2 for low, high in pairs]
    return [rng.randrange(low, high) for low, high in pairs]


def _evenly_spaced(count: int, limit: int, step: float, rng: random.Random | None) -> list[int]:
    taken = min(limit, _count_fitting(count, step))
    slack = max(count - 1 - (taken - 1) * step, 0.0)
    offset = slack / 2 if rng is None else rng.uniform(0, slack)
    return [int(offset + i * step + _EPSILON) for i in range(taken)]


def _count_fitting(count: int, step: float) -> int:
    """The number of frames `step` apart that fit into a clip of `count`."""
    return int((count - 1) / step + _EPSILON) + 1


def sampling_notes(clips: Iterable[Clip], *, num_segments: int, time: float | None = None) -> list[str]:
    """One line per dataset that has clips with too few or too many frames: how many are padded, cut or thinned out.

    Args:
        num_segments, time: as in `sample_frames`; with `time`, clips without frames per second are ignored.
    """
    fitting_counts: dict[str, list[int]] = {}
    for clip in clips:
        if time is None:
            step = 1.0
        elif clip.fps is not None:
            step = max(time * clip.fps, 1.0)
        else:
            continue
        fitting_counts.setdefault(clip.dataset_name, []).append(_count_fitting(clip.end - clip.start + 1, step))
    frames = f"{num_segments} frames" + ("" if time is None else f" {time:g} s apart")
    remedy = f"{num_segments} spread over the clip are used" if time is None else "the ends are cut off"
    notes = []
    for dataset, counts in fitting_counts.items():
        short = sum(count < num_segments for count in counts)
        long = sum(count > num_segments for count in counts)
        parts = [f"{short} of {len(counts)} clips have fewer than {frames}: padded with a mask"] if short else []
        parts += [f"{long} of {len(counts)} clips have more than {frames}: {remedy}"] if long else []
        notes += [f"{dataset}: {'; '.join(parts)}"] if parts else []
    return notes
