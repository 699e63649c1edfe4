"""ViLT: one transformer over words and image patches together."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.attention import GridPositions, TransformerBlock, to_map, to_tokens
from causalseg.layers.blocks import conv_norm_relu

POSITIONS = 40
"""Words that a sentence may have."""
DROPOUT = 0.1


@dataclass(frozen=True)
class Sizes:
    """ViT-B/32 and the head that this package adds; the defaults are the paper's."""

    patch: int = 32
    width: int = 768
    layers: int = 12
    heads: int = 12
    head: tuple[int, ...] = (256, 128, 64, 32, 16)
    """Channels of the head's steps, each of which doubles the size; 2**steps is the patch."""


class Encoder(nn.Module):
    """Word and position embeddings, patch embeddings, a class token, and the transformer."""

    def __init__(self, sizes: Sizes, resolution: int, vocabulary: int) -> None:
        super().__init__()
        width = sizes.width
        self.words = nn.Embedding(vocabulary, width)
        self.word_positions = nn.Parameter(0.02 * torch.randn(POSITIONS, width))
        self.word_norm = nn.LayerNorm(width, eps=1e-12)
        self.patches = nn.Conv2d(3, width, sizes.patch, stride=sizes.patch)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.positions = GridPositions(resolution // sizes.patch, width)
        self.types = nn.Parameter(0.02 * torch.randn(2, width))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, sizes.heads, 4 * width, dropout=DROPOUT)
            for _ in range(sizes.layers)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, images: Tensor, tokens: Tensor, valid: Tensor) -> Tensor:
        """Images (B, 3, H, W), tokens (B, L), valid (B, L) -> (B, C, H / patch, W / patch)."""
        words = self.words(tokens) + self.word_positions[: tokens.shape[1]]
        words = self.word_norm(words) + self.types[0]
        maps = self.patches(images)
        size = (maps.shape[2], maps.shape[3])
        patches = to_tokens(maps) + self.positions(size)
        patches = torch.cat([self.class_token.expand(len(patches), -1, -1), patches], dim=1)
        x = torch.cat([words, patches + self.types[1]], dim=1)
        x = F.dropout(x, DROPOUT, self.training)
        seen = torch.cat([valid, valid.new_ones(patches.shape[:2])], dim=1)
        for block in self.blocks:
            x = block(x, seen)
        return to_map(self.norm(x[:, tokens.shape[1] + 1 :]), size)


class ViLTSegmenter(nn.Module):
    """The encoder's image tokens on their grid, brought to the image's size.

    Args:
        sizes: of encoder and head.
        resolution: image side in pixels that the positions are learned for.
        vocabulary: rows of the word embedding.

    """

    def __init__(self, sizes: Sizes, resolution: int, vocabulary: int) -> None:
        super().__init__()
        self.encoder = Encoder(sizes, resolution, vocabulary)
        self.head = nn.Sequential()
        for before, after in zip((sizes.width, *sizes.head), sizes.head, strict=False):
            self.head.append(conv_norm_relu(before, after, bias=False))
            self.head.append(nn.Upsample(scale_factor=2, mode="bilinear"))
        self.head.append(nn.Conv2d(sizes.head[-1], 1, 1))

    def forward(self, images: Tensor, tokens: Tensor, valid: Tensor) -> Tensor:
        """Images (B, 3, H, W), sides that `patch` divides; tokens (B, L) -> (B, 1, H, W)."""
        logits: Tensor = self.head(self.encoder(images, tokens, valid))
        return logits
