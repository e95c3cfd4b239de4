"""Chosen landmarks of a clip, with their changes over time -> one vector per frame.

B clips, T frames, P chosen points, C channels of a point (x, y, z, known), F features of a frame, W width.

Source: the first place of Kaggle "Google - Isolated Sign Language Recognition" 2023 (Hoyeol Sohn,
https://www.kaggle.com/competitions/asl-signs/discussion/406684): x and y of 118 points with their first and second
differences as channels, through one linear layer. Filling missing points by interpolation in time: arXiv 2510.24887.
Differences: the points are those of our landmark files; second differences are those of neighbouring frames instead of
lag two (together with the first ones they span the same space); a further channel says which points are known; the
joints of a hand are also given relative to its wrist and size, without which few clips do not suffice to learn hand
shapes (compare Bohacek & Hruz 2022, "Sign Pose-based Transformer"); a second linear layer, since one cannot relate
points to each other (docs/models.md has what it gave); layer norm instead of batch norm, whose statistics would depend
on the padding.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hearai.models.feature_extractors import Backbone
from hearai.sign.skeleton import BODY, LEFT, POINT_GROUPS, RIGHT

CHANNELS_PER_POINT = 7
"""x and y, their first and second differences, and whether the point is known."""
HAND_CHANNELS = 2 * (BODY - LEFT)
"""x and y of all points of both hands, relative to the wrist."""


class LandmarkPoints(nn.Module):
    """Features of the chosen points, through two linear layers.

    Args:
        points: names of `POINT_GROUPS`; their order has no influence.
        width: width of the vector.
    """

    def __init__(self, points: Sequence[str], *, width: int = 256):
        super().__init__()
        self.width = width
        chosen = sorted(index for name in set(points) for index in POINT_GROUPS[name])
        self.register_buffer("chosen_P", torch.tensor(chosen), persistent=False)
        self.reads_hands = "hands" in points
        features = len(chosen) * CHANNELS_PER_POINT + HAND_CHANNELS * self.reads_hands
        self.enter = nn.Linear(features, width)
        self.norm, self.second = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, landmarks_BTPC: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T, W) from normalised points with a `known` channel, see `hearai.data.landmarks.clip_points`.

        The content of unknown points and of frames where the mask is false has no influence, NaN included.
        """
        hidden_BTW = F.gelu(self.norm(self.enter(self.features(landmarks_BTPC, mask_BT))))
        return F.gelu(self.second(hidden_BTW))

    def features(self, landmarks_BTPC: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T, F): `CHANNELS_PER_POINT` of each chosen point, then `HAND_CHANNELS`; 0 in padded frames."""
        points_BTPC = landmarks_BTPC[:, :, self.chosen_P]
        known_BTP = (points_BTPC[..., 3] > 0.5) & mask_BT.unsqueeze(-1)
        xy_BTP2 = fill_in_time(points_BTPC[..., :2], known_BTP)
        first_BTP2 = differences(xy_BTP2, mask_BT)
        second_BTP2 = differences(first_BTP2, mask_BT)
        known_BTP1 = known_BTP.unsqueeze(-1).to(xy_BTP2.dtype)
        parts = [torch.cat((xy_BTP2, first_BTP2, second_BTP2, known_BTP1), -1).flatten(2)]
        if self.reads_hands:  # their points come first
            parts += [from_wrist(xy_BTP2[:, :, first : first + RIGHT], mask_BT).flatten(2) for first in (LEFT, RIGHT)]
        return torch.cat(parts, -1).masked_fill(~mask_BT.unsqueeze(-1), 0)


def from_wrist(hand_BTP2: Tensor, mask_BT: Tensor) -> Tensor:
    """Points of a hand relative to its wrist, in units of the hand's mean extent over the clip."""
    relative_BTP2 = hand_BTP2 - hand_BTP2[:, :, :1]
    extent_BT = relative_BTP2.square().sum(-1).amax(2).sqrt()
    mean_B = extent_BT.masked_fill(~mask_BT, 0).sum(1) / mask_BT.sum(1)
    return relative_BTP2 / mean_B.clamp(min=1e-3).view(-1, 1, 1, 1)


def fill_in_time(x_BTPC: Tensor, known_BTP: Tensor) -> Tensor:
    """Replaces unknown points by linear interpolation between the frames before and after that know them.

    Before its first and after its last known frame a point stays where it is there; one that is never known is 0.
    """
    frames = x_BTPC.shape[1]
    x_BTPC = x_BTPC.masked_fill(~known_BTP.unsqueeze(-1), 0)
    time_1T1 = torch.arange(frames, device=x_BTPC.device).view(1, -1, 1)
    # the frames that know a point come first, in order; sorting, because ONNX has no cumulative maximum
    ordered_BTP = torch.where(known_BTP, time_1T1, frames).sort(1).values.clamp(max=frames - 1)
    seen_BTP = known_BTP.long().cumsum(1)
    total_B1P = known_BTP.long().sum(1, keepdim=True)
    last_BTP = (seen_BTP - 1).clamp(min=0)
    next_BTP = torch.minimum(seen_BTP - known_BTP.long(), total_B1P - 1).clamp(min=0)
    before_BTP, after_BTP = ordered_BTP.gather(1, last_BTP), ordered_BTP.gather(1, next_BTP)
    share_BTP = (time_1T1 - before_BTP) / (after_BTP - before_BTP).clamp(min=1)
    return torch.lerp(*(_at(x_BTPC, index) for index in (before_BTP, after_BTP)), share_BTP.unsqueeze(-1).to(x_BTPC))


def _at(x_BTPC: Tensor, frame_BTP: Tensor) -> Tensor:
    return x_BTPC.gather(1, frame_BTP.unsqueeze(-1).expand(*frame_BTP.shape, x_BTPC.shape[-1]))


def differences(x_BTPC: Tensor, mask_BT: Tensor) -> Tensor:
    """The change from each frame to the next one; 0 where that one is padding or does not exist."""
    last = x_BTPC.shape[1] - 1
    time_T = torch.arange(last + 1, device=x_BTPC.device)
    next_T = (time_T + 1).clamp(max=last)
    has_next_BT = mask_BT[:, next_T] & (time_T < last)
    return (x_BTPC[:, next_T] - x_BTPC).masked_fill(~has_next_BT[..., None, None], 0)


def points_backbone(_: str, pretrained: bool, *, points: Sequence[str]) -> Backbone:
    """`LandmarkPoints` of the config."""
    assert not pretrained, "it has no published weights"
    net = LandmarkPoints(points)
    return Backbone(net, net.width)
