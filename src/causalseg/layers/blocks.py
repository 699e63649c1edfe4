"""Convolutional blocks of U-shaped networks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_norm_relu(
    channels: int, out_channels: int, kernel_size: int = 3, *, bias: bool = True
) -> nn.Sequential:
    """Convolution that keeps the size, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def double_conv(channels: int, out_channels: int, *, bias: bool = True) -> nn.Sequential:
    """Two 3x3 convolutions with batch norm and ReLU, the unit of U-Net."""
    return nn.Sequential(
        conv_norm_relu(channels, out_channels, bias=bias),
        conv_norm_relu(out_channels, out_channels, bias=bias),
    )


def upsample_to(x: Tensor, like: Tensor, *, align_corners: bool = True) -> Tensor:
    """Resize (B, C, h, w) bilinearly to the height and width of `like`."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=align_corners)


class SingleConvEncoder(nn.Module):
    """The encoder of UCTransNet's and LViT's U-Net: one convolution, then four levels.

    Channels are w, 2w, 4w, 8w and again 8w; each level after the first is a 2x2 max pool and two
    convolutions.

    Args:
        width: w; 64 in the papers.

    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = (width, 2 * width, 4 * width, 8 * width, 8 * width)
        self.stem = conv_norm_relu(3, width)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), double_conv(a, b))
            for a, b in zip(self.channels, self.channels[1:], strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> five maps, the i-th of (B, C_i, H / 2^i, W / 2^i)."""
        maps = [self.stem(images)]
        for level in self.levels:
            maps.append(level(maps[-1]))
        return maps


class SkipDecoder(nn.Module):
    """The decoder that goes with it: four times upsample, concatenate the skip, two convolutions.

    Args:
        channels: those of the encoder's five maps.
        transposed: upsample by a 2x2 transposed convolution; else by nearest neighbour.

    """

    def __init__(self, channels: Sequence[int], *, transposed: bool) -> None:
        super().__init__()
        skips = list(reversed(channels[:-1]))
        outs = [*skips[1:], skips[-1]]
        ins = [channels[-1], *outs[:-1]]
        self.channels = outs[-1]
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(c, c, 2, stride=2) if transposed else nn.Upsample(scale_factor=2)
            for c in ins
        )
        self.convs = nn.ModuleList(
            double_conv(below + skip, out)
            for below, skip, out in zip(ins, skips, outs, strict=True)
        )

    def join(self, index: int, up: Tensor, skip: Tensor) -> Tensor:  # noqa: ARG002
        """The skip, as it is concatenated; a subclass may weigh it."""
        return skip

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Five maps, finest first -> (B, w, H, W)."""
        x = maps[-1]
        for index, skip in enumerate(reversed(maps[:-1])):
            up = self.ups[index](x)
            x = self.convs[index](torch.cat([self.join(index, up, skip), up], dim=1))
        return x
