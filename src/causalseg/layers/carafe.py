"""CARAFE: content-aware reassembly of features (Wang et al., ICCV 2019, arXiv 1905.02188)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def reassemble(x: Tensor, kernels: Tensor, scale: int) -> Tensor:
    """Upsample by taking each output pixel from a weighted neighbourhood of the source.

    out[b, c, Y, X] = sum_{i, j} kernels[b, i * k + j, Y, X] * x[b, c, Y//s + i - r, X//s + j - r]
    with r = k // 2 and zeros outside the map.

    Args:
        x: (B, C, h, w).
        kernels: (B, k * k, s * h, s * w), k odd.
        scale: s.

    Returns:
        (B, C, s * h, s * w).

    """
    batch, channels, height, width = x.shape
    taps = kernels.shape[1]
    size = int(taps**0.5)
    # The s * s output pixels of one source pixel share its neighbourhood, so that each source
    # pixel is one matrix product (C, k * k) @ (k * k, s * s).
    columns = F.unfold(x, size, padding=size // 2).view(batch, channels, taps, height * width)
    kernels = kernels.reshape(batch, taps, height, scale, width, scale)
    kernels = kernels.permute(0, 2, 4, 1, 3, 5).reshape(batch, height * width, taps, scale**2)
    out = columns.permute(0, 3, 1, 2) @ kernels
    out = out.view(batch, height, width, channels, scale, scale).permute(0, 3, 1, 4, 2, 5)
    return out.reshape(batch, channels, scale * height, scale * width)


class CARAFE(nn.Module):
    """Predicts the reassembly kernels from the features themselves.

    A 1x1 convolution compresses, a 3x3 convolution predicts `k * k * s * s` values per source
    pixel, pixel shuffle spreads them over the s x s output pixels, softmax normalises over the k *
    k neighbours.

    Args:
        channels: those of the input.
        scale: integer upsampling factor s >= 1.
        compressed: channels between the two convolutions.
        kernel_size: k, odd.

    """

    def __init__(
        self, channels: int, scale: int, *, compressed: int = 64, kernel_size: int = 5
    ) -> None:
        super().__init__()
        self.scale = scale
        self.compress = nn.Conv2d(channels, compressed, 1)
        self.encode = nn.Conv2d(compressed, (kernel_size * scale) ** 2, 3, padding=1)

    def kernels(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, k * k, s * h, s * w), summing to 1 over the k * k neighbours."""
        raw = F.pixel_shuffle(self.encode(self.compress(x)), self.scale)
        return torch.softmax(raw, dim=1)

    def forward(self, x: Tensor, values: Tensor | None = None) -> Tensor:
        """Upsample.

        Args:
            x: (B, C, h, w), from which the kernels are predicted.
            values: (B, C', h, w), what is reassembled; `x` itself by default. Reassembly is linear
                and the same for every channel, so a 1x1 convolution may be applied before it, at
                low resolution, with the same result.

        Returns:
            (B, C', s * h, s * w).

        """
        return reassemble(x if values is None else values, self.kernels(x), self.scale)
