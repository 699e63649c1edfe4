"""Gradient reversal (Ganin and Lempitsky, 2015, arXiv 1409.7495)."""

from typing import Any

import torch
from torch import Tensor


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * grads[0], None


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """Return `x` unchanged; its gradient is multiplied by `-weight`."""
    out: Tensor = _Reverse.apply(x, weight)  # type: ignore[no-untyped-call]
    return out
