"""The segmentation head: the same in every row of a table."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class Head(nn.Module):
    """3x3 convolution, batch norm, ReLU and bilinear doubling, a few times; then 1x1."""

    def __init__(self, channels: int, steps: Sequence[int]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            )
            for before, after in zip((channels, *steps), steps, strict=False)
        )
        self.classify = nn.Conv2d(steps[-1], 1, 1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w) -> logits (B, 1, *size); the last resize is bilinear."""
        for step in self.steps:
            x = step(x)
        return F.interpolate(self.classify(x), size=size, mode="bilinear", align_corners=False)
