"""Deep supervision: every head is trained."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from causalseg.models.losses import SegmentationLoss
from causalseg.models.output import SegmentationOutput

HEAD = "head"
"""Heads are `head0` (the finest), `head1`, ... in the output's auxiliary tensors."""


class DeepSupervision(SegmentationLoss):
    """Weighted mean over the heads of cross-entropy and Dice; head i weighs decay**i.

    Args:
        decay: 1 for a plain mean (UNet++), 1/2 for nnU-Net.

    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    def __call__(
        self, output: SegmentationOutput, batch: Mapping[str, Tensor], step: int = 0
    ) -> dict[str, Tensor]:
        """`loss` over all heads, and the parts of the logits that are used at test time."""
        losses = super().__call__(output, batch, step)
        heads = [output.auxiliary[f"{HEAD}{i}"] for i in range(len(output.auxiliary))]
        weights = [self.decay**i for i in range(len(heads))]
        each = [
            super(DeepSupervision, self).__call__(replace(output, logits=head), batch, step)
            for head in heads
        ]
        total = sum(
            (w * part["loss"] for w, part in zip(weights, each, strict=True)),
            start=losses["loss"].new_zeros(()),
        )
        return losses | {"loss": total / sum(weights)}
