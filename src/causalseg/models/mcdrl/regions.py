"""Step 1: select candidate lesion regions by image-text similarity, and put features back."""

import torch
from torch import Tensor
from torch.nn import functional as F

from causalseg.models.mcdrl.config import Elsewhere


def region_scores(dense: Tensor, classes: Tensor) -> Tensor:
    """S[k, h, w] = cos(C[h, w], e_k).

    Args:
        dense: C, (B, d, h, w).
        classes: e, (K, d).

    Returns:
        (B, K, h, w) in [-1, 1].

    """
    unit, text = F.normalize(dense, dim=1), F.normalize(classes, dim=1)
    return torch.einsum("bdhw,kd->bkhw", unit, text)


def select(scores: Tensor, alpha: float) -> Tensor:
    """Positions of the highest max_k S.

    Args:
        scores: (B, K, h, w).
        alpha: share of the h * w positions.

    Returns:
        (B, N) int64 positions in row-major order, ascending; N = round(alpha * h * w), at least 1.

    """
    best = scores.amax(1).flatten(1)
    count = max(1, round(alpha * best.shape[1]))
    chosen: Tensor = best.topk(count, dim=1).indices.sort(dim=1).values
    return chosen


def gather(dense: Tensor, positions: Tensor) -> Tensor:
    """Features at positions: (B, d, h, w) and (B, N) -> (B, N, d)."""
    tokens = dense.flatten(2).transpose(1, 2)
    return tokens.gather(1, positions.unsqueeze(2).expand(-1, -1, dense.shape[1]))


def scatter(dense: Tensor, positions: Tensor, features: Tensor, elsewhere: Elsewhere) -> Tensor:
    """Put (B, N, d) features back at their positions of the dense map (B, d, h, w)."""
    tokens = dense.flatten(2).transpose(1, 2)
    base = tokens if elsewhere == "keep" else torch.zeros_like(tokens)
    index = positions.unsqueeze(2).expand_as(features)
    full = base.scatter(1, index, features.to(base.dtype))
    return full.transpose(1, 2).reshape(dense.shape)
