"""A residual tower as oneDNN runs it fastest on a processor.

PyTorch's own convolution brings the weights into oneDNN's order anew on every call, and features
are read and written once more for the sum and the ReLU. The results differ by rounding alone.
"""

from typing import Any

import torch
from torch import Tensor, nn

from causalseg.encoders.resnet import Bottleneck, ResNetTower


class PackedConv2d(nn.Module):
    """A convolution, and what follows it, for inference only.

    The weights are packed when the first features come, whose size decides their best order, and
    once for each number of threads: in the order of another number a convolution takes up to
    twice as long. Features of other sizes may follow.

    Args:
        conv: with its batch norm folded in, float32 or bfloat16, on a CPU.
        relu: whether a ReLU follows.

    """

    def __init__(self, conv: nn.Conv2d, *, relu: bool) -> None:
        super().__init__()
        self._relu = relu
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._shape: tuple[Any, ...] = (
            list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups,
        )  # fmt: skip
        self._plain = conv.weight.detach()
        self._packed: dict[int, Tensor] = {}

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Convolve x (B, C, H, W), add the shortcut where one is given, and apply the ReLU."""
        threads = torch.get_num_threads()
        packed = self._packed.get(threads)
        if packed is None:
            packed = torch.ops.mkldnn._reorder_convolution_weight(
                self._plain, *self._shape, [*x.shape]
            )
            self._packed[threads] = packed
        convolve = torch.ops.mkldnn._convolution_pointwise
        own = (packed, self._bias, *self._shape)
        then = "relu" if self._relu else None
        if shortcut is None:
            out: Tensor = convolve(x, *own, then or "none", [], "")
        else:
            out = convolve.binary(x, shortcut, *own, "add", 1.0, then, [], None)
        return out


class PackedBottleneck(nn.Module):
    """`Bottleneck` with packed convolutions."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.conv1 = PackedConv2d(block.conv1, relu=True)
        self.conv2 = PackedConv2d(block.conv2, relu=True)
        self.avgpool = block.avgpool
        self.conv3 = PackedConv2d(block.conv3, relu=True)
        self.downsample: nn.Module | None = None
        if block.downsample is not None:
            pool, conv, _ = block.downsample.children()
            assert isinstance(conv, nn.Conv2d)
            self.downsample = nn.Sequential(pool, PackedConv2d(conv, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        """As `Bottleneck.forward`."""
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.conv3(self.avgpool(self.conv2(self.conv1(x))), shortcut)
        return out


def can_pack() -> bool:
    """Whether this PyTorch has oneDNN."""
    return hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def pack(model: nn.Module) -> None:
    """Pack the residual towers of a model whose batch norms are folded, in place.

    What is packed has no parameters and cannot be moved to another device.
    """
    for tower in [part for part in model.modules() if isinstance(part, ResNetTower)]:
        for name, part in list(tower.named_modules()):
            packed: nn.Module
            if isinstance(part, Bottleneck):
                packed = PackedBottleneck(part)
            elif isinstance(part, nn.Conv2d) and "." not in name:  # of the stem
                packed = PackedConv2d(part, relu=False)
            else:
                continue
            parent, _, child = name.rpartition(".")
            tower.get_submodule(parent).register_module(child, packed)
