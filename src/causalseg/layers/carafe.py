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
    size = int(kernels.shape[1] ** 0.5)
    padded = F.pad(x, [size // 2] * 4)
    wide = padded.shape[3]
    # A row of the source makes s rows of the output, as one product of the k padded rows around it,
    # (C, k * wide), and a band matrix (k * wide, s * s * w): output pixel X reads from X//s on.
    rows = torch.stack([padded[:, :, i : i + height] for i in range(size)], 3)
    rows = rows.permute(0, 2, 1, 3, 4).reshape(batch, height, channels, size * wide)
    taps = kernels.reshape(batch, size, size, height, scale, width, scale)
    taps = taps.permute(0, 3, 1, 4, 6, 5, 2)  # (B, h, i, s, s, w, j)
    # Rows one longer than a row of the band, laid end to end, move by one from row to row.
    band = F.pad(taps, (0, wide + 1 - size)).flatten(5)[..., : width * wide]
    band = band.reshape(*taps.shape[:5], width, wide).permute(0, 1, 2, 6, 3, 5, 4)
    out = rows @ band.reshape(batch, height, size * wide, scale * width * scale)
    out = out.view(batch, height, channels, scale, width * scale).permute(0, 2, 1, 3, 4)
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
