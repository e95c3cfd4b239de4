"""Random changes of the landmarks of training clips: speed, size, position, and missing points.

T frames, P points, C channels of a point (x, y, z, known). Ranges after the first place of Kaggle "Google - Isolated
Sign Language Recognition" 2023 (https://www.kaggle.com/competitions/asl-signs/discussion/406684). Mirroring, which
images share, is in `hearai.data.transforms`.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from hearai.data.landmarks.clip_points import rotated


@dataclass(frozen=True)
class LandmarkAugmentation:
    """One draw per clip, from torch's global generator; 0 = off.

    The number of draws of a clip depends on its number of points only.
    """

    resample: float = 0.0
    """Maximum relative change of the number of frames."""
    scale: float = 0.0
    """Maximum relative change of size, about the midpoint of the shoulders."""
    shift: float = 0.0
    """Maximum shift along x and y, in widths of the shoulders."""
    rotation: float = 0.0
    """Maximum angle, degrees."""
    time_mask: float = 0.0
    """Longest stretch without points, as a share of the frames; one frame at least keeps them."""
    point_mask: float = 0.0
    """Largest share of points that are unknown in the whole clip."""

    @property
    def is_active(self) -> bool:
        """Whether anything is changed."""
        return any(getattr(self, field.name) for field in fields(self))

    def __call__(self, points_TPC: Tensor) -> Tensor:
        """(T', P, C); points that were unknown remain so."""
        speed, size, right, down, turn, length, start, share = torch.rand(8).tolist()
        place_P = torch.rand(points_TPC.shape[1])
        x_TPC = points_TPC
        if self.resample:
            frames = round(len(x_TPC) * (1 + self.resample * (2 * speed - 1)))
            x_TPC = resampled(x_TPC, max(1, frames))
        if self.rotation:
            x_TPC = rotated(x_TPC, self.rotation * (2 * turn - 1))
        known_TP1 = x_TPC[..., 3:]
        if self.scale or self.shift:
            factor = 1 + self.scale * (2 * size - 1)
            moved_3 = torch.tensor([2 * right - 1, 2 * down - 1, 0.0]) * self.shift
            x_TPC = torch.cat(((x_TPC[..., :3] * factor + moved_3) * known_TP1, known_TP1), -1)
        kept_TP = torch.ones(x_TPC.shape[:2], dtype=torch.bool)
        if self.time_mask:
            kept_TP &= ~_stretch(len(x_TPC), self.time_mask, length, start).unsqueeze(1)
        if self.point_mask:
            kept_TP &= place_P >= self.point_mask * share
        return x_TPC * kept_TP.unsqueeze(-1)


def _stretch(frames: int, share: float, length_draw: float, start_draw: float) -> Tensor:
    """(T,), true in a stretch of 0 frames to this share of them, but never in all; the draws are in [0, 1)."""
    longest = min(int(share * frames), frames - 1)
    length = int(length_draw * (longest + 1))
    first = int(start_draw * (frames - length + 1))
    time_T = torch.arange(frames)
    return (time_T >= first) & (time_T < first + length)


def resampled(points_TPC: Tensor, frames: int) -> Tensor:
    """The clip with another number of frames, from its first to its last one, by linear interpolation.

    Between a known and an unknown point the nearer one is taken.
    """
    last = len(points_TPC) - 1
    place_T = torch.linspace(0, last, frames) if frames > 1 else torch.tensor([last / 2])
    before_T = place_T.floor().long()
    after_T = (before_T + 1).clamp(max=last)
    share_T11 = (place_T - before_T).view(-1, 1, 1)
    before_TPC, after_TPC = points_TPC[before_T], points_TPC[after_T]
    both_TP1 = (before_TPC[..., 3:] > 0) & (after_TPC[..., 3:] > 0)
    nearest_TPC = torch.where(share_T11 < 0.5, before_TPC, after_TPC)
    return torch.where(both_TP1, torch.lerp(before_TPC, after_TPC, share_T11), nearest_TPC)
