"""Less work for the text tower, with the same result."""

from collections.abc import Callable

import torch
from torch import Tensor


def cut_at_eos(tokens: Tensor) -> Tensor:
    """Drop the columns after the longest [EOS], which is each row's highest id: (B, L') of (B, L).

    Attention is causal, so what follows [EOS] never reaches it.
    """
    return tokens[:, : int(tokens.argmax(1).max()) + 1]


def up_to_eos(tokens: Tensor) -> Tensor:
    """Which tokens belong to the sentence: (B, L) bool, true up to [EOS], the row's highest id."""
    positions = torch.arange(tokens.shape[1], device=tokens.device)
    return positions <= tokens.argmax(1, keepdim=True)


def encode_distinct(encode: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
    """Encode each distinct caption of a batch once, up to the longest [EOS].

    Values and gradients are those of `encode(tokens)`: a caption's gradient is the sum over its
    copies, as it is where the copies are encoded one by one.

    Args:
        encode: (N, L') token ids -> (N, T), each row from its own tokens alone.
        tokens: (B, L) int64.

    Returns:
        (B, T).

    """
    if torch.compiler.is_compiling() or tokens.is_meta:
        return encode(tokens)  # a traced graph must not depend on its example's captions
    distinct, position = torch.unique(cut_at_eos(tokens), dim=0, return_inverse=True)
    return encode(distinct)[position]
