"""Step 2: the causal intervention network, F_ca = Attn(Q = F; K, V = Z).

P(Y | do(F)) = sum_z P(Y | F, z) P(z) ~= H(E_z[A(F, z)]): the expectation over confounders is taken
over features, inside the attention, and the head H sees it once. That is exact for a linear H only.
"""

import torch
from torch import Tensor, nn

from causalseg.models.mcdrl.config import MCDRLConfig


class CrossAttention(nn.Module):
    """Multi-head attention that also returns its weights."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, source: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            x: (B, N, d) queries.
            source: (B or 1, M, d) keys and values.
            prior: (M,) weights with mean 1 that multiply the attention, or None for uniform.

        Returns:
            (B, N, d), and the attention (B, N, M), averaged over heads, prior included.

        """
        split = (self.heads, x.shape[2] // self.heads)
        q, k, v = (
            y.unflatten(2, split).transpose(1, 2)
            for y in (self.query(x), self.key(source), self.value(source))
        )
        weights = torch.softmax(q @ k.transpose(2, 3) * split[1] ** -0.5, dim=-1)
        if prior is not None:
            weights = weights * prior
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        return self.out(mixed), weights.mean(1)


class InterventionLayer(nn.Module):
    """Pre-norm cross-attention and feed-forward; without residual, the attention alone."""

    def __init__(self, config: MCDRLConfig) -> None:
        super().__init__()
        width = config.clip.embedding
        self.to_self = config.attend == "self"
        self.norm_query = nn.LayerNorm(width)
        self.norm_source = nn.LayerNorm(width)
        self.attention = CrossAttention(width, config.heads)
        self.feed_forward: nn.Module | None = None
        if config.residual:
            self.feed_forward = nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 4 * width),
                nn.GELU(),
                nn.Linear(4 * width, width),
            )

    def forward(self, x: Tensor, z: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        source = self.norm_source(x if self.to_self else z)
        update, weights = self.attention(self.norm_query(x), source, prior)
        if self.feed_forward is None:
            return update, weights
        x = x + update
        return x + self.feed_forward(x), weights


class InterventionNetwork(nn.Module):
    """Layers of attention over the confounder dictionary."""

    def __init__(self, config: MCDRLConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(InterventionLayer(config) for _ in range(config.depth))

    def forward(self, x: Tensor, z: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        """F_ca and the attention over confounders.

        Args:
            x: F, (B, N, d).
            z: Z, (M, d).
            prior: (M,) with mean 1, or None.

        Returns:
            (B, N, d), and (B, N, M) averaged over heads and layers (N in place of M for
            self-attention).

        """
        total: Tensor | float = 0.0
        for layer in self.layers:
            x, weights = layer(x, z.unsqueeze(0), prior)
            total = total + weights
        return x, total / len(self.layers)  # type: ignore[return-value]
