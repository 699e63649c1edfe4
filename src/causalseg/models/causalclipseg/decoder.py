"""Text-pixel alignment: S = D(tau, F) = W_tau * up(F) + b_tau (Eq. 1)."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from causalseg.layers.upsample_conv import UpsampleConv, upsample_conv_phases

CHUNK = 64
"""Most channels of the upsampled features that exist at a time."""
MIN_CHUNK = 8
CHUNK_BYTES = 32 * 2**20
"""Most bytes of them on a CPU. Larger blocks are given back to the system at once, and are cleared
page by page when they are next asked for, a quarter of a training step's CPU time."""


def correlate(features: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Cross-correlate each sample with its own kernel (Eq. 1), zero-padded to the same size.

    Args:
        features: (B, C, H, W).
        kernel: (B, C, K, K).
        bias: (B,).

    Returns:
        (B, 1, H, W).

    """
    batch, channels, height, width = features.shape
    grouped = features.reshape(1, batch * channels, height, width)
    padding = kernel.shape[-1] // 2
    out = F.conv2d(grouped, kernel, bias, padding=padding, groups=batch)
    return out.view(batch, 1, height, width)


class Decoder(nn.Module):
    """Upsamples the features to full resolution and correlates them with a kernel made of text.

    Args:
        channels: C of the fused features and of the two upsampling steps.
        embedding: size of tau.
        kernel_size: K.
        fast: reordered arithmetic, or Eq. 1 plainly.

    """

    def __init__(
        self, channels: tuple[int, int, int], embedding: int, kernel_size: int, *, fast: bool
    ) -> None:
        super().__init__()
        fused, first, second = channels
        self.kernel_size = kernel_size
        self.fast = fast
        self.up1 = UpsampleConv(fused, first, bias=False, fast=fast)
        self.norm1 = nn.BatchNorm2d(first)
        self.up2 = UpsampleConv(first, second, bias=False, fast=fast)
        self.norm2 = nn.BatchNorm2d(second)
        self.project = nn.Conv2d(second, second, 1)
        self.kernel = nn.Linear(embedding, second * kernel_size**2 + 1)

    def upsample(self, fused: Tensor, size: tuple[int, int]) -> Tensor:
        """The text-free part of up(F) that is worth keeping: the first of its two steps.

        The second step makes the network's largest tensor. `respond` makes it piece by piece.

        Args:
            fused: (B, C, h, w).
            size: (H, W) of the image.

        Returns:
            (B, C_1, ceil(H / 4), ceil(W / 4)).

        """
        quarter = (-(-size[0] // 4), -(-size[1] // 4))
        return F.relu(self.norm1(self.up1(fused, quarter)))

    def text_kernel(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """tau (B, T) -> W_tau (B, C_2, K, K), b_tau (B,)."""
        d = self.kernel(tau)
        return d[:, :-1].view(d.shape[0], -1, self.kernel_size, self.kernel_size), d[:, -1]

    def respond(self, x: Tensor, tau: Tensor, size: tuple[int, int]) -> Tensor:
        """The response map of a text, S = W_tau * up(F) + b_tau.

        Args:
            x: of `upsample`; (B, C_1, h, w), or (1, C_1, h, w) to be shared by all texts.
            tau: (B, T).
            size: (H, W).

        Returns:
            (B, 1, H, W) logits.

        """
        kernel, bias = self.text_kernel(tau)
        if self.fast:
            return self._respond_fast(x, kernel, bias, size)
        pixels = self.project(F.relu(self.norm2(self.up2(x, size))))
        return correlate(pixels.expand(len(tau), -1, -1, -1), kernel, bias)

    def _respond_fast(
        self, x: Tensor, kernel: Tensor, bias: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Fold, and never hold all of up(F).

        The last 1x1 convolution u = P f + p is folded into the kernel: each tap's response is
        (W_tap P) f + W_tap p, a matrix product; the taps are then shifted and added. The constant
        is added before the zero padding, as the convolution would see it. The product is summed
        over groups of channels of f; in training each group is computed again in the backward
        pass instead of being kept.
        """
        dtype = x.dtype  # lower than the kernel's where the image path has reduced precision
        taps = kernel.flatten(2).transpose(1, 2)  # (B, K*K, C)
        constant = taps @ self.project.bias.unsqueeze(1)  # type: ignore[union-attr]
        folded = (taps @ self.project.weight.flatten(1)).to(dtype)
        maps: Tensor | None = None
        for channels in self._chunks(x, size):
            if torch.is_grad_enabled():
                part: Tensor = checkpoint(
                    _Once(self._partial),
                    x,
                    folded,
                    channels,
                    size,
                    use_reentrant=False,
                    preserve_rng_state=False,
                )
            else:
                part = self._partial(x, folded, channels, size, True)
            part = part.to(kernel.dtype)
            maps = part if maps is None else maps + part
        assert maps is not None
        if isinstance(self.norm2, nn.BatchNorm2d) and self.norm2.training:
            assert self.norm2.num_batches_tracked is not None
            self.norm2.num_batches_tracked.add_(1)  # as its own forward would
        out = bias.view(-1, 1, 1)
        length = self.kernel_size
        padded = F.pad(maps + constant.unsqueeze(3), [length // 2] * 4)
        for i in range(length):
            for j in range(length):
                window = padded[:, i * length + j, i : i + size[0], j : j + size[1]]
                out = out + window
        return out.unsqueeze(1)

    def _chunks(self, x: Tensor, size: tuple[int, int]) -> Iterator[slice]:
        count = step = self.up2.out_channels
        if not torch.compiler.is_compiling():
            fit = CHUNK_BYTES // (x.shape[0] * size[0] * size[1] * x.element_size())
            step = CHUNK if x.is_cuda else min(CHUNK, max(MIN_CHUNK, fit))
        return (slice(i, min(i + step, count)) for i in range(0, count, step))

    def _partial(
        self,
        x: Tensor,
        folded: Tensor,
        channels: slice,
        size: tuple[int, int],
        update_statistics: bool,
    ) -> Tensor:
        """Tap responses (B, K * K, H, W) of some of the channels of f."""
        bias = None if self.up2.bias is None else self.up2.bias[channels]
        phases, scale = upsample_conv_phases(x, self.up2.weight[channels], bias, size)
        batch, count, _, h, w = phases.shape
        flat = phases.view(batch, count, -1)
        normal = _normalise(flat, self.norm2, channels, update_statistics)
        features = F.relu(normal, inplace=True)
        taps = folded[:, :, channels]
        if batch == 1:  # one product for all texts
            maps = F.conv1d(features, taps.flatten(0, 1).unsqueeze(2))
        else:
            maps = taps @ features
        shuffled = F.pixel_shuffle(maps.reshape(-1, scale**2, h, w), scale)
        return shuffled.view(folded.shape[0], -1, *size)


class _Once:
    """Tells a function whether it is called for the first time (and not to be recomputed)."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.first = True

    def __call__(self, *arguments: Any) -> Tensor:
        first, self.first = self.first, False
        return self.function(*arguments, first)


def _normalise(x: Tensor, norm: nn.Module, channels: slice, update_statistics: bool) -> Tensor:
    """Batch norm of some of its channels; `norm` is an identity once it has been folded."""
    if not isinstance(norm, nn.BatchNorm2d):
        return x
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return F.batch_norm(
        x,
        norm.running_mean[channels],
        norm.running_var[channels],
        norm.weight[channels],
        norm.bias[channels],
        norm.training,
        norm.momentum if update_statistics else 0.0,  # type: ignore[arg-type]
        norm.eps,
    )
