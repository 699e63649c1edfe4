"""Residual image towers: CLIP's ModifiedResNet (Radford et al., 2021) and the ImageNet form.

Parameter names are those of OpenAI's release (`conv1`, `layer3.0.downsample.0`, ...), so its
weights load without renaming.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from causalseg.encoders.config import ResNetConfig
from causalseg.encoders.tower import Tower

EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions around a shortcut.

    CLIP's form strides by average pooling (after the 3x3, and before the shortcut's 1x1), so that
    no position is skipped; the ImageNet form strides in its first 1x1 and in the shortcut's 1x1.
    """

    def __init__(self, channels: int, planes: int, stride: int, *, antialias: bool) -> None:
        super().__init__()
        out = planes * EXPANSION
        step = 1 if antialias else stride
        self.conv1 = nn.Conv2d(channels, planes, 1, stride=step, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.avgpool = nn.AvgPool2d(stride) if antialias and stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != out:
            pool = nn.AvgPool2d(stride) if antialias and stride > 1 else nn.Identity()
            self.downsample = nn.Sequential(
                OrderedDict(
                    [
                        ("-1", pool),
                        ("0", nn.Conv2d(channels, out, 1, stride=step, bias=False)),
                        ("1", nn.BatchNorm2d(out)),
                    ]
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(self.avgpool(x)))
        out: Tensor = self.relu(x + shortcut)
        return out


class ResNetTower(Tower):
    """Image tower that gives the feature maps of its stages 2 and above.

    Args:
        config: sizes and style.
        gradient_checkpointing: recompute each stage in the backward pass instead of keeping its
            activations.

    Attributes:
        channels: stage number -> channels, e.g. `{2: 512, 3: 1024, 4: 2048}`.

    """

    def __init__(self, config: ResNetConfig, *, gradient_checkpointing: bool = False) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = gradient_checkpointing
        width = config.width
        if config.style == "clip":
            half = width // 2
            self.conv1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(half)
            self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(half)
            self.conv3 = nn.Conv2d(half, width, 3, padding=1, bias=False)
            self.bn3 = nn.BatchNorm2d(width)
            self.pool: nn.Module = nn.AvgPool2d(2)
        else:
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)

        channels = width
        self.channels: dict[int, int] = {}
        for index, blocks in enumerate(config.layers):
            planes = width * 2**index
            stage = self._stage(channels, planes, blocks, stride=1 if index == 0 else 2)
            self.add_module(f"layer{index + 1}", stage)
            channels = planes * EXPANSION
            if index > 0:
                self.channels[index + 1] = channels

    def _stage(self, channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
        antialias = self.config.style == "clip"
        first = Bottleneck(channels, planes, stride, antialias=antialias)
        rest = [
            Bottleneck(planes * EXPANSION, planes, 1, antialias=antialias)
            for _ in range(blocks - 1)
        ]
        return nn.Sequential(first, *rest)

    def fold_pairs(self) -> list[tuple[str, str]]:
        """Names of every convolution and of the batch norm that follows it."""
        stem = 3 if self.config.style == "clip" else 1
        pairs = [(f"conv{i}", f"bn{i}") for i in range(1, stem + 1)]
        for name, block in self.named_modules():
            if isinstance(block, Bottleneck):
                pairs += [(f"{name}.conv{i}", f"{name}.bn{i}") for i in (1, 2, 3)]
                if block.downsample is not None:
                    pairs.append((f"{name}.downsample.0", f"{name}.downsample.1"))
        return pairs

    def stem(self, images: Tensor) -> Tensor:
        """The first convolutions: (B, 3, H, W) -> (B, width, H / 2, W / 2), before the pool."""
        x = self.relu(self.bn1(self.conv1(images)))
        if self.config.style == "clip":
            x = self.relu(self.bn2(self.conv2(x)))
            x = self.relu(self.bn3(self.conv3(x)))
        return x  # type: ignore[no-any-return]

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """The stem's map and that of every stage: the i-th at 1 / 2**(i + 1) of the image."""
        maps = [self.stem(images)]
        x = self.pool(maps[0])
        for index in range(len(self.config.layers)):
            x = self.get_submodule(f"layer{index + 1}")(x)
            maps.append(x)
        return maps

    def pyramid_channels(self) -> list[int]:
        """Channels of `pyramid`'s maps."""
        width = self.config.width
        return [width, *(EXPANSION * width * 2**i for i in range(len(self.config.layers)))]

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Feature maps by stage.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            `{i: (B, C_i, H / 2**(i + 1), W / 2**(i + 1))}` for stages i >= 2.

        """
        x = self.pool(self.stem(images))
        maps = {}
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        for index in range(len(self.config.layers)):
            stage = self.get_submodule(f"layer{index + 1}")
            x = checkpoint(stage, x, use_reentrant=False) if recompute else stage(x)
            if index > 0:
                maps[index + 1] = x.contiguous()  # the tower may run in channels_last
        return maps


class AttentionPool(nn.Module):
    """CLIP's attention pool, used as a dense projection to the joint space.

    In CLIP the mean feature attends over all positions. Its value path `c_proj(v_proj(x))` alone
    maps every position to the joint space, which is what a dense text-image similarity needs
    (Zhou et al., 2022, MaskCLIP). Queries, keys and positions serve only the pooled output, so
    they are not built here.
    """

    UNUSED: Sequence[str] = ("positional_embedding", "q_proj", "k_proj")

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, embedding)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, embedding, h, w)."""
        dense: Tensor = self.c_proj(self.v_proj(x.flatten(2).transpose(1, 2)))
        return dense.transpose(1, 2).reshape(len(x), -1, *x.shape[2:])
