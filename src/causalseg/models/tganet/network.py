"""TGANet: dilated features of a ResNet, decoded under the attention of a few words."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.blocks import conv_norm_relu

COUNTS = ("one", "many")
"""Classes of the number of findings."""
SIZES = ("small", "medium", "large")
"""Classes of the size of a finding."""
WORD_WIDTH = 300
"""Channels of a word embedding (BPEmb's)."""
DILATIONS = (6, 12, 18)


class ChannelAttention(nn.Module):
    """sigmoid(MLP(mean) + MLP(max)) scales the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 8)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        scores = self.mlp(x.mean((2, 3), keepdim=True)) + self.mlp(x.amax((2, 3), keepdim=True))
        scaled: Tensor = x * scores.sigmoid()
        return scaled


class SpatialAttention(nn.Module):
    """sigmoid(7x7 convolution of the channels' mean and maximum) scales the positions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        scaled: Tensor = x * self.conv(both).sigmoid()
        return scaled


class DilatedBlock(nn.Module):
    """A 1x1 and three dilated 3x3 convolutions, joined; a shortcut; spatial attention."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, out, 3 if d else 1, padding=d, dilation=d or 1, bias=True),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
                ChannelAttention(out),
            )
            for d in (0, *DILATIONS)
        )
        self.join = nn.Sequential(
            nn.Conv2d(out * len(self.branches), out, 3, padding=1), nn.BatchNorm2d(out)
        )
        self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1), nn.BatchNorm2d(out))
        self.attention = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, out, h, w)."""
        joined = self.join(torch.cat([branch(x) for branch in self.branches], dim=1))
        y: Tensor = self.attention(F.relu(joined + self.shortcut(x)))
        return y


class LabelAttention(nn.Module):
    """sigmoid(f_i), f_i = W2 ReLU(W1 f), scales the channels; f_i goes on to the next step."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels, bias=False),
        )

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, C, h, w), f (B, C) -> the scaled x, and f_i (B, C)."""
        f: Tensor = self.mlp(label)
        return x * f.sigmoid()[:, :, None, None], f


class DecoderBlock(nn.Module):
    """Upsample, concatenate, then 1x1, 3x3, 3x3, 1x1, each added to the sum so far."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_norm_relu(2 * channels, channels, 1)
        self.rest = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, size, padding=size // 2), nn.BatchNorm2d(channels)
            )
            for size in (3, 3, 1)
        )
        self.channel = ChannelAttention(channels)
        self.spatial = SpatialAttention()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """x (B, C, h / 2, w / 2), skip (B, C, h, w) -> (B, C, h, w)."""
        x = F.interpolate(x, skip.shape[2:], mode="bilinear", align_corners=True)
        skip = skip.expand(len(x), -1, -1, -1)  # one image may be decoded for several labels
        x = self.first(torch.cat([x, skip], dim=1))
        for conv in self.rest:
            x = F.relu(x + conv(x))
        y: Tensor = self.spatial(self.channel(x))
        return y


class LabelWords(nn.Module):
    """Count and size as predicted from the image, each word weighed by its class's probability.

    Returns logits of the counts (B, 2) and sizes (B, 3), and f0 (B, out).
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        words = len(COUNTS) + len(SIZES)
        self.count, self.size = (
            nn.Sequential(
                nn.Linear(channels, out, bias=False),
                nn.ReLU(inplace=True),
                nn.Linear(out, classes, bias=False),
            )
            for classes in (len(COUNTS), len(SIZES))
        )
        self.words = nn.Parameter(torch.randn(words, WORD_WIDTH) / WORD_WIDTH**0.5)
        self.embed = nn.Sequential(
            nn.Linear(words * WORD_WIDTH, out, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(out, out, bias=False),
            nn.ReLU(inplace=True),
        )

    def forward(self, deepest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, h, w), the deepest map -> see the class."""
        pooled = deepest.mean((2, 3))
        count, size = self.count(pooled), self.size(pooled)
        weights = torch.cat([count.softmax(1), size.softmax(1)], dim=1)
        return count, size, self.embed((weights.unsqueeze(2) * self.words).flatten(1))


class TextGuidedDecoder(nn.Module):
    """From four maps at 1/2 to 1/16 and a label vector to logits.

    Args:
        channels: of the four maps, finest first.
        width: of everything after them; 128 in the paper.

    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(DilatedBlock(c, width) for c in channels)
        steps = len(channels) - 1
        self.blocks = nn.ModuleList(DecoderBlock(width) for _ in range(steps))
        self.labels = nn.ModuleList(LabelAttention(width) for _ in range(steps))
        self.scales = nn.ModuleList(conv_norm_relu(width, width, 1) for _ in range(steps))
        self.fuse = nn.Sequential(
            conv_norm_relu(steps * width, width, 1),
            conv_norm_relu(width, width),
            conv_norm_relu(width, width),
        )
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, maps: Sequence[Tensor], label: Tensor) -> Tensor:
        """Four maps and f0 (B, width) -> (B, 1, H, W)."""
        return self.decode(self.encode(maps), label)

    def encode(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Four maps -> the same sizes, `width` channels each."""
        return [block(m) for block, m in zip(self.dilated, maps, strict=True)]

    def decode(self, features: Sequence[Tensor], label: Tensor) -> Tensor:
        """Maps from `encode`, of B images or of one, and f0 (T, width) -> (B or T, 1, H, W)."""
        *skips, x = features
        outs = []
        for block, attention, skip in zip(self.blocks, self.labels, reversed(skips), strict=True):
            x, f = attention(block(x, skip), label)
            label = label + f
            outs.append(x)
        size = outs[-1].shape[2:]
        scaled = [
            scale(F.interpolate(o, size, mode="bilinear", align_corners=True))
            for scale, o in zip(self.scales, outs, strict=True)
        ]
        x = self.fuse(torch.cat(scaled, dim=1))
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        logits: Tensor = self.head(x)
        return logits
