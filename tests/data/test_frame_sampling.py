"""The choice of the frames of a clip."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hearai.data.annotations.clip import Clip
from hearai.data.frame_sampling import FrameSampler, sample_frames, sampling_notes


def frames_of(
    *counts: int, start: int = 0, seed: int | None = None, fps: float | None = None, **values
) -> list[list[int]]:
    """The frames that are chosen of clips with these numbers of frames."""
    sampler = FrameSampler([(start, start + count - 1, fps) for count in counts], **{"num_segments": 3, **values})
    frames_NT = sampler.frames(None if seed is None else torch.Generator().manual_seed(seed))
    for frames_T, length in zip(frames_NT, sampler.lengths_N, strict=True):
        assert frames_T[length:].eq(frames_T[length - 1]).all()
    return [frames_T[:length].tolist() for frames_T, length in zip(frames_NT, sampler.lengths_N, strict=True)]


def test_centres_of_the_segments_are_taken():
    assert frames_of(9, start=10) == [[11, 14, 17]]
    assert sample_frames(10, 18, num_segments=3) == [11, 14, 17]


def test_short_clip_yields_every_frame_once():
    for seed in (None, 0):
        assert frames_of(3, 1, start=4, num_segments=8, seed=seed) == [[4, 5, 6], [4]]


def test_jitter_covers_its_segment_and_nothing_else():
    drawn = frames_of(*[9] * 300, seed=0)
    for segment in range(3):
        counts = Counter(frames[segment] for frames in drawn)
        assert set(counts) == {3 * segment, 3 * segment + 1, 3 * segment + 2}
        assert min(counts.values()) > 60


def test_time_sets_the_spacing_and_segments_the_count():
    (frames,) = frames_of(101, num_segments=4, time=0.2, fps=25)
    assert [b - a for a, b in pairwise(frames)] == [5, 5, 5]
    assert frames[0] + frames[-1] == pytest.approx(100, abs=1)  # centred


def test_time_yields_fewer_frames_for_a_short_clip():
    assert [len(frames) for frames in frames_of(11, 40, num_segments=8, time=0.2, fps=25)] == [3, 8]


def test_rounding_errors_do_not_lose_a_frame():
    assert frames_of(8, num_segments=8, time=0.28, fps=25) == [[0, 7]]  # 0.28 * 25 > 7 in floats


def test_jitter_with_time_shifts_all_frames_together():
    drawn = frames_of(*[21] * 200, time=0.2, fps=25, seed=0)
    assert all([b - a for a, b in pairwise(frames)] == [5, 5] for frames in drawn)
    assert {frames[0] for frames in drawn} >= set(range(10))


def test_time_without_frames_per_second_is_refused():
    with pytest.raises(ValueError, match="frames per second"):
        frames_of(8, time=0.1)


@pytest.mark.heavy
@given(
    start=st.integers(0, 50),
    counts=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    num_segments=st.integers(1, 40),
    time=st.none() | st.floats(0.001, 3),
    fps=st.floats(1, 120),
    seed=st.none() | st.integers(0, 5),
)
def test_frames_increase_and_stay_within_the_clip(start, counts, num_segments, time, fps, seed):
    chosen = frames_of(*counts, start=start, num_segments=num_segments, time=time, fps=fps, seed=seed)
    for frames, count in zip(chosen, counts, strict=True):
        assert 1 <= len(frames) <= num_segments
        assert frames == sorted(set(frames))
        assert start <= frames[0] <= frames[-1] < start + count
        if time is None:
            assert len(frames) == min(num_segments, count)


def clips_of(dataset: str, sizes: list[int], fps: float | None = None) -> list[Clip]:
    return [Clip(f"c{i}", Path("data"), 3, 2 + n, {}, fps=fps, dataset=dataset) for i, n in enumerate(sizes)]


def test_padding_is_noted_once_per_dataset():
    clips = [*clips_of("pjm", [3, 8, 7, 12]), *clips_of("glex", [8, 8]), *clips_of("gsll", [20])]
    assert sampling_notes(clips, num_segments=8) == [
        "pjm: 2 of 4 clips have fewer than 8 frames: padded with a mask; "
        "1 of 4 clips have more than 8 frames: 8 spread over the clip are used",
        "gsll: 1 of 1 clips have more than 8 frames: 8 spread over the clip are used",
    ]


def test_cutting_is_noted_when_sampling_by_time():
    # at 10 frames a second, 4 frames 0.5 s apart need 16 to 20 frames
    clips = clips_of("pjm", [15, 16, 20, 21, 40], fps=10)
    assert sampling_notes(clips, num_segments=4, time=0.5) == [
        "pjm: 1 of 5 clips have fewer than 4 frames 0.5 s apart: padded with a mask; "
        "2 of 5 clips have more than 4 frames 0.5 s apart: the ends are cut off"
    ]


@pytest.mark.heavy
@given(count=st.integers(1, 60), most=st.integers(1, 12), time=st.sampled_from([None, 0.04, 0.28, 1.0]))
def test_notes_match_the_sampling(count: int, most: int, time: float | None):
    (taken,) = frames_of(count, start=3, num_segments=most, time=time, fps=25)
    said = sampling_notes(clips_of("a", [count], fps=25), num_segments=most, time=time)
    (more,) = frames_of(count, start=3, num_segments=most + 1, time=time, fps=25)
    assert ("padded" in "".join(said)) == (len(taken) < most)
    assert ("have more than" in "".join(said)) == (len(more) > len(taken))
