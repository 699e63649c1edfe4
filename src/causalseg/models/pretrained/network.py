"""U-Net on a ResNet: the segmenter that contrastive pre-training (ConVIRT, GLoRIA) is used for."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.blocks import double_conv

SCALE = 10.0
"""GLoRIA's third temperature: what a cosine is multiplied by."""


class ResNetDecoder(nn.Module):
    """Upsample (nearest), concatenate the skip, two convolutions; a last step without skip.

    Args:
        channels: of the encoder's maps, finest (1/2 of the image) first.
        widths: of the steps, one for each map.

    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        skips = [*reversed(channels[:-1]), 0]
        ins = [channels[-1], *widths[:-1]]
        self.steps = nn.ModuleList(
            double_conv(below + skip, out, bias=False)
            for below, skip, out in zip(ins, skips, widths, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps, finest first -> (B, 1, H, W)."""
        count = max(map(len, maps))  # one image's maps may serve several texts
        *skips, x = (m.expand(count, -1, -1, -1) for m in maps)
        for step, skip in zip(self.steps, [*reversed(skips), None], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            if skip is not None:
                x = torch.cat([x, skip], dim=1)
            x = step(x)
        logits: Tensor = self.head(x)
        return logits


class FiLM(nn.Module):
    """Scale and shift of each channel by a text: (1 + gamma(tau)) x + beta(tau).

    Starts as the identity.
    """

    def __init__(self, embedding: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding, 2 * channels)
        nn.init.zeros_(self.linear.bias)
        nn.init.normal_(self.linear.weight, std=0.01)

    def forward(self, x: Tensor, tau: Tensor) -> Tensor:
        """x (B, C, h, w), tau (B, T) -> (B, C, h, w)."""
        gamma, beta = self.linear(tau)[:, :, None, None].chunk(2, dim=1)
        scaled: Tensor = (1 + gamma) * x + beta
        return scaled


class WordMaps(nn.Module):
    """Cosines between words and regions, as GLoRIA compares them, as two maps.

    Args:
        channels: of the regions' map.
        word_width: channels of a word; regions are projected to it, as in the paper.

    """

    MAPS = 2

    def __init__(self, channels: int, word_width: int) -> None:
        super().__init__()
        self.local = nn.Conv2d(channels, word_width, 1, bias=False)

    def forward(self, x: Tensor, words: Tensor, valid: Tensor) -> Tensor:
        """x (B, C, h, w), words (B, L, C_w), valid (B, L) -> (B, 2, h, w).

        The two maps are the cosine to the sentence (the mean of its words) and the largest cosine
        to a word.
        """
        x = x.expand(len(words), -1, -1, -1)  # one image's map may serve several texts
        regions = F.normalize(self.local(x), dim=1)
        cosines = torch.einsum("blc,bchw->blhw", F.normalize(words, dim=2), regions)
        seen = valid[:, :, None, None]
        largest = cosines.masked_fill(~seen, -1).amax(1, keepdim=True)
        sentence = (words * valid.unsqueeze(2)).sum(1) / valid.sum(1, keepdim=True)
        whole = torch.einsum("bc,bchw->bhw", F.normalize(sentence, dim=1), regions).unsqueeze(1)
        return SCALE * torch.cat([whole, largest], dim=1)
