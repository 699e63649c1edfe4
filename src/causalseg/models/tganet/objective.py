"""TGANet's loss: the mask, and the count and size of its findings."""

from collections.abc import Mapping

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from causalseg.models.losses import SegmentationLoss
from causalseg.models.output import SegmentationOutput

SMALL, MEDIUM = 0.1, 0.3
"""Share of the image that the largest finding's bounding box covers, below which it is small and
medium."""
NOTHING = -100
"""Class of an empty mask: left out of the loss."""


def count_and_size(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Classes of `network.COUNTS` and `network.SIZES`, from masks (B, 1, H, W): (B,) each."""
    counts, sizes = [], []
    for mask in (masks[:, 0] > 0.5).cpu().numpy():
        regions, number = ndimage.label(mask, structure=np.ones((3, 3)))
        if not number:
            counts.append(NOTHING)
            sizes.append(NOTHING)
            continue
        boxes = ndimage.find_objects(regions)
        share = max(
            (rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in boxes
        )
        share /= mask.size
        counts.append(int(number > 1))
        sizes.append(int(share >= SMALL) + int(share >= MEDIUM))
    return (
        torch.tensor(counts, device=masks.device),
        torch.tensor(sizes, device=masks.device),
    )


class LabelledLoss(SegmentationLoss):
    """Cross-entropy and Dice of the mask, plus cross-entropy of count and of size."""

    def __call__(
        self, output: SegmentationOutput, batch: Mapping[str, Tensor], step: int = 0
    ) -> dict[str, Tensor]:
        """`loss` and its parts."""
        losses = super().__call__(output, batch, step)
        for name, target in zip(("count", "size"), count_and_size(batch["mask"]), strict=True):
            # A sum over the known ones, so that a batch of empty masks is no division by zero.
            known = (target != NOTHING).sum().clamp(min=1)
            part = F.cross_entropy(output.auxiliary[name], target, reduction="sum") / known
            losses["loss"] = losses["loss"] + part
            losses[name] = part.detach()
        return losses
