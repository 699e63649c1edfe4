"""LAVT: the words enter between the stages of the image encoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.encoders.config import ResNetConfig
from causalseg.encoders.resnet import ResNetTower
from causalseg.encoders.swin import PatchEmbedding, SwinSizes, SwinStage, patch_merging
from causalseg.layers.attention import to_map
from causalseg.layers.blocks import double_conv, upsample_to


class PixelWordAttention(nn.Module):
    """PWAM: every position attends to the words, and the result gates the position's own map.

        Q = norm(W_q V),  K, V' = W_k L, W_v L
        G = norm(W_o softmax(Q K^T / sqrt(C)) V'),  F = GELU(W_m (GELU(W_i V) * G))

    norm is instance norm over the positions.
    """

    def __init__(self, channels: int, word_width: int) -> None:
        super().__init__()
        self.image = nn.Conv1d(channels, channels, 1)
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(word_width, channels, 1)
        self.value = nn.Conv1d(word_width, channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.norm = nn.InstanceNorm1d(channels)

    def forward(self, v: Tensor, words: Tensor, valid: Tensor) -> Tensor:
        """V (B, C, N), words (B, L, C_w), valid (B, L) -> F (B, C, N)."""
        words = words.transpose(1, 2)
        query = self.norm(self.query(v)).transpose(1, 2)
        key, value = self.key(words).transpose(1, 2), self.value(words).transpose(1, 2)
        attended = F.scaled_dot_product_attention(
            query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1), attn_mask=valid[:, None, None]
        )
        guided = self.norm(self.out(attended.squeeze(1).transpose(1, 2)))
        fused: Tensor = F.gelu(self.mix(F.gelu(self.image(v)) * guided))
        return fused


class LanguageStep(nn.Module):
    """After a stage: F for the decoder, and V + tanh(W2 ReLU(W1 F)) * F for the next stage.

    The last stage has no next one, and so no gate.
    """

    def __init__(self, channels: int, word_width: int, *, last: bool) -> None:
        super().__init__()
        self.attention = PixelWordAttention(channels, word_width)
        self.norm = nn.LayerNorm(channels)
        self.gate = (
            None
            if last
            else nn.Sequential(
                nn.Linear(channels, channels, bias=False),
                nn.ReLU(inplace=True),
                nn.Linear(channels, channels, bias=False),
                nn.Tanh(),
            )
        )

    def forward(self, v: Tensor, words: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """V (B, C, h, w) -> LN(F) for the decoder and the next stage's input, both (B, C, h, w)."""
        size = (v.shape[2], v.shape[3])
        v = v.flatten(2)
        f = self.attention(v, words, valid).transpose(1, 2)
        out = to_map(self.norm(f), size)
        if self.gate is not None:
            v = v + (self.gate(f) * f).transpose(1, 2)
        return out, v.reshape(len(v), -1, *size)


class SwinBackbone(nn.Module):
    """Stages of a Swin transformer, one at a time."""

    def __init__(self, sizes: SwinSizes) -> None:
        super().__init__()
        self.stage_channels = sizes.channels()
        self.embed = PatchEmbedding(sizes.width)
        self.merge = nn.ModuleList(patch_merging(c) for c in self.stage_channels[:-1])
        self.stages = nn.ModuleList(
            SwinStage(c, heads, sizes.window, drops)
            for c, heads, drops in zip(
                self.stage_channels, sizes.heads, sizes.drop_paths(), strict=True
            )
        )

    def start(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> the first stage's input, (B, C, H / 4, W / 4)."""
        return self.embed(images).permute(0, 3, 1, 2)  # type: ignore[no-any-return]

    def stage(self, index: int, x: Tensor) -> Tensor:
        """One stage; those after the first merge patches before."""
        x = x.permute(0, 2, 3, 1)
        if index > 0:
            x = self.merge[index - 1](x)
        return self.stages[index](x).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class ResNetBackbone(ResNetTower):
    """Stages of the project's residual tower, one at a time."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        self.stage_channels = tuple(self.pyramid_channels()[1:])

    def start(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> the first stage's input, (B, width, H / 4, W / 4)."""
        x: Tensor = self.pool(self.stem(images))
        return x

    def stage(self, index: int, x: Tensor) -> Tensor:
        """One stage."""
        y: Tensor = self.get_submodule(f"layer{index + 1}")(x)
        return y


class LanguageFusion(nn.Module):
    """A language step after each stage of a backbone, and the decoder.

    Args:
        channels: those of the backbone's stages.
        word_width: channels of a word.
        width: the decoder's; 4 times the first stage's in the paper.

    """

    def __init__(self, channels: Sequence[int], word_width: int, width: int) -> None:
        super().__init__()
        last = len(channels) - 1
        self.steps = nn.ModuleList(
            LanguageStep(c, word_width, last=i == last) for i, c in enumerate(channels)
        )
        ins = [channels[-1], *[width] * (last - 1)]
        self.decoder = nn.ModuleList(
            double_conv(below + skip, width, bias=False)
            for below, skip in zip(ins, reversed(channels[:-1]), strict=True)
        )
        self.head = nn.Conv2d(width, 1, 1)

    def forward(
        self, backbone: SwinBackbone | ResNetBackbone, images: Tensor, words: Tensor, valid: Tensor
    ) -> Tensor:
        """Images (B, 3, H, W), words (B, L, C_w), valid (B, L) -> (B, 1, H, W)."""
        x = backbone.start(images)
        outs = []
        for index, step in enumerate(self.steps):
            out, x = step(backbone.stage(index, x), words, valid)
            outs.append(out)
        x = outs.pop()
        for convs, skip in zip(self.decoder, reversed(outs), strict=True):
            x = convs(torch.cat([upsample_to(x, skip), skip], dim=1))
        return upsample_to(self.head(x), images)
