"""Stages of a Swin transformer (Liu et al., ICCV 2021), from MONAI's blocks.

MONAI's whole `SwinTransformer` merges patches after the last stage too and has no place between
stages for a fusion with text, so the stages are put together here.
"""

from dataclasses import dataclass

from monai.networks.nets.swin_unetr import PatchMergingV2, SwinTransformerBlock, compute_mask
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 4
"""Side in pixels of a patch."""


@dataclass(frozen=True)
class SwinSizes:
    """Sizes of a Swin transformer; the defaults are Swin-T's."""

    width: int = 96
    """Channels of the first stage; they double with each."""
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    drop_path: float = 0.2
    """Stochastic depth of the last block; it grows linearly from 0."""

    def channels(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.width * 2**i for i in range(len(self.depths)))

    def drop_paths(self) -> list[list[float]]:
        """Stochastic depth of each block of each stage."""
        last = sum(self.depths) - 1
        rates = [self.drop_path * i / max(last, 1) for i in range(last + 1)]
        out, start = [], 0
        for depth in self.depths:
            out.append(rates[start : start + depth])
            start += depth
        return out


class PatchEmbedding(nn.Module):
    """Linear map of 4x4 patches, and a layer norm: (B, 3, H, W) -> (B, H / 4, W / 4, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(3, width, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        x: Tensor = self.norm(self.project(images).permute(0, 2, 3, 1))
        return x


class SwinStage(nn.Module):
    """Blocks of windowed attention, every second one shifted by half a window.

    A map that the window does not divide is padded with zeros on the right and below, then cropped
    again; at 224 px and a window of 7 nothing is padded.

    Args:
        channels: how many a token has.
        heads: number of attention heads.
        window: side of a window, in tokens.
        drop_paths: stochastic depth of each block; their number is the number of blocks.

    """

    def __init__(self, channels: int, heads: int, window: int, drop_paths: list[float]) -> None:
        super().__init__()
        self.window = window
        shift = window // 2
        self.blocks = nn.ModuleList(
            SwinTransformerBlock(
                channels,
                heads,
                window_size=(window, window),
                shift_size=(shift, shift) if i % 2 else (0, 0),
                drop_path=drop_path,
            )
            for i, drop_path in enumerate(drop_paths)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) -> the same."""
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % self.window, 0, -height % self.window))
        size = [x.shape[1], x.shape[2]]
        windows = (self.window, self.window)
        # A side of a single window is not shifted; MONAI's blocks decide that by themselves.
        shift = [0 if side <= self.window else self.window // 2 for side in size]
        mask = compute_mask(size, windows, shift, x.device)
        for block in self.blocks:
            x = block(x, mask)
        return x[:, :height, :width]


def patch_merging(channels: int) -> nn.Module:
    """(B, h, w, C) -> (B, h / 2, w / 2, 2 C)."""
    return PatchMergingV2(channels, spatial_dims=2)  # type: ignore[no-any-return]
