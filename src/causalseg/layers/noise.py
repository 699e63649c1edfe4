"""Numbers that say nothing, for controls."""

import torch
from torch import Tensor


def fixed_noise(features: Tensor, seed: int) -> Tensor:
    """Uniform numbers in 0..1 at the places of features (B, C, h, w), the same for all images.

    Returns:
        (B, 1, h, w), which depends on h, w and the seed alone.

    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 1, *features.shape[2:], generator=generator)
    return noise.to(features).expand(len(features), -1, -1, -1)
