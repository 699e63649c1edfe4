"""Bilinear upsampling followed by a 3x3 convolution, computed at low resolution.

Upsampling is linear and acts on each channel alone; a 3x3 convolution is nine shifted 1x1
convolutions. The 1x1 convolutions therefore commute with the upsampling:

    conv3x3(up(x)) = sum_{i, j} V_i (W_ij x) H_j^T

where W_ij is the 1x1 convolution of tap (i, j), applied at low resolution, and V_i, H_j are the
vertical and horizontal interpolation matrices, shifted by the tap and with zero rows where the
convolution would read its zero padding. The result is exact.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@lru_cache(maxsize=64)
def _shifted_interpolation(size: int, out_size: int, align_corners: bool) -> Tensor:
    """The matrix (out_size, 3 * size) holding the interpolation shifted by -1, 0, 1 rows.

    Row y of block i is row y + i - 1 of the interpolation matrix, or zero outside of it.
    """
    identity = torch.eye(size, dtype=torch.float64).unsqueeze(0)
    matrix = F.interpolate(identity, size=out_size, mode="linear", align_corners=align_corners)[0].T
    padded = F.pad(matrix, (0, 0, 1, 1))
    return torch.cat([padded[i : i + out_size] for i in range(3)], dim=1)


def upsample_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    size: tuple[int, int],
    *,
    align_corners: bool = False,
) -> Tensor:
    """`conv2d(interpolate(x, size, "bilinear"), weight, bias, padding=1)`, reordered.

    Args:
        x: (B, C, h, w).
        weight: (D, C, 3, 3).
        bias: (D,) or None.
        size: output (H, W), any size.
        align_corners: as in `torch.nn.functional.interpolate`.

    Returns:
        (B, D, H, W).

    """
    batch, channels, h, w = x.shape
    out_channels = weight.shape[0]
    vertical = _shifted_interpolation(h, size[0], align_corners).to(x)
    horizontal = _shifted_interpolation(w, size[1], align_corners).to(x)
    # Taps in the order (j, d, i) so that the vertical step reads contiguous (i, y) rows.
    taps = weight.permute(3, 0, 2, 1).reshape(9 * out_channels, channels)
    maps = (taps @ x.flatten(2)).view(batch, 3, out_channels, 3 * h, w)
    rows = vertical @ maps  # (B, 3, D, H, w)
    rows = rows.permute(0, 2, 3, 1, 4).reshape(batch, out_channels, size[0], 3 * w)
    out = rows @ horizontal.T
    return out if bias is None else out + bias.view(-1, 1, 1)


class UpsampleConv(nn.Conv2d):
    """Upsample to a given size, then convolve 3x3 with zero padding.

    Args:
        channels: in.
        out_channels: out.
        fast: reordered (True) or the plain two steps (False); the same parameters and result.

    """

    def __init__(self, channels: int, out_channels: int, *, bias: bool, fast: bool) -> None:
        super().__init__(channels, out_channels, 3, padding=1, bias=bias)
        self.fast = fast

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:  # type: ignore[override]
        """(B, C, h, w) -> (B, D, *size)."""
        if self.fast:
            return upsample_conv(x, self.weight, self.bias, size)
        upsampled = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        return super().forward(upsampled)
