"""Bilinear upsampling followed by a 3x3 convolution, computed at low resolution.

Upsampling is linear and acts on each channel alone; a 3x3 convolution is nine shifted 1x1
convolutions. The 1x1 convolutions therefore commute with the upsampling:

    conv3x3(up(x)) = sum_{i, j} V_i (W_ij x) H_j^T

where W_ij is the 1x1 convolution of tap (i, j), applied at low resolution, and V_i, H_j are the
vertical and horizontal interpolation matrices, shifted by the tap and with zero rows where the
convolution would read its zero padding. The result is exact.

For an integer scale s, row s * m + p of V_i reads only source rows m - 1, m, m + 1, with the same
weights for every m but the first and last. The nine tap maps then become the s * s output phases by
one small 3x3 convolution that all channels share, once they have a ring of pixels around them that
gives the border what it needs. Phases are laid out as `torch.nn.functional.pixel_unshuffle` does.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

LARGEST_SCALE = 5
"""Largest integer scale of which one pixel outside of an edge can make the edge right."""
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


@lru_cache(maxsize=64)
def _phase_kernel(scale: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(s * s, 9, 3, 3): from the tap maps around a source pixel to its output phases."""
    with torch.inference_mode(False), torch.no_grad():
        middle = _shifted_interpolation(3, 3 * scale, False)[scale : 2 * scale].view(-1, 3, 3)
        kernel = torch.einsum("pik,qjl->pqijkl", middle, middle)
        return kernel.reshape(scale**2, 9, 3, 3).to(dtype=dtype, device=device)


def _outer_tap(scale: int) -> tuple[int, float]:
    """The tap through which the pixel outside of an edge reaches the first phase alone, and 1 over
    the weight with which it does: `_ring` cancels there what the convolution's padding hides.
    """
    weights = {row + 1: 0.5 - (row + 0.5) / scale for row in range(-1, 2)}
    tap = max(tap for tap, weight in weights.items() if weight > 0)
    return tap, 1 / weights[tap]


def _edges(padded: Tensor, scale: int) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Of (N, 9, h + 2, w + 2), edge by edge: the part to be made right, its source, a factor."""
    grid = padded.view(-1, 3, 3, *padded.shape[2:])
    tap, factor = _outer_tap(scale)
    for dim in (1, 2):
        first, last = grid.select(dim + 2, 0), grid.select(dim + 2, -1)
        yield first.select(dim, tap), first.select(dim, 0), factor
        yield last.select(dim, 2 - tap), last.select(dim, 2), factor


def _ring(taps: Tensor, scale: int) -> Tensor:
    """Tap maps (N, 9, h, w) -> (N, 9, h + 2, w + 2), so that the edges are like the middle.

    The interpolation repeats the edge, and so does the ring. Where the first tap would read
    the first of the repeated rows, though, the convolution reads its zero padding. What that row
    adds to the first phase, another tap's row of the ring takes away again.
    """
    if torch.compiler.is_compiling():
        return _ring_of_parts(taps, scale)
    padded = F.pad(taps, (1, 1, 1, 1), mode="replicate")
    for part, source, factor in _edges(padded, scale):
        part.sub_(source, alpha=factor)
    return padded


def _ring_of_parts(taps: Tensor, scale: int) -> Tensor:
    """As `_ring`, for graphs, where a write in place becomes a copy of the whole."""
    tap, factor = _outer_tap(scale)
    hidden = factor * torch.eye(3, dtype=taps.dtype, device=taps.device)[tap]
    grid = taps.view(-1, 3, 3, *taps.shape[2:])
    for dim in (1, 2):
        shape = [3 if axis == dim else 1 for axis in range(1, 5)]
        first, last = grid.narrow(dim + 2, 0, 1), grid.narrow(dim + 2, -1, 1)
        before = first - first.narrow(dim, 0, 1) * hidden.view(shape)
        after = last - last.narrow(dim, 2, 1) * hidden.flip(0).view(shape)
        grid = torch.cat([before, grid, after], dim + 2)
    return grid.flatten(1, 2)


def _expand(taps: Tensor, scale: int) -> Tensor:
    """Tap maps (N, 9, h, w) -> output phases (N, s * s, h, w)."""
    return F.conv2d(_ring(taps, scale), _phase_kernel(scale, taps.dtype, taps.device))


def _expand_adjoint(grad: Tensor, scale: int) -> Tensor:
    """Transpose of `_expand`: (N, s * s, h, w) -> (N, 9, h, w)."""
    kernel = _phase_kernel(scale, grad.dtype, grad.device).flip(2, 3).transpose(0, 1)
    padded = F.conv2d(grad, kernel, padding=2)
    for part, source, factor in reversed(list(_edges(padded, scale))):
        source.sub_(part, alpha=factor)
    for dim in (2, 3):  # what was repeated comes back to the edge
        padded.select(dim, 1).add_(padded.select(dim, 0))
        padded.select(dim, -2).add_(padded.select(dim, -1))
    return padded[:, :, 1:-1, 1:-1]


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
    """The scale s <= LARGEST_SCALE with size = s * source in both directions, or None."""
    scale = size[0] // source[0]
    exact = 0 < scale <= LARGEST_SCALE and size == (scale * source[0], scale * source[1])
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
