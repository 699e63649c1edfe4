"""The masker: which features are causal, which confounding (Eq. 2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.coordconv import CoordConv


class Masker(nn.Module):
    """M = sigmoid(conv(coordconv(F))); F^c = M * F, F^s = (1 - M) * F.

    In plain words: for every location of a feature map, a number between 0 and 1 that says how
    much of the feature is passed on to the causal branch; the rest goes to the confounding one.

    Args:
        channels: how many the feature map has.
        hidden: channels between the two convolutions.
        out_channels: 1 for a mask over locations, `channels` for one over channels and locations.

    """

    def __init__(self, channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.coordconv = CoordConv(channels, hidden)
        self.conv = nn.Conv2d(hidden, out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> M in (0, 1), (B, out_channels, h, w)."""
        return torch.sigmoid(self.conv(F.relu(self.coordconv(features))))
