"""Bilinear resizing of feature maps."""

import torch
from torch import Tensor
from torch.nn import functional as F


def resize(x: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear, pixel centres aligned; no copy at the same size."""
    if x.shape[2:] == torch.Size(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
