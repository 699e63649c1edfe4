"""LViT: a vision transformer beside a U-Net, whose first level is shifted by the words."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.attention import GridPositions, TransformerBlock, to_map, to_tokens
from causalseg.layers.blocks import SingleConvEncoder, SkipDecoder, conv_norm_relu

HEADS = 8
DROPOUT = 0.1
FINEST_PATCH = 16


def conv1d_norm_relu(channels: int, out_channels: int) -> nn.Sequential:
    """Convolution of three over the last axis, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv1d(channels, out_channels, 3, padding=1), nn.BatchNorm1d(out_channels), nn.ReLU()
    )


class WordBias(nn.Module):
    """Words -> one vector for each patch of the finest level.

    The words' channels are narrowed by convolutions along the sentence; then a convolution along
    the channels takes the *positions* of the sentence as its input channels and the patches as its
    output channels. Only a word's place in the sentence therefore decides which patch it moves. The
    bias is the same for every image.

    Args:
        word_width: channels of a word.
        positions: words that a sentence has; shorter ones are padded with zeros.
        widths: of the four narrowing convolutions; the last is that of a patch.
        side: patches along a side of the grid.

    """

    def __init__(self, word_width: int, positions: int, widths: Sequence[int], side: int) -> None:
        super().__init__()
        self.positions = positions
        self.side = side
        self.narrow = nn.Sequential(
            *(
                nn.Conv1d(a, b, 3, padding=1)
                for a, b in zip([word_width, *widths[:-1]], widths, strict=True)
            )
        )
        self.place = conv1d_norm_relu(positions, side * side)

    def forward(self, words: Tensor, valid: Tensor, size: tuple[int, int]) -> Tensor:
        """Words (B, L, C_w), valid (B, L), L at most `positions` -> (B, h * w, C) for the grid."""
        words = words * valid.unsqueeze(2)
        words = F.pad(words, (0, 0, 0, self.positions - words.shape[1]))
        bias = self.place(self.narrow(words.transpose(1, 2)).transpose(1, 2))
        if size == (self.side, self.side):
            return bias  # type: ignore[no-any-return]
        grid = to_map(bias, (self.side, self.side))
        return to_tokens(F.interpolate(grid, size, mode="bilinear", align_corners=False))


class TransformerU(nn.Module):
    """Four one-layer ViTs down and four up, beside the skips of the U-Net."""

    def __init__(
        self, channels: Sequence[int], resolution: int, word_width: int, positions: int
    ) -> None:
        super().__init__()
        side = resolution // FINEST_PATCH
        patches = [FINEST_PATCH >> i for i in range(len(channels))]
        self.bias = WordBias(word_width, positions, list(reversed(channels)), side)
        self.embed = nn.ModuleList(
            nn.Conv2d(c, c, patch, stride=patch) for c, patch in zip(channels, patches, strict=True)
        )
        self.positions = nn.ModuleList(GridPositions(side, c) for c in channels)
        self.down, self.up = (
            nn.ModuleList(
                TransformerBlock(c, HEADS, 4 * c, dropout=DROPOUT, last_activation=True)
                for c in channels
            )
            for _ in range(2)
        )
        self.narrow = nn.ModuleList(conv1d_norm_relu(c, c // 2) for c in channels[1:])
        self.widen = nn.ModuleList(conv1d_norm_relu(2 * c, c) for c in channels[:-1])
        self.reconstruct = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=patch), conv_norm_relu(c, c, 1))
            for c, patch in zip(channels, patches, strict=True)
        )

    def forward(self, skips: Sequence[Tensor], words: Tensor, valid: Tensor) -> list[Tensor]:
        """Four maps, finest first, and the words -> four maps of the same shapes."""
        size = (skips[0].shape[2] // FINEST_PATCH, skips[0].shape[3] // FINEST_PATCH)
        down: list[Tensor] = []
        for i, skip in enumerate(skips):
            x = F.dropout(
                to_tokens(self.embed[i](skip)) + self.positions[i](size), DROPOUT, self.training
            )
            if i == 0:
                down.append(self.down[i](x + self.bias(words, valid, size)))
            else:
                own = self.narrow[i - 1](self.down[i](x).transpose(1, 2)).transpose(1, 2)
                down.append(torch.cat([own, down[-1]], dim=2))
        out: list[Tensor] = []
        coarser: Tensor | None = None
        for i in reversed(range(len(skips))):
            x = self.up[i](down[i])
            if coarser is not None:
                x = x + self.widen[i](coarser.transpose(1, 2)).transpose(1, 2)
            coarser = x
            out.insert(0, self.reconstruct[i](to_map(x, size)))
        return out


class PixelLevelAttention(nn.Module):
    """PLAM: a factor for each position, from the mean and the maximum over channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Conv2d(channels, channels, 1)
        self.max = nn.Conv2d(channels, channels, 1)
        self.mlp = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same, each position multiplied by its factor (no sigmoid)."""
        a = F.relu(self.mean(x)).mean(1)
        m = F.relu(self.max(x)).amax(1)
        factor = self.mlp(torch.stack([a, m, a + m], dim=-1)).squeeze(-1)
        weighed: Tensor = x * factor.unsqueeze(1)
        return weighed


class _WeighedDecoder(SkipDecoder):
    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__(channels, transposed=False)
        self.attentions = nn.ModuleList(PixelLevelAttention(c) for c in reversed(channels[:-1]))

    def join(self, index: int, up: Tensor, skip: Tensor) -> Tensor:  # noqa: ARG002
        """The skip after PLAM."""
        weighed: Tensor = self.attentions[index](skip)
        return weighed


class LViTNetwork(nn.Module):
    """The double U.

    Args:
        width: channels of the first level; 64 in the paper.
        resolution: image side in pixels that positions and words' places are learned for.
        word_width: channels of a word; 768 (BERT) in the paper.
        positions: words of a sentence; 10 in the paper.

    """

    def __init__(self, width: int, resolution: int, word_width: int, positions: int) -> None:
        super().__init__()
        self.encoder = SingleConvEncoder(width)
        channels = self.encoder.channels
        self.transformer = TransformerU(channels[:-1], resolution, word_width, positions)
        self.decoder = _WeighedDecoder(channels)
        self.head = nn.Conv2d(self.decoder.channels, 1, 1)

    def forward(self, images: Tensor, words: Tensor, valid: Tensor) -> Tensor:
        """(B, 3, H, W), sides that 16 divides; words (B, L, C_w); valid (B, L) -> (B, 1, H, W)."""
        *skips, deepest = self.encoder(images)
        extra = self.transformer(skips, words, valid)
        joined = [skip + x for skip, x in zip(skips, extra, strict=True)]
        logits: Tensor = self.head(self.decoder([*joined, deepest]))
        return logits
