"""Graph convolutions over the landmarks of one frame. N frames, P points, C coordinates, D width of a point.

Source: Kipf & Welling 2017, "Semi-Supervised Classification with Graph Convolutional Networks"; joints as nodes and
bones as edges after Yan et al. 2018, "Spatial Temporal Graph Convolutional Networks", without the part over time,
which is the transformer's here.
"""

import torch
from torch import nn

from hearai.sign.skeleton import BODY, BONES, LEFT, POINTS, RIGHT


def adjacency() -> torch.Tensor:
    """(P, P), 1 where a bone joins two points and on the diagonal."""
    joined_PP = torch.eye(POINTS)
    for a, b in BONES:
        joined_PP[a, b] = joined_PP[b, a] = 1
    return joined_PP


class GraphConvolution(nn.Module):
    """A point hears the mean of itself and its known neighbours, and keeps what it was (a residual)."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own, self.heard = nn.Linear(width, width), nn.Linear(width, width, bias=False)

    def forward(self, x_NPD: torch.Tensor, weight_NPP: torch.Tensor) -> torch.Tensor:
        """weight_NPP: how much point p hears of each point; a row sums to 1, or to 0 where nothing is known."""
        normed_NPD = self.norm(x_NPD)
        return x_NPD + nn.functional.gelu(self.own(normed_NPD) + weight_NPP @ self.heard(normed_NPD))


class LandmarkGraph(nn.Module):
    """Points of the hands and the body of a frame -> one vector.

    Each point brings its place, its place relative to its own wrist (for a hand; else to the shoulders' middle, where
    the origin is), and which joint it is. A point that is not known is neither heard nor read.

    Args:
        width: of the vector.
        hidden: width of a point.
        layers: graph convolutions, so the longest way that a message goes.
    """

    def __init__(self, *, width: int = 256, hidden: int = 64, layers: int = 3):
        super().__init__()
        self.width = width
        self.register_buffer("joined_PP", adjacency(), persistent=False)
        origin = torch.tensor([LEFT] * RIGHT + [RIGHT] * (BODY - RIGHT) + [BODY] * (POINTS - BODY))
        self.register_buffer("origin_P", origin, persistent=False)
        self.register_buffer("is_hand_P1", (torch.arange(POINTS) < BODY).float().unsqueeze(1), persistent=False)
        self.enter = nn.Linear(6, hidden)
        self.joint_PD = nn.Parameter(torch.randn(POINTS, hidden) * 0.1)
        self.blocks = nn.ModuleList(GraphConvolution(hidden) for _ in range(layers))
        self.leave = nn.Linear(hidden, 16)
        self.read = nn.Sequential(nn.LayerNorm(POINTS * 16), nn.Linear(POINTS * 16, width), nn.GELU())

    def forward(self, landmarks_NPC: torch.Tensor) -> torch.Tensor:
        """(N, W) of normalised points with a `known` channel, see `hearai.data.landmarks`."""
        place_NP3, known_NP1 = landmarks_NPC[..., :3], landmarks_NPC[..., 3:]
        from_wrist_NP3 = (place_NP3 - place_NP3[:, self.origin_P]) * known_NP1[:, self.origin_P] * self.is_hand_P1
        x_NPD = self.enter(torch.cat((place_NP3, from_wrist_NP3), -1)) + self.joint_PD
        heard_NPP = self.joined_PP * known_NP1.transpose(1, 2)
        heard_NPP = heard_NPP / heard_NPP.sum(-1, keepdim=True).clamp(min=1)
        for block in self.blocks:
            x_NPD = block(x_NPD, heard_NPP)
        return self.read((self.leave(x_NPD) * known_NP1).flatten(1))
