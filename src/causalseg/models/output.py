"""What every segmentation model returns."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

from torch import Tensor


@dataclass
class SegmentationOutput:
    """Logits, and whatever else a model gives."""

    logits: Tensor
    """(B, 1, H, W): the mask's logits; `sigmoid` gives the probability."""
    confounder_logits: Tensor | None = None
    """(B, 1, H, W): the mask as predicted from the confounding features alone."""
    attention: dict[int, Tensor] = field(default_factory=dict)
    """Encoder stage -> causal mask M in (0, 1), (B, 1 or C, h, w). `1 - M` is the confounding
    mask."""
    region_scores: Tensor | None = None
    """(B, K, h, w): cosine similarity of every position to the K class prompts."""
    confounder_attention: Tensor | None = None
    """(B, N, M): attention of N selected positions over M confounders."""
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    """Tensors that only a model's own objective reads."""

    def first(self, count: int) -> Self:
        """The answers to the first of several texts; what all of them share stays."""
        found: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, dict):
                found[name] = {key: part[:count] for key, part in value.items()}
            else:
                found[name] = None if value is None else value[:count]
        return replace(self, **found)
