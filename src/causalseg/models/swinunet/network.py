"""Swin-Unet: a U of Swin transformer blocks without convolutions."""

import torch
from torch import Tensor, nn

from causalseg.encoders.swin import PATCH, PatchEmbedding, SwinSizes, SwinStage, patch_merging


class PatchExpanding(nn.Module):
    """Linear map, and each token's channels laid out as factor x factor tokens; layer norm."""

    def __init__(self, channels: int, expansion: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.expand = nn.Linear(channels, channels * expansion, bias=False)
        self.norm = nn.LayerNorm(channels * expansion // factor**2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, f h, f w, C * expansion / f^2)."""
        f = self.factor
        batch, height, width, _ = x.shape
        x = self.expand(x).view(batch, height, width, f, f, -1)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(batch, height * f, width * f, -1)
        y: Tensor = self.norm(x)
        return y


class SwinUnetNetwork(nn.Module):
    """Encoder, decoder and a last expansion by the patch's side.

    Args:
        sizes: the depths hold for the encoder and the decoder.

    """

    def __init__(self, sizes: SwinSizes) -> None:
        super().__init__()
        channels, drops = sizes.channels(), sizes.drop_paths()
        levels = range(len(channels))
        self.embed = PatchEmbedding(sizes.width)
        self.stages = nn.ModuleList(
            SwinStage(channels[i], sizes.heads[i], sizes.window, drops[i]) for i in levels
        )
        self.merge = nn.ModuleList(patch_merging(c) for c in channels[:-1])
        self.norm = nn.LayerNorm(channels[-1])
        finer = list(reversed(levels))[1:]
        self.expand = nn.ModuleList(PatchExpanding(2 * channels[i], 2, 2) for i in finer)
        self.reduce = nn.ModuleList(nn.Linear(2 * channels[i], channels[i]) for i in finer)
        self.decoder = nn.ModuleList(
            SwinStage(channels[i], sizes.heads[i], sizes.window, drops[i]) for i in finer
        )
        self.last_norm = nn.LayerNorm(sizes.width)
        self.last_expand = PatchExpanding(sizes.width, PATCH**2, PATCH)
        self.head = nn.Conv2d(sizes.width, 1, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), sides that 32 divides -> (B, 1, H, W)."""
        x = self.embed(images)
        skips = []
        for stage, merge in zip(self.stages, [*self.merge, None], strict=True):
            skips.append(x)  # before the stage's blocks, as in the authors' code
            x = stage(x)
            if merge is not None:
                x = merge(x)
        x = self.norm(x)
        for expand, reduce, stage, skip in zip(
            self.expand, self.reduce, self.decoder, reversed(skips[:-1]), strict=True
        ):
            x = stage(reduce(torch.cat([expand(x), skip], dim=3)))
        x = self.last_expand(self.last_norm(x))
        logits: Tensor = self.head(x.permute(0, 3, 1, 2))
        return logits
