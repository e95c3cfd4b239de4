"""Which frames of a clip are looked at."""

import random
from collections.abc import Iterable

from hearai.data.annotations.clip import Clip

_TINY = 1e-6
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
    """Rising, distinct frame numbers of start..end (inclusive), at most `num_segments` of them.

    Without `time` the clip is cut into `num_segments` segments and one frame is taken of each; a clip with
    fewer frames gives all of them. With `time` the frames are `time` seconds apart, at most `num_segments`
    of them, and the row is centred in the clip.

    Args:
        time: seconds between frames; needs `fps`, the clip's frames per second.
        rng: draws the place inside each segment (or of the whole row, with `time`); None = the centre.
    """
    count = end - start + 1
    if time is None:
        return [start + i for i in _one_of_each_segment(count, min(num_segments, count), rng)]
    if fps is None:
        raise ValueError("sampling by time needs the clip's frames per second")
    return [start + i for i in _evenly_spaced(count, num_segments, max(time * fps, 1.0), rng)]


def _one_of_each_segment(count: int, segments: int, rng: random.Random | None) -> list[int]:
    bounds = [i * count // segments for i in range(segments + 1)]
    pairs = zip(bounds[:-1], bounds[1:], strict=True)
    if rng is None:
        return [(low + high - 1) // 2 for low, high in pairs]
    return [rng.randrange(low, high) for low, high in pairs]


def _evenly_spaced(count: int, most: int, step: float, rng: random.Random | None) -> list[int]:
    taken = min(most, _fitting(count, step))
    slack = max(count - 1 - (taken - 1) * step, 0.0)
    offset = slack / 2 if rng is None else rng.uniform(0, slack)
    return [int(offset + i * step + _TINY) for i in range(taken)]


def _fitting(count: int, step: float) -> int:
    """How many frames that are `step` apart fit into a clip of `count`."""
    return int((count - 1) / step + _TINY) + 1


def sampling_notes(clips: Iterable[Clip], *, num_segments: int, time: float | None = None) -> list[str]:
    """One line a dataset that has clips of fewer or more frames than are taken: how many are padded, cut or thinned.

    Args:
        num_segments, time: as in `sample_frames`; with `time`, clips without frames per second are passed over.
    """
    sizes: dict[str, list[int]] = {}
    for clip in clips:
        if time is None or clip.fps is not None:
            step = 1.0 if time is None else max(time * clip.fps, 1.0)
            sizes.setdefault(clip.dataset_name, []).append(_fitting(clip.end - clip.start + 1, step))
    frames = f"{num_segments} frames" + ("" if time is None else f" {time:g} s apart")
    kept = f"{num_segments} spread over the clip are used" if time is None else "the ends are cut off"
    notes = []
    for name, fitting in sizes.items():
        short = sum(size < num_segments for size in fitting)
        long = sum(size > num_segments for size in fitting)
        parts = [f"{short} of {len(fitting)} clips have fewer than {frames}: padded with a mask"] if short else []
        parts += [f"{long} of {len(fitting)} clips have more than {frames}: {kept}"] if long else []
        notes += [f"{name}: {'; '.join(parts)}"] if parts else []
    return notes
