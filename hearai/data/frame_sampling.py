"""Chooses the frames that the model sees, for all clips of a dataset at once. N clips, at most T frames each."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from hearai.data.annotations.clip import Clip

_EPSILON = 1e-6
"""0.28 s x 25 fps is 7.000000000000001 frames."""


class FrameSampler:
    """Increasing, distinct frame numbers of each clip, all in its start..end (inclusive).

    Without `time` a clip is divided into `num_segments` segments and one frame is taken from each; a clip with
    fewer frames yields all of them. With `time` the frames are `time` seconds apart, at most `num_segments`
    of them, centred in the clip.

    Args:
        spans: (start, end, frames per second or None) of each clip.
        time: seconds between frames; needs the frames per second of every clip.

    Raises:
        ValueError: `time` without frames per second.
    """

    def __init__(self, spans: Sequence[tuple[int, int, float | None]], *, num_segments: int, time: float | None = None):
        self._starts_N1 = torch.tensor([[start] for start, _, _ in spans], dtype=torch.int64).view(-1, 1)
        counts = [end - start + 1 for start, end, _ in spans]
        self._counts_N1 = torch.tensor(counts, dtype=torch.int64).view(-1, 1)
        self._steps_N1: Tensor | None = None
        if time is None:
            lengths = [min(num_segments, count) for count in counts]
        else:
            steps = [_step(time, fps) for _, _, fps in spans]
            self._steps_N1 = torch.tensor(steps, dtype=torch.float64).view(-1, 1)
            lengths = [
                min(num_segments, _count_fitting(count, step)) for count, step in zip(counts, steps, strict=True)
            ]
        self.lengths_N = torch.tensor(lengths, dtype=torch.int64)
        """Number of frames of each clip."""
        self._index_T = torch.arange(max(lengths, default=0))

    def frames(self, generator: torch.Generator | None = None) -> Tensor:
        """Frame numbers (N, T); where a clip has fewer than T, its last one is repeated.

        Args:
            generator: draws the position within each segment (or of a clip's first frame, with `time`);
                None = the centre.
        """
        places_NT = self._segments(generator) if self._steps_N1 is None else self._even(self._steps_N1, generator)
        last_N1 = places_NT.gather(1, self.lengths_N.view(-1, 1) - 1)
        return self._starts_N1 + torch.minimum(places_NT, last_N1)

    def _segments(self, generator: torch.Generator | None) -> Tensor:
        lengths_N1 = self.lengths_N.view(-1, 1)
        low_NT = self._index_T * self._counts_N1 // lengths_N1
        high_NT = (self._index_T + 1) * self._counts_N1 // lengths_N1
        if generator is None:
            return (low_NT + high_NT - 1) // 2
        draws_NT = torch.rand(low_NT.shape, generator=generator, dtype=torch.float64)
        return low_NT + (draws_NT * (high_NT - low_NT)).long()

    def _even(self, steps_N1: Tensor, generator: torch.Generator | None) -> Tensor:
        slack_N1 = (self._counts_N1 - 1 - (self.lengths_N.view(-1, 1) - 1) * steps_N1).clamp(min=0)
        draws_N1 = 0.5 if generator is None else torch.rand(slack_N1.shape, generator=generator, dtype=torch.float64)
        return (draws_N1 * slack_N1 + self._index_T * steps_N1 + _EPSILON).long()


def sample_frames(start: int, end: int, *, num_segments: int) -> list[int]:
    """The frames at the centres of the segments of a single clip; see `FrameSampler`."""
    return FrameSampler([(start, end, None)], num_segments=num_segments).frames()[0].tolist()


def _step(time: float, fps: float | None) -> float:
    """Frames from one chosen frame to the next."""
    if fps is None:
        raise ValueError("sampling by time needs the clip's frames per second")
    return max(time * fps, 1.0)


def _count_fitting(count: int, step: float) -> int:
    """The number of frames `step` apart that fit into a clip of `count`."""
    return int((count - 1) / step + _EPSILON) + 1


def sampling_notes(clips: Iterable[Clip], *, num_segments: int, time: float | None = None) -> list[str]:
    """One line per dataset that has clips with too few or too many frames: how many are padded, cut or thinned out.

    Args:
        num_segments, time: as in `FrameSampler`; with `time`, clips without frames per second are ignored.
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
