"""Bilinear upsampling followed by a 3x3 convolution, computed at low resolution.

Upsampling is linear and acts on each channel alone; a 3x3 convolution is nine shifted 1x1
convolutions. The 1x1 convolutions therefore commute with the upsampling:

    conv3x3(up(x)) = sum_{i, j} V_i (W_ij x) H_j^T

where W_ij is the 1x1 convolution of tap (i, j), applied at low resolution, and V_i, H_j are the
vertical and horizontal interpolation matrices, shifted by the tap and with zero rows where the
convolution would read its zero padding. The result is exact.

For an integer scale s, row s * m + p of V_i reads only source rows m - 1, m, m + 1, with the same
weights for every m but the first and last. The nine tap maps then become the s * s output phases by
one small 3x3 convolution that all channels share, with its own weights on the border. Phases are
laid out as `torch.nn.functional.pixel_unshuffle` lays them out.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

CHUNK_ELEMENTS = 1 << 22
"""Largest temporary, in elements. Larger ones do not fit in the cache, and each of their pages
faults."""


@lru_cache(maxsize=64)
def _shifted_interpolation(size: int, out_size: int, align_corners: bool) -> Tensor:
    """The matrix (out_size, 3 * size) holding the interpolation shifted by -1, 0, 1 rows.

    Row y of block i is row y + i - 1 of the interpolation matrix, or zero outside of it.
    """
    identity = torch.eye(size, dtype=torch.float64).unsqueeze(0)
    matrix = F.interpolate(identity, size=out_size, mode="linear", align_corners=align_corners)[0].T
    padded = F.pad(matrix, (0, 0, 1, 1))
    return torch.cat([padded[i : i + out_size] for i in range(3)], dim=1)


class _Band(NamedTuple):
    """Source rows that share their interpolation weights."""

    out: slice
    """The source rows whose phases are written."""
    read: slice
    """The source rows that are read for them."""
    weights: Tensor
    """(s, 3, r): from tap i and row k of a window of r source rows to phase p."""


def _bands(size: int, scale: int) -> list[_Band]:
    """First, middle and last rows (fewer where there are no more than two)."""
    matrix = _shifted_interpolation(size, scale * size, False).view(scale * size, 3, size)

    def band(first: int, last: int) -> _Band:
        low, high = max(first - 1, 0), min(first + 2, size)
        weights = matrix[scale * first : scale * (first + 1), :, low:high]
        return _Band(slice(first, last), slice(low, min(last + 1, size)), weights)

    edges = [(0, 1), (1, size - 1), (size - 1, size)] if size > 1 else [(0, 1)]
    return [band(first, last) for first, last in edges if first < last]


class _Region(NamedTuple):
    """A rectangle of the source grid whose phases are made by one convolution."""

    out: tuple[slice, slice]
    read: tuple[slice, slice]
    kernel: Tensor
    """(s * s, 9, r_y, r_x)."""


@lru_cache(maxsize=64)
def _regions(
    height: int, width: int, scale: int, dtype: torch.dtype, device: torch.device
) -> tuple[_Region, ...]:
    with torch.inference_mode(False), torch.no_grad():
        return tuple(
            _Region(
                (row.out, column.out),
                (row.read, column.read),
                torch.einsum("pik,qjl->pqijkl", row.weights, column.weights)
                .reshape(scale**2, 9, row.weights.shape[2], column.weights.shape[2])
                .to(dtype=dtype, device=device),
            )
            for row in _bands(height, scale)
            for column in _bands(width, scale)
        )


def _expand(taps: Tensor, scale: int) -> Tensor:
    """Tap maps (N, 9, h, w) -> output phases (N, s * s, h, w)."""
    count, _, height, width = taps.shape
    regions = _regions(height, width, scale, taps.dtype, taps.device)
    if torch.compiler.is_compiling():  # writes in place do not suit graphs
        parts = [F.conv2d(taps[:, :, r.read[0], r.read[1]], r.kernel) for r in regions]
        columns = min(width, 3)
        rows = [torch.cat(parts[i : i + columns], 3) for i in range(0, len(parts), columns)]
        return torch.cat(rows, 2)
    edges = list(regions)
    if len(regions) == 9:  # the middle is made with its edges, which are then made right
        out = F.conv2d(taps, edges.pop(4).kernel, padding=1)
    else:
        out = taps.new_empty(count, scale**2, height, width)
    for region in edges:
        (y, x), (v, u) = region.out, region.read
        out[:, :, y, x] = F.conv2d(taps[:, :, v, u], region.kernel)
    return out


def _expand_adjoint(grad: Tensor, scale: int) -> Tensor:
    """Transpose of `_expand`: (N, s * s, h, w) -> (N, 9, h, w)."""
    count, _, height, width = grad.shape
    out = grad.new_zeros(count, 9, height, width)
    for region in _regions(height, width, scale, grad.dtype, grad.device):
        (y, x), (v, u) = region.out, region.read
        kernel = region.kernel.flip(2, 3).transpose(0, 1)
        padding = (kernel.shape[2] - 1, kernel.shape[3] - 1)
        out[:, :, v, u] += F.conv2d(grad[:, :, y, x], kernel, padding=padding)
    return out


def _tap_weight(weight: Tensor) -> Tensor:
    """(D, C, 3, 3) -> (9 * D, C, 1, 1), the taps of a channel side by side."""
    return weight.flatten(2).transpose(1, 2).reshape(-1, weight.shape[1], 1, 1)


def _tap_bias(bias: Tensor | None) -> Tensor | None:
    """The bias on the middle tap, whose interpolation weights sum to one everywhere."""
    return None if bias is None else F.pad(bias.unsqueeze(1), (4, 4)).flatten()


def _blocks(x: Tensor, channels: int, scale: int) -> Iterator[tuple[slice, slice]]:
    """Slices of the batch and of the output channels that keep temporaries in the cache."""
    batch, _, height, width = x.shape
    elements = height * width * max(9, scale**2)
    samples = min(batch, max(1, CHUNK_ELEMENTS // (64 * elements)))
    step = max(16, CHUNK_ELEMENTS // (samples * elements) // 16 * 16)
    for sample in range(0, batch, samples):
        for channel in range(0, channels, step):
            yield slice(sample, sample + samples), slice(channel, min(channel + step, channels))


def _phases(x: Tensor, weight: Tensor, bias: Tensor | None, scale: int) -> Tensor:
    """(B, C, h, w) -> (B, D, s * s, h, w)."""
    batch, _, height, width = x.shape
    shape = (len(weight), scale**2, height, width)

    def block(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        taps = F.conv2d(x, _tap_weight(weight), _tap_bias(bias))
        part = _expand(taps.view(-1, 9, height, width), scale)
        return part.view(-1, len(weight), *shape[1:])

    if torch.compiler.is_compiling():
        return block(x, weight, bias)
    blocks = list(_blocks(x, len(weight), scale))
    if len(blocks) == 1:
        return block(x, weight, bias)
    out = x.new_empty(batch, *shape)
    for samples, channels in blocks:
        own = None if bias is None else bias[channels]
        out[samples, channels] = block(x[samples], weight[channels], own)
    return out


class _UpsampleConv(torch.autograd.Function):
    """`_phases`, keeping neither tap maps nor upsampled features for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, scale: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.scale = scale
        return _phases(x, weight, bias, scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        scale: int = ctx.scale
        (grad,) = grads
        height, width = x.shape[2:]
        to_x = ctx.needs_input_grad[0]
        grad_x = torch.zeros_like(x) if to_x else None
        grad_weight = torch.zeros_like(weight)
        for samples, channels in _blocks(x, len(weight), scale):
            part = grad[samples, channels].reshape(-1, scale**2, height, width)
            taps = _expand_adjoint(part, scale).view(len(x[samples]), -1, height, width)
            by_x, by_weight, _ = torch.ops.aten.convolution_backward(
                taps, x[samples], _tap_weight(weight[channels]), None,
                [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [to_x, True, False],
            )  # fmt: skip
            if grad_x is not None:
                grad_x[samples] += by_x
            grad_weight[channels] += by_weight.view(-1, 9, x.shape[1]).mT.unflatten(2, (3, 3))
        grad_bias = grad.sum((0, 2, 3, 4)) if ctx.needs_input_grad[2] else None
        return grad_x, grad_weight, grad_bias, None


def _dense(
    x: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int], align_corners: bool
) -> Tensor:
    """Any size: the interpolation matrices as they are. (B, C, h, w) -> (B, D, *size)."""
    batch, channels, h, w = x.shape
    out_channels = weight.shape[0]
    vertical = _shifted_interpolation(h, size[0], align_corners).to(x)
    horizontal = _shifted_interpolation(w, size[1], align_corners).to(x)
    # Taps in the order (j, d, i) so that the vertical step reads contiguous (i, y) rows.
    taps = weight.permute(3, 0, 2, 1).reshape(9 * out_channels, channels, 1, 1)
    maps = F.conv2d(x, taps).view(batch, 3, out_channels, 3 * h, w)
    rows = vertical @ maps  # (B, 3, D, H, w)
    rows = rows.permute(0, 2, 3, 1, 4).reshape(batch, out_channels, size[0], 3 * w)
    out = rows @ horizontal.T
    return out if bias is None else out + bias.view(-1, 1, 1)


def integer_scale(source: tuple[int, int], size: tuple[int, int]) -> int | None:
    """The scale s with size = s * source in both directions, or None."""
    scale = size[0] // source[0]
    exact = scale > 0 and size == (scale * source[0], scale * source[1])
    return scale if exact else None


def upsample_conv_phases(
    x: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]
) -> tuple[Tensor, int]:
    """`conv2d(interpolate(x, size, "bilinear"), weight, bias, padding=1)`, as phases.

    What follows and treats every pixel alone (batch norm, ReLU, a 1x1 convolution) may work on the
    phases, which avoids moving the largest tensor.

    Args:
        x: (B, C, h, w).
        weight: (D, C, 3, 3).
        bias: (D,) or None.
        size: output (H, W), any size.

    Returns:
        phases (B, D, s * s, H / s, W / s) and s, such that
        `pixel_shuffle(phases.flatten(1, 2), s)` is the output. s = 1 where the scale is not a whole
        number.

    """
    scale = integer_scale((x.shape[2], x.shape[3]), size)
    if scale is None:
        return _dense(x, weight, bias, size, False).unsqueeze(2), 1
    if torch.is_grad_enabled():
        weight = weight.to(x.dtype)  # autocast may pass features of another type
        phases: Tensor = _UpsampleConv.apply(x, weight, bias, scale)  # type: ignore[no-untyped-call]
        return phases, scale
    return _phases(x, weight, bias, scale), scale


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
    if align_corners:
        return _dense(x, weight, bias, size, True)
    phases, scale = upsample_conv_phases(x, weight, bias, size)
    return F.pixel_shuffle(phases.flatten(1, 2), scale)
