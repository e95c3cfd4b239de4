"""Which frames of a clip are looked at."""

import random


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
    tiny = 1e-6  # 0.28 s x 25 fps is 7.000000000000001 frames
    taken = min(most, int((count - 1) / step + tiny) + 1)
    slack = max(count - 1 - (taken - 1) * step, 0.0)
    offset = slack / 2 if rng is None else rng.uniform(0, slack)
    return [int(offset + i * step + tiny) for i in range(taken)]
