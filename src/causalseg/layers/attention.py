"""Transformer blocks and what they need on a grid of image patches."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and feed-forward: x + SA(LN(x)), then x + MLP(LN(x)).

    Args:
        width: channels of a token.
        heads: number of attention heads.
        mlp: hidden channels of the feed-forward.
        dropout: after the attention's projection and both layers of the feed-forward.
        eps: added to the variance in layer norms.
        last_activation: a GELU after the feed-forward's second layer too, as LViT has it.

    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp: int,
        *,
        dropout: float = 0.0,
        eps: float = 1e-6,
        last_activation: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp, width),
            nn.GELU() if last_activation else nn.Identity(),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, N, width) -> the same; `valid` (B, N), bool, are the tokens that may be attended."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        mask = None if valid is None else valid[:, None, None, :]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        x = x + self.dropout(self.project(mixed))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


def to_tokens(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h * w, C)."""
    return maps.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, h * w, C) -> (B, C, h, w), which is `size`."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *size)


class GridPositions(nn.Module):
    """A learned vector for each place of a grid, resized (bicubic) for another grid. In their
    original code, networks with such vectors take only the size they were built for. Here they take
    any size; at the original one nothing is resized.

    Args:
        side: that of the grid on which the vectors are learned.
        width: channels.

    """

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(0.02 * torch.randn(1, width, side, side))

    def forward(self, size: tuple[int, int]) -> Tensor:
        """(1, h * w, width) for a grid of `size`."""
        table: Tensor = self.table
        if tuple(table.shape[2:]) != tuple(size):
            table = F.interpolate(table, size=size, mode="bicubic", align_corners=False)
        return to_tokens(table)
