"""Coordinate convolution (Liu et al., 2018, arXiv 1807.03247)."""

import torch
from torch import Tensor, nn


def append_coordinates(x: Tensor) -> Tensor:
    """Append each position's x and y, in [-1, 1], as two channels: (B, C, h, w) -> (B, C+2, h, w).

    A side of length 1 has coordinate 0.
    """
    batch, _, height, width = x.shape

    def axis(length: int) -> Tensor:
        step = torch.arange(length, device=x.device, dtype=x.dtype)
        return step * (2 / max(length - 1, 1)) - (1 if length > 1 else 0)

    xs = axis(width).expand(batch, 1, height, width)
    ys = axis(height).unsqueeze(1).expand(batch, 1, height, width)
    return torch.cat([x, xs, ys], dim=1)


class CoordConv(nn.Module):
    """A 3x3 convolution that also sees where it is."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + 2, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> (B, out_channels, h, w)."""
        out: Tensor = self.conv(append_coordinates(x))
        return out
