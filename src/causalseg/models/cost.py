"""What a forward pass costs."""

from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def flop(network: nn.Module, *inputs: Any) -> int:
    """Floating-point operations of `network(*inputs)`: two for each multiply-add.

    Convolutions and matrix products, including attention's, are counted; nothing else is. Network
    and inputs may be on the meta device, so that nothing is computed.
    """
    trainable = [p for p in network.parameters() if p.requires_grad]
    network.requires_grad_(False)
    try:
        # The counter does not know the CPU's fused attention kernel.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            network(*inputs)
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
    return int(counter.get_total_flops())


def gflop(model: nn.Module, size: int, tokens: torch.Tensor) -> float:
    """GFLOP of one image of `size` pixels and one sentence (1, L)."""
    images = torch.zeros(1, 3, size, size, device=tokens.device)
    return flop(model, images, tokens) / 1e9
