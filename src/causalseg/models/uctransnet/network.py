"""UCTransNet: the skips of a U-Net attend to one another channel by channel."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.attention import GridPositions, to_map, to_tokens
from causalseg.layers.blocks import SingleConvEncoder, SkipDecoder, conv_norm_relu

HEADS = 4
LAYERS = 4
DROPOUT = 0.1
FINEST_PATCH = 16
"""Side of a patch on the finest skip; half of it on each coarser one, so that all have one grid."""


class ChannelCrossAttention(nn.Module):
    """Channels of one skip attend to the channels of all: softmax(norm(Q^T K / sqrt(C_all))) V^T.

    A head has a full C_i x C_i query and a full C_all x C_all key and value, which the caller
    makes, since they are the same for every skip.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.query = nn.Linear(channels, HEADS * channels, bias=False)
        self.project = nn.Linear(channels, channels, bias=False)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            nn.Linear(4 * channels, channels),
            nn.Dropout(DROPOUT),
        )

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """x (B, N, C_i); keys and values (B, heads, N, C_all) -> (B, N, C_i)."""
        query = _heads(self.query(self.norm(x)))
        scores = query.transpose(2, 3) @ keys / keys.shape[-1] ** 0.5  # (B, heads, C_i, C_all)
        weights = F.dropout(F.instance_norm(scores).softmax(-1), DROPOUT, self.training)
        mixed = (weights @ values.transpose(2, 3)).mean(1).transpose(1, 2)
        x = x + F.dropout(self.project(mixed), DROPOUT, self.training)
        y: Tensor = x + self.mlp(x)
        return y


class CrossLayer(nn.Module):
    """One layer: every skip attends to the concatenation of all."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        total = sum(channels)
        self.norm = nn.LayerNorm(total, eps=1e-6)
        self.key = nn.Linear(total, HEADS * total, bias=False)
        self.value = nn.Linear(total, HEADS * total, bias=False)
        self.attentions = nn.ModuleList(ChannelCrossAttention(c) for c in channels)

    def forward(self, skips: list[Tensor]) -> list[Tensor]:
        """Tokens (B, N, C_i) of every skip -> the same."""
        everything = self.norm(torch.cat(skips, dim=2))
        keys, values = _heads(self.key(everything)), _heads(self.value(everything))
        return [
            attention(x, keys, values) for attention, x in zip(self.attentions, skips, strict=True)
        ]


def _heads(x: Tensor) -> Tensor:
    """(B, N, heads * C) -> (B, heads, N, C)."""
    return x.view(*x.shape[:2], HEADS, -1).transpose(1, 2)


class ChannelTransformer(nn.Module):
    """CCT: patches of the four skips, four layers of channel attention, back to maps, added.

    Args:
        channels: of the four skips, finest first.
        resolution: image side in pixels that the positions are learned for.

    """

    def __init__(self, channels: Sequence[int], resolution: int) -> None:
        super().__init__()
        patches = [FINEST_PATCH >> i for i in range(len(channels))]
        self.embed = nn.ModuleList(
            nn.Conv2d(c, c, patch, stride=patch) for c, patch in zip(channels, patches, strict=True)
        )
        side = resolution // FINEST_PATCH
        self.positions = nn.ModuleList(GridPositions(side, c) for c in channels)
        self.layers = nn.ModuleList(CrossLayer(channels) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(c, eps=1e-6) for c in channels)
        self.reconstruct = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=patch), conv_norm_relu(c, c, 1))
            for c, patch in zip(channels, patches, strict=True)
        )

    def forward(self, skips: Sequence[Tensor]) -> list[Tensor]:
        """Four maps, finest first -> the same shapes."""
        embedded = [embed(x) for embed, x in zip(self.embed, skips, strict=True)]
        size = (embedded[0].shape[2], embedded[0].shape[3])
        tokens = [
            F.dropout(to_tokens(x) + positions(size), DROPOUT, self.training)
            for x, positions in zip(embedded, self.positions, strict=True)
        ]
        for layer in self.layers:
            tokens = layer(tokens)
        return [
            skip + reconstruct(to_map(norm(x), size))
            for skip, reconstruct, norm, x in zip(
                skips, self.reconstruct, self.norms, tokens, strict=True
            )
        ]


class _ScaledDecoder(SkipDecoder):
    """CCA: sigmoid((W_x gap(skip) + W_g gap(up)) / 2) scales the skip's channels."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__(channels, transposed=False)
        skips = list(reversed(channels[:-1]))
        ups = [channels[-1], *skips[1:]]
        self.from_skip = nn.ModuleList(nn.Linear(c, c) for c in skips)
        self.from_up = nn.ModuleList(nn.Linear(b, c) for b, c in zip(ups, skips, strict=True))

    def join(self, index: int, up: Tensor, skip: Tensor) -> Tensor:
        """The scaled skip."""
        scores = self.from_skip[index](skip.mean((2, 3))) + self.from_up[index](up.mean((2, 3)))
        return F.relu(skip * (scores / 2).sigmoid()[:, :, None, None])


class UCTransNetNetwork(nn.Module):
    """U-Net, CCT on its skips, CCA before each step of the decoder.

    Args:
        width: channels of the first level; 64 in the paper.
        resolution: image side in pixels that the positions are learned for.

    """

    def __init__(self, width: int, resolution: int) -> None:
        super().__init__()
        self.encoder = SingleConvEncoder(width)
        channels = self.encoder.channels
        self.transformer = ChannelTransformer(channels[:-1], resolution)
        self.decoder = _ScaledDecoder(channels)
        self.head = nn.Conv2d(self.decoder.channels, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), sides that 16 divides -> (B, 1, H, W)."""
        *skips, deepest = self.encoder(images)
        logits: Tensor = self.head(self.decoder([*self.transformer(skips), deepest]))
        return logits
