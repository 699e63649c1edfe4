"""Bring features of several stages to one scale and fuse them (section 2.3 of the paper)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.carafe import CARAFE


class Fusion(nn.Module):
    """CARAFE to the unified scale, concatenation, 1x1 convolution, batch norm, ReLU.

    Coarser stages are upsampled by CARAFE. A finer stage, which exists only where the unified
    scale is not the finest, is average-pooled, since CARAFE only upsamples.

    The 1x1 convolution acts on each position alone, so each stage's share of it is computed at
    that stage's own resolution, before the upsampling; `fast=False` concatenates first.
    """

    def __init__(
        self, channels: Mapping[int, int], out_channels: int, *, unified_stage: int, fast: bool
    ) -> None:
        super().__init__()
        self.channels = dict(channels)
        self.unified_stage = unified_stage
        self.fast = fast
        self.carafe = nn.ModuleDict(
            {
                str(stage): CARAFE(count, 2 ** (stage - unified_stage))
                for stage, count in channels.items()
                if stage > unified_stage
            }
        )
        self.conv = nn.Conv2d(sum(channels.values()), out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def _rescale(self, stage: int, features: Tensor, values: Tensor) -> Tensor:
        if stage < self.unified_stage:
            return F.avg_pool2d(values, 2 ** (self.unified_stage - stage))
        if stage == self.unified_stage:
            return values
        scaled: Tensor = self.carafe[str(stage)](features, values)
        return scaled

    def forward(self, features: Mapping[int, Tensor]) -> Tensor:
        """`{stage: (B, C_i, h_i, w_i)}` -> (B, out_channels, h, w) at the unified scale."""
        weights = torch.split(self.conv.weight, list(self.channels.values()), dim=1)
        target = features[self.unified_stage].shape[2:]
        parts = []
        for (stage, _), weight in zip(self.channels.items(), weights, strict=True):
            x = features[stage]
            # There is a bias only once the batch norm has been folded; it is added once.
            bias = self.conv.bias if stage == self.unified_stage else None
            if self.fast:
                part = self._rescale(stage, x, F.conv2d(x, weight, bias))
            else:
                part = F.conv2d(self._rescale(stage, x, x), weight, bias)
            # An image side that is not a multiple of 32 leaves stages a row or column apart.
            parts.append(part if part.shape[2:] == target else _fit(part, target))
        return F.relu(self.norm(sum(parts)))


def _fit(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
