"""Bring features of several stages to one scale and fuse them (section 2.3 of the paper)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.carafe import CARAFE
from causalseg.layers.resize import resize


class Fusion(nn.Module):
    """CARAFE to the unified scale, concatenation, 1x1 convolution, batch norm, ReLU.

    Coarser stages are upsampled by CARAFE; finer ones, where there are any, are average-pooled.
    """

    def __init__(
        self, channels: Mapping[int, int], out_channels: int, *, unified_stage: int
    ) -> None:
        super().__init__()
        self.channels = dict(channels)
        self.unified_stage = unified_stage
        self.carafe = nn.ModuleDict()
        for stage, count in channels.items():
            if stage > unified_stage:
                self.carafe[str(stage)] = CARAFE(count, 2 ** (stage - unified_stage))
        self.conv = nn.Conv2d(sum(channels.values()), out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def rescale(self, stage: int, features: Tensor, values: Tensor) -> Tensor:
        """Values (B, C', h_i, w_i) of a stage at the unified scale, by kernels made of features."""
        if stage < self.unified_stage:
            return F.avg_pool2d(values, 2 ** (self.unified_stage - stage))
        if stage == self.unified_stage:
            return values
        scaled: Tensor = self.carafe[str(stage)](features, values)
        return scaled

    def forward(self, features: Mapping[int, Tensor]) -> Tensor:
        """`{stage: (B, C_i, h_i, w_i)}` -> (B, out_channels, h, w) at the unified scale."""
        size = features[self.unified_stage].shape[2:]
        parts = [self.rescale(i, features[i], features[i]) for i in self.channels]
        # Where an image side is not a multiple of 32, a stage may lack a row or column.
        return F.relu(self.norm(self.conv(torch.cat([resize(x, size) for x in parts], 1))))
