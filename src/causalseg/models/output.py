"""What every segmentation model returns."""

from dataclasses import dataclass, field

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
    deep: Tensor | None = None
    """(B, C, h, w): the image tower's deepest features, which no text has touched; (1, C, h, w)
    where all texts share an image. The checks of an answer look at them."""
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    """Tensors that only a model's own objective reads."""
