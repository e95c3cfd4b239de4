"""Graph convolutions over the landmarks of one frame. N frames, P points, C coordinates, D width of a point.

Source: Kipf & Welling 2017, "Semi-Supervised Classification with Graph Convolutional Networks"; joints as nodes and
bones as edges after Yan et al. 2018, "Spatial Temporal Graph Convolutional Networks", without its temporal part, which
is the sequence encoder's job here.
"""

import torch
from torch import nn

from hearai.sign.skeleton import BODY, BONES, LEFT, POINTS, RIGHT


def adjacency() -> torch.Tensor:
    """(P, P), 1 where a bone connects two points and on the diagonal."""
    joined_PP = torch.eye(POINTS)
    for a, b in BONES:
        joined_PP[a, b] = joined_PP[b, a] = 1
    return joined_PP


class GraphConvolution(nn.Module):
    """Adds to each point a function of itself and of the mean of its known neighbours (a residual block)."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own, self.heard = nn.Linear(width, width), nn.Linear(width, width, bias=False)

    def forward(self, x_NPD: torch.Tensor, weight_NPP: torch.Tensor) -> torch.Tensor:
        """weight_NPP: the weight of each neighbour of point p; rows sum to 1, or to 0 if no neighbour is known."""
        normed_NPD = self.norm(x_NPD)
        return x_NPD + nn.functional.gelu(self.own(normed_NPD) + weight_NPP @ self.heard(normed_NPD))


class LandmarkGraph(nn.Module):
    """Points of the hands and the body of a frame -> one vector.

    The features of a point are its position, for a hand its position relative to the wrist, and a learned embedding of
    its joint. The origin is the midpoint between the shoulders. Unknown points have no influence.

    Args:
        width: width of the vector.
        hidden: width of a point.
        layers: number of graph convolutions, and so the length of the longest path that information takes.
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
        """(N, W) from normalised points with a `known` channel, see `hearai.data.landmarks.clip_points`."""
        xyz_NP3, known_NP1 = landmarks_NPC[..., :3], landmarks_NPC[..., 3:]
        from_wrist_NP3 = (xyz_NP3 - xyz_NP3[:, self.origin_P]) * known_NP1[:, self.origin_P] * self.is_hand_P1
        x_NPD = self.enter(torch.cat((xyz_NP3, from_wrist_NP3), -1)) + self.joint_PD
        weight_NPP = self.joined_PP * known_NP1.transpose(1, 2)
        weight_NPP = weight_NPP / weight_NPP.sum(-1, keepdim=True).clamp(min=1)
        for block in self.blocks:
            x_NPD = block(x_NPD, weight_NPP)
        return self.read((self.leave(x_NPD) * known_NP1).flatten(1))
