"""TransUNet: a hybrid of ResNet and ViT as encoder, a U-shaped decoder."""

from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.attention import GridPositions, TransformerBlock, to_map, to_tokens
from causalseg.layers.blocks import conv_norm_relu, double_conv

DROPOUT = 0.1
STRIDE = 16
GROUPS = 32
"""Of the group norms, where they divide the channels."""


@dataclass(frozen=True)
class Sizes:
    """The paper's R50-ViT-B/16 unless said otherwise."""

    units: tuple[int, int, int] = (3, 4, 9)
    """Residual units of the three stages."""
    width: int = 64
    """Channels of the stem."""
    tokens: int = 768
    layers: int = 12
    heads: int = 12
    decoder: tuple[int, int, int, int, int] = (512, 256, 128, 64, 16)
    """Channels after the transformer and after each of four upsamplings."""


class StandardConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0 and variance 1 (Qiao et al., 2019)."""

    def forward(self, input: Tensor) -> Tensor:
        """As `Conv2d`."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) * torch.rsqrt(variance + 1e-5)
        return F.conv2d(
            input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


def _conv_norm(
    channels: int, out: int, kernel_size: int, stride: int, groups: int
) -> nn.Sequential:
    return nn.Sequential(
        StandardConv2d(
            channels, out, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        ),
        nn.GroupNorm(groups, out, eps=1e-6),
    )


class ResidualUnit(nn.Module):
    """1x1, 3x3, 1x1 weight-standardised convolutions with group norm around a shortcut."""

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        out = 4 * planes
        groups = gcd(GROUPS, planes)
        self.convs = nn.Sequential(
            _conv_norm(channels, planes, 1, 1, groups),
            nn.ReLU(inplace=True),
            _conv_norm(planes, planes, 3, stride, groups),
            nn.ReLU(inplace=True),
            _conv_norm(planes, out, 1, 1, groups),
        )
        changes = stride > 1 or channels != out
        self.shortcut = _conv_norm(channels, out, 1, stride, out) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 4 * planes, h / stride, w / stride)."""
        return F.relu(self.convs(x) + self.shortcut(x))


class HybridResNet(nn.Module):
    """Stem and three stages of a ResNet-50 of the kind that ViT's hybrids use."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.stem = nn.Sequential(
            _conv_norm(3, width, 7, 2, gcd(GROUPS, width)), nn.ReLU(inplace=True)
        )
        stages, channels = [], width
        for index, units in enumerate(sizes.units):
            planes = width * 2**index
            stage = [
                ResidualUnit(
                    channels if unit == 0 else 4 * planes,
                    planes,
                    2 if unit == 0 and index > 0 else 1,
                )
                for unit in range(units)
            ]
            stages.append(nn.Sequential(*stage))
            channels = 4 * planes
        self.stages = nn.ModuleList(stages)
        self.channels = (width, 4 * width, 8 * width, channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> maps at 1/2, 1/4, 1/8 and 1/16."""
        x = self.stem(images)
        maps = [x]
        # The paper's pool is unpadded and leaves 55 of 112; the missing row and column are zeros,
        # but only after the first stage, as in the authors' code.
        x = self.stages[0](F.max_pool2d(x, 3, stride=2))
        x_skip = F.pad(
            x, (0, images.shape[3] // 4 - x.shape[3], 0, images.shape[2] // 4 - x.shape[2])
        )
        maps.append(x_skip)
        for stage in list(self.stages)[1:]:
            x = stage(x)
            maps.append(x)
        return maps


class TransUNetNetwork(nn.Module):
    """Hybrid encoder and cascaded upsampler.

    Args:
        sizes: how large the parts are.
        resolution: image side in pixels that the positions are learned for.

    """

    def __init__(self, sizes: Sizes, resolution: int) -> None:
        super().__init__()
        self.resnet = HybridResNet(sizes)
        half, quarter, eighth, last = self.resnet.channels
        self.embed = nn.Conv2d(last, sizes.tokens, 1)
        self.positions = GridPositions(resolution // STRIDE, sizes.tokens)
        self.blocks = nn.ModuleList(
            TransformerBlock(sizes.tokens, sizes.heads, 4 * sizes.tokens, dropout=DROPOUT)
            for _ in range(sizes.layers)
        )
        self.norm = nn.LayerNorm(sizes.tokens, eps=1e-6)
        outs = sizes.decoder
        self.reduce = conv_norm_relu(sizes.tokens, outs[0], bias=False)
        skips = (eighth, quarter, half, 0)
        self.decoder = nn.ModuleList(
            double_conv(below + skip, out, bias=False)
            for below, skip, out in zip(outs, skips, outs[1:], strict=False)
        )
        self.head = nn.Conv2d(outs[-1], 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), sides that 16 divides -> (B, 1, H, W)."""
        half, quarter, eighth, last = self.resnet(images)
        x = self.embed(last)
        size = (x.shape[2], x.shape[3])
        tokens = F.dropout(to_tokens(x) + self.positions(size), DROPOUT, self.training)
        for block in self.blocks:
            tokens = block(tokens)
        x = self.reduce(to_map(self.norm(tokens), size))
        for convs, skip in zip(self.decoder, (eighth, quarter, half, None), strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = convs(x if skip is None else torch.cat([x, skip], dim=1))
        logits: Tensor = self.head(x)
        return logits
