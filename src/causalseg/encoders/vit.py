"""CLIP's vision transformer (Radford et al., 2021) as a dense tower, with OpenAI's names.

timm's, which BiomedCLIP has, is the same but for three things: no norm before the first block, a
bias of the patches, and a smaller epsilon of the norms.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.encoders.config import ViTConfig
from causalseg.encoders.tower import Tower
from causalseg.encoders.transformer import ResidualAttentionBlock, Transformer, set_epsilon
from causalseg.errors import InputError

TIMM_EPSILON = 1e-6
"""Of timm's norms; CLIP's have 1e-5."""


def value_path(block: ResidualAttentionBlock, x: Tensor) -> Tensor:
    """A block without attention: every token keeps its own value.

    `x + out_proj(v(ln_1(x)))`, then the feed-forward as usual (Zhou et al., 2022, MaskCLIP). The
    last block's attention gathers for the class token; without it patches stay local.
    """
    width = x.shape[-1]
    weight, bias = block.attn.in_proj_weight[-width:], block.attn.in_proj_bias[-width:]
    x = x + block.attn.out_proj(F.linear(block.ln_1(x), weight, bias))
    y: Tensor = x + block.mlp(block.ln_2(x))
    return y


class VisionTransformer(Tower):
    """Image tower that projects every patch token to the joint space.

    At the resolution the weights were learned at, positions are used as they are; at another, the
    grid of positions is resized (bicubic), which costs accuracy.
    """

    def __init__(self, config: ViTConfig, embedding: int) -> None:
        super().__init__()
        self.config, self.activation = config, config.activation
        width, grid = config.width, config.resolution // config.patch
        timm = config.style == "timm"
        self.conv1 = nn.Conv2d(3, width, config.patch, stride=config.patch, bias=timm)
        self.class_embedding = nn.Parameter(width**-0.5 * torch.randn(width))
        self.positional_embedding = nn.Parameter(width**-0.5 * torch.randn(grid**2 + 1, width))
        self.ln_pre = nn.Identity() if timm else nn.LayerNorm(width)
        self.transformer = Transformer(width, config.layers, config.heads, config.activation)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(width**-0.5 * torch.randn(width, embedding))
        if timm:
            set_epsilon(self, TIMM_EPSILON)

    def positions(self, height: int, width: int) -> Tensor:
        """Positional embedding for a grid of patches: (1 + height * width, C)."""
        side = self.config.resolution // self.config.patch
        if (height, width) == (side, side):
            return self.positional_embedding
        grid = self.positional_embedding[1:].T.reshape(1, -1, side, side)
        resized = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
        return torch.cat([self.positional_embedding[:1], resized[0].flatten(1).T])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Dense maps in the joint space.

        Args:
            images: (B, 3, H, W), normalised; H and W multiples of the patch side P.

        Returns:
            Patch tokens of the whole transformer, and with the value path instead of the last
            block's attention: (B, embedding, H / P, W / P) each.

        Raises:
            InputError: a side is not a multiple of P.

        """
        patch = self.config.patch
        if images.shape[2] % patch or images.shape[3] % patch:
            raise InputError(
                f"a ViT with patches of {patch} pixels cannot take an image of "
                f"{images.shape[3]} x {images.shape[2]}; choose a size that {patch} divides."
            )
        x = self.conv1(images)
        size = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = self.ln_pre(x + self.positions(*size))
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            x = block(x)
        assert isinstance(last, ResidualAttentionBlock)
        plain, local = (
            (self.ln_post(tokens[:, 1:]) @ self.proj).transpose(1, 2).unflatten(2, size)
            for tokens in (last(x), value_path(last, x))
        )
        return plain, local
