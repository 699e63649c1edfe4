"""The same fusion and decoder with their arithmetic in another order, several times faster.

Bilinear upsampling and CARAFE act on each channel alone, and a 1x1 convolution on each position
alone, so that they commute; a 3x3 convolution is nine shifted 1x1 convolutions. Parameters, values
and gradients are those of `fusion` and `decoder`; the tests hold both forms equal.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from causalseg.layers.resize import resize
from causalseg.layers.upsample_conv import upsample_conv, upsample_conv_phases
from causalseg.models.causalclipseg.decoder import Decoder
from causalseg.models.causalclipseg.fusion import Fusion

CHUNK = 64
"""Most channels of the upsampled features that exist at a time."""
MIN_CHUNK = 8
CHUNK_BYTES = 32 * 2**20
"""Most bytes of them on a CPU. Larger blocks go back to the system at once and are cleared page by
page when they are next allocated, which takes a quarter of a training step's CPU time."""


class FastFusion(Fusion):
    """Each stage's share of the 1x1 convolution is computed before the stage is upsampled."""

    def forward(self, features: Mapping[int, Tensor]) -> Tensor:
        """As `Fusion.forward`."""
        weights = torch.split(self.conv.weight, list(self.channels.values()), dim=1)
        target = features[self.unified_stage].shape[2:]
        parts = []
        for (stage, _), weight in zip(self.channels.items(), weights, strict=True):
            # There is a bias only after the batch norm was folded; it is added once.
            bias = self.conv.bias if stage == self.unified_stage else None
            values = F.conv2d(features[stage], weight, bias)
            parts.append(resize(self.rescale(stage, features[stage], values), target))
        return F.relu(self.norm(sum(parts)))


class FastDecoder(Decoder):
    """Convolves before it upsamples, and makes the network's largest tensor piece by piece."""

    def upsample(self, fused: Tensor, size: tuple[int, int]) -> Tensor:
        """As `Decoder.upsample`."""
        quarter = (-(-size[0] // 4), -(-size[1] // 4))
        return F.relu(self.norm1(upsample_conv(fused, self.up1.weight, self.up1.bias, quarter)))

    def respond(self, x: Tensor, tau: Tensor, size: tuple[int, int]) -> Tensor:
        """Fold, and never hold all of up(F).

        The last 1x1 convolution u = P f + p is folded into the kernel: each tap's response is
        (W_tap P) f + W_tap p, a matrix product; the taps are then shifted and added. The constant
        is added before the zero padding, as the convolution would see it. The product is summed
        over groups of channels of f; in training each group is computed again in the backward
        pass instead of being kept.
        """
        kernel, bias = self.text_kernel(tau)
        dtype = x.dtype  # lower than the kernel's where the image path has reduced precision
        taps = kernel.flatten(2).transpose(1, 2)  # (B, K*K, C)
        constant = taps @ self.project.get_parameter("bias").unsqueeze(1)
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
            self.norm2.num_batches_tracked.add_(1)  # as the norm's own forward would
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
    """Tells a function whether this is its first call (and not a recomputation)."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.first = True

    def __call__(self, *arguments: Any) -> Tensor:
        first, self.first = self.first, False
        return self.function(*arguments, first)


def _normalise(x: Tensor, norm: nn.Module, channels: slice, update_statistics: bool) -> Tensor:
    """Batch norm of some of its channels; `norm` is an identity after folding."""
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
